"""Systems against the one they vary: mean over seeds, differences with their intervals."""

from collections.abc import Sequence
from typing import NamedTuple

from jointasr.config.schema import Report
from jointasr.report import analysis
from jointasr.report.analysis import METRICS, Errors, Estimate, Metric, Scores
from jointasr.report.table import TRAIN, Cells, Trio


class SystemValue(NamedTuple):
    """A rate in per cent, and the points by which it is better than the base's."""

    rate: float
    gain: Estimate | None
    """None for the base itself, and where the test utterances are not the base's"""


class AblationRow(NamedTuple):
    """A system trained on one condition, over its seeds."""

    system: str
    seeds: list[int]
    train: str
    clean: dict[Metric, SystemValue]
    """in the clean scenario"""
    noisy: dict[Metric, SystemValue]
    """mean over the noisy scenarios"""


def rows(
    cells: Cells, scores: Scores, trio: Trio, tests: Sequence[str], conf: Report
) -> list[AblationRow]:
    """A row for each system and condition; its base is the trio's system of the same kind.

    Rates are means over seeds and, of the noisy scenarios, over these, on the same utterances;
    gains are paired with the base of the same condition, its seeds likewise averaged.
    """
    seeds = _seeds(cells)
    kinds = {"asr": trio.asr, "ser": trio.ser, "joint": trio.joint}
    bases = {kind: _stem(name, cells) for kind, name in kinds.items()}
    found = []
    for (stem, kind), names in seeds.items():
        for train in TRAIN:
            parts = [
                _values(scores, names, seeds.get((bases[kind], kind), {}), train, sets, conf)
                for sets in ([tests[0]], list(tests[1:]))
            ]
            if parts[0]:
                found.append(AblationRow(stem, sorted(names), train, *parts))
    return found


def _values(
    scores: Scores,
    names: dict[int, str],
    base: dict[int, str],
    train: str,
    tests: Sequence[str],
    conf: Report,
) -> dict[Metric, SystemValue]:
    values: dict[Metric, SystemValue] = {}
    for metric in METRICS:
        own = _mean(scores, names, train, tests, metric)
        other = _mean(scores, base, train, tests, metric)
        if own is None:
            continue
        gain = None
        if other is not None and names != base and other.utterances == own.utterances:
            gain = analysis.gain(other, own, conf)
        values[metric] = SystemValue(own.rate if metric == "wer" else 100 - own.rate, gain)
    return values


def _mean(
    scores: Scores, names: dict[int, str], train: str, tests: Sequence[str], metric: Metric
) -> Errors | None:
    """Errors averaged over seeds and tests; None where one is missing or on other utterances."""
    keys = [(name, train, test) for name in names.values() for test in tests]
    if not keys or any(key not in scores for key in keys):
        return None
    found = [analysis.errors(scores[key], metric) for key in keys]
    known = [one for one in found if one is not None]
    if len(known) < len(found) or any(one.utterances != known[0].utterances for one in known):
        return None
    return analysis.mean(known)


def _seeds(cells: Cells) -> dict[tuple[str, str], dict[int, str]]:
    """{(name without its seed, kind): {seed: name}} in the order of the cells."""
    found: dict[tuple[str, str], dict[int, str]] = {}
    for cell in cells.all:
        key = (_stem(cell["system"], cells), cell["kind"])
        found.setdefault(key, {})[cell["seed"]] = cell["system"]
    return found


def _stem(name: str, cells: Cells) -> str:
    """A system's name without -s<seed>."""
    seeds = {cell["system"]: cell["seed"] for cell in cells.all}
    return name.removesuffix(f"-s{seeds[name]}") if seeds.get(name) else name
