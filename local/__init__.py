"""Scripts and helpers for individual corpora. ``jointasr`` imports nothing from here."""
