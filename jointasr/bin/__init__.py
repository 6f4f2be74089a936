"""Command-line entry points: each parses its arguments and makes one call."""
