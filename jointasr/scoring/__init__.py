"""Word error rate and accuracy: metrics, scores of a decode folder, pooling into results.json.

May import data and the packages that data may import.
"""
