"""CTC with two engines, k2 and torch: loss, greedy and prefix beam search, lattices, graphs.

May import lm, scoring and the packages that these may import.
"""
