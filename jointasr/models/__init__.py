"""Acoustic encoder, text encoder, fusion, the three systems, checkpoints, hub access.

May import ctc and the packages that ctc may import.
"""
