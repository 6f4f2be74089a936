"""n-gram language models: estimation, ARPA files, training text, lexicons.

May import data and the packages that data may import.
"""
