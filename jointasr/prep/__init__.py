"""Stages 2 to 6: selection of utterances, noise mixing, folds, archives, and the training jobs.

May import models and the packages that models may import.
"""
