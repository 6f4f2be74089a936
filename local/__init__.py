"""Scripts and helpers that name a corpus; nothing in ``jointasr`` imports from here."""
