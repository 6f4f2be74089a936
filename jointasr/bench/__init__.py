"""Benchmarks: time and memory of training, decoding, reading and mixing.

May import training, decoding, prep and the packages that these may import.
"""
