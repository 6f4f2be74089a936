"""The contents of the report, from the cells of results.json and the decode folders."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from jointasr.config.report_schema import Report
from jointasr.report import analysis, decoding_methods, table1
from jointasr.report.analysis import METRICS, Comparison, Estimate, Metric, ScoresByCell
from jointasr.report.audit import audit
from jointasr.report.findings import Finding
from jointasr.report.formatting import TRAINED, TRAINING_SETS
from jointasr.report.table1 import PaperTable, Table1Systems
from jointasr.scoring import decode_dir
from jointasr.scoring.pooling import DecodedFold
from jointasr.scoring.results_json import Results
from jointasr.utils.errors import DataError


class Origin(NamedTuple):
    """Recipe and commit that a report was generated from."""

    recipe: str
    commit: str


class ReportData(NamedTuple):
    """Contents of a report."""

    results: Results
    tests: Sequence[str]
    """test scenarios; the first one is clean"""
    systems: Table1Systems
    conf: Report
    paper: PaperTable | None
    origin: Origin
    decoded: list[DecodedFold]
    scores: ScoresByCell
    comparisons: list[Comparison]
    estimates: dict[tuple[str, str, str, Metric], Estimate]
    findings: list[Finding]
    methods: list[decoding_methods.MethodRow]
    decode_commits: dict[tuple[str, str], set[str]]
    """{(system, decoding method): commits that decoded}"""


def collect(
    results: Results,
    tests: Sequence[str],
    exp: Path,
    conf: Report,
    paper: PaperTable | None,
    origin: Origin,
) -> ReportData:
    """Read the scores of the cells, compare systems and run the audit.

    Without the decode folders in ``exp``, the report has only the pooled results. Raises DataError
    if there are no cells.
    """
    if not results.cells:
        raise DataError("no results to report; run stage 9 (score) first")
    systems, scores = table1.select_systems(results), analysis.load_scores(results, exp)
    decoded = analysis.find_decoded(results, exp)
    conditions = [(train, test) for train in TRAINING_SETS for test in tests]
    comparisons = []
    for metric in METRICS:
        pair = (systems.asr if metric == "wer" else systems.ser, systems.joint)
        comparisons += analysis.compare(scores, pair, metric, conditions, conf)
    estimates = {
        (*key, metric): analysis.estimate(errors, metric, conf)
        for key, cell in scores.items()
        for metric in METRICS
        if (errors := analysis.utterance_errors(cell, metric)) is not None
    }
    return ReportData(
        results=results,
        tests=tests,
        systems=systems,
        conf=conf,
        paper=paper,
        origin=origin,
        decoded=decoded,
        scores=scores,
        comparisons=comparisons,
        estimates=estimates,
        findings=audit(decoded) if decoded else [],
        methods=decoding_methods.rows(results, tests, exp, conf),
        decode_commits=_decode_commits(results, exp),
    )


def _decode_commits(results: Results, exp: Path) -> dict[tuple[str, str], set[str]]:
    commits: dict[tuple[str, str], set[str]] = {}
    for method_results in results.by_method():
        for fold in analysis.find_decoded(method_results, exp):
            commit = decode_dir.read_commit(fold.path)
            if commit is not None:
                commits.setdefault((fold.model.system, method_results.method), set()).add(commit)
    return commits


def missing(results: Results, systems: Table1Systems, tests: Sequence[str]) -> list[str]:
    """List missing cells of the systems in Table 1 and in results, and missing test speakers."""
    speakers = {speaker for cell in results.cells for speaker in cell["by_speaker"]}
    expected = {(name, train) for name in systems for train in TRAINING_SETS}
    expected |= {(cell["system"], cell["train"]) for cell in results.cells}
    order = [*results.systems, *systems]
    gaps = []
    for system, train in sorted(expected, key=lambda key: (order.index(key[0]), key[1])):
        name = f"{system}, {TRAINED[train]}"
        cells = {test: cell for test in tests if (cell := results.get(system, train, test))}
        if len(cells) < len(tests):
            gaps.append(f"{name}: {_list_tests(set(tests) - cells.keys(), tests)}")
        tests_without: dict[tuple[str, ...], list[str]] = {}
        for test, cell in cells.items():
            absent = tuple(sorted(speakers - cell["by_speaker"].keys()))
            if absent:
                tests_without.setdefault(absent, []).append(test)
        for absent, affected in tests_without.items():
            gaps.append(
                f"{name}: without speaker {', '.join(absent)} in {_list_tests(affected, tests)} "
                "(not comparable with systems that have them)"
            )
    return gaps


def _list_tests(affected: Iterable[str], tests: Sequence[str]) -> str:
    names = [test for test in tests if test in set(affected)]
    return "all tests" if len(names) == len(tests) else ", ".join(names)
