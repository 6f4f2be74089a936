"""Stage 8: decoding of the test sets, language model scales tuned on dev, forced alignment.

May import models and the packages that models may import.
"""
