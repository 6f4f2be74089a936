"""What an audit finds, and how it is worded."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

MOST = 5  # named of what is wrong somewhere

Culprits = Mapping[str, Sequence[str]]
"""what is wrong, by where"""


class Finding(NamedTuple):
    """One thing looked at."""

    check: str
    where: str
    """a fold, a set, a pair of systems; "all 10 folds" where they agree"""
    value: str
    """what was found"""
    ok: bool | None
    """None: a count to know, no verdict"""


def none(check: str, culprits: Culprits, what: str = "folds") -> Iterable[Finding]:
    """Nothing is expected anywhere: one finding that says so, or one for each place."""
    bad = {where: names for where, names in culprits.items() if names}
    if culprits and not bad:
        yield Finding(check, everywhere(culprits, what), "none", True)
    for where, names in bad.items():
        more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
        yield Finding(check, where, ", ".join(names[:MOST]) + more, False)


def everywhere(places: Mapping[Any, object], what: str = "folds") -> str:
    """Where all places agree: how many they are, or the only one."""
    return f"all {len(places)} {what}" if len(places) > 1 else str(next(iter(places)))
