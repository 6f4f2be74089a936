"""Ablations: systems compared with the base system of their kind, averaged over seeds."""

from collections.abc import Sequence
from typing import NamedTuple

from jointasr.config.report_schema import Report
from jointasr.report import analysis
from jointasr.report.analysis import METRICS, Estimate, Metric, ScoresByCell, UtteranceErrors
from jointasr.report.formatting import TRAINING_SETS
from jointasr.report.table1 import Table1Systems
from jointasr.scoring.results_json import Results


class SystemValue(NamedTuple):
    """WER or accuracy in per cent, and its gain over the base system in percentage points."""

    value: float
    gain: Estimate | None
    """None for the base system itself, and if the test utterances differ"""


class AblationRow(NamedTuple):
    """A system trained in one condition, averaged over its seeds."""

    system: str
    seeds: list[int]
    train: str
    clean: dict[Metric, SystemValue]
    """in the clean scenario"""
    noisy: dict[Metric, SystemValue]
    """mean over the noisy scenarios"""


def rows(
    results: Results,
    scores: ScoresByCell,
    systems: Table1Systems,
    tests: Sequence[str],
    conf: Report,
) -> list[AblationRow]:
    """Return a row for each system and training condition that has results.

    The base of a system is the Table 1 system of the same kind, trained in the same condition.
    Values are means over seeds and, for ``noisy``, over scenarios, on the same utterances; gains
    are paired with the base, which is averaged over its own seeds.
    """
    seeds = _seeds(results)
    bases = {kind: _without_seed(name, results) for kind, name in systems._asdict().items()}
    ablation_rows = []
    for (stem, kind), names in seeds.items():
        base_names = seeds.get((bases[kind], kind), {})
        for train in TRAINING_SETS:
            clean, noisy = (
                _values(scores, names, base_names, train, scenarios, conf)
                for scenarios in ([tests[0]], list(tests[1:]))
            )
            if clean:
                ablation_rows.append(AblationRow(stem, sorted(names), train, clean, noisy))
    return ablation_rows


def _values(
    scores: ScoresByCell,
    names: dict[int, str],
    base_names: dict[int, str],
    train: str,
    tests: Sequence[str],
    conf: Report,
) -> dict[Metric, SystemValue]:
    """Return mean values and gains over ``tests``; ``names`` and ``base_names`` are by seed."""
    values: dict[Metric, SystemValue] = {}
    for metric in METRICS:
        system = _mean_errors(scores, names, train, tests, metric)
        base = _mean_errors(scores, base_names, train, tests, metric)
        if system is None:
            continue
        gain = None
        if base is not None and names != base_names and base.utterances == system.utterances:
            gain = analysis.estimate_gain(base, system, conf)
        values[metric] = SystemValue(system.rate if metric == "wer" else 100 - system.rate, gain)
    return values


def _mean_errors(
    scores: ScoresByCell, names: dict[int, str], train: str, tests: Sequence[str], metric: Metric
) -> UtteranceErrors | None:
    """Average errors over seeds and tests; None if a score is missing or utterances differ."""
    cells = (scores.get((name, train, test)) for name in names.values() for test in tests)
    return analysis.mean_errors(analysis.utterance_errors(cell, metric) for cell in cells)


def _seeds(results: Results) -> dict[tuple[str, str], dict[int, str]]:
    """Return {(system without its seed, kind): {seed: system}} in the order of the cells."""
    seeds: dict[tuple[str, str], dict[int, str]] = {}
    for cell in results.cells:
        key = (_without_seed(cell["system"], results), cell["kind"])
        seeds.setdefault(key, {})[cell["seed"]] = cell["system"]
    return seeds


def _without_seed(name: str, results: Results) -> str:
    """Return the name of a system without -s<seed>."""
    seeds = {cell["system"]: cell["seed"] for cell in results.cells}
    return name.removesuffix(f"-s{seeds[name]}") if seeds.get(name) else name
