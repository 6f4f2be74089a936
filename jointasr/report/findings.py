"""Findings of the audit."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

MAX_LISTED = 5
"""violations listed in a finding; only the number of the others is given"""

Violations = Mapping[str, Sequence[str]]
"""{fold, data dir or pair of systems: ids of its violations}"""


class Finding(NamedTuple):
    """Result of one check."""

    check: str
    where: str
    """a fold, data dir or pair of systems; "all 10 folds" if the result is the same everywhere"""
    value: str
    passed: bool | None
    """None: for information only"""


def expect_none(check: str, violations: Violations, unit: str = "folds") -> Iterable[Finding]:
    """Yield one passed finding if there are no violations, else a failed one for each location.

    ``unit`` names the locations in the plural.
    """
    failed = {where: names for where, names in violations.items() if names}
    if violations and not failed:
        yield Finding(check, all_of(violations, unit), "none", True)
    for where, names in failed.items():
        more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
        yield Finding(check, where, ", ".join(names[:MAX_LISTED]) + more, False)


def all_of(locations: Collection[object], unit: str = "folds") -> str:
    """Return "all <n> <unit>", or the location itself if there is only one."""
    if len(locations) == 1:
        return str(next(iter(locations)))
    return f"all {len(locations)} {unit}"
