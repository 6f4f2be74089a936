"""Stage 0: checks of the environment, the machine, corpora and models, and a self-test.

May import ctc and the packages that ctc may import.
"""
