"""Stages 2 to 5: selection of utterances, folds, noise mixing, archives; and the list of trainings.

May import models and the packages that models may import.
"""
