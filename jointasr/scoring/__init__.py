"""Scoring: WER and accuracy, the files of a decode folder, pooling of folds into results.json.

May import data and the packages that data may import.
"""
