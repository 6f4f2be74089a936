"""Text normalization, and output units of the CTC head: characters or SentencePiece pieces.

May import utils.
"""
