"""Preparation of individual corpora. ``jointasr`` imports nothing from here."""
