"""Formatting of numbers, intervals and names in the report."""

from collections.abc import Collection

from jointasr.report.stats import Interval

DASH = "-"
TRAINING_SETS = ("clean", "noisy")
"""training conditions, as in exp/<system>_<condition>"""
TRAINED = {"clean": "clean-trained", "noisy": "noise-trained"}


def number(value: float | None, digits: int = 1) -> str:
    """Format a number: ``-`` for None, never ``-0.0``."""
    return DASH if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def p_value(p: float | None) -> str:
    """Format a p value with three digits, or as ``<.001``."""
    if p is None:
        return DASH
    return "<.001" if p < 0.001 else f"{p:.3f}"


def interval(ends: Interval | None) -> str:
    """Format an interval as ``[low, high]``."""
    return DASH if ends is None else f"[{number(ends.low)}, {number(ends.high)}]"


def count(items: Collection[object], noun: str) -> str:
    """Return e.g. "1 fold" or "10 folds"."""
    return f"{len(items)} {noun}{'' if len(items) == 1 else 's'}"
