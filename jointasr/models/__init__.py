"""Acoustic encoder, text encoder, fusion, the three systems, checkpoints, access to the model hub.

May import ctc and the packages that ctc may import.
"""
