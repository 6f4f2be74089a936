"""The tables of the report."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jointasr.config.report_schema import Report
from jointasr.report import table1
from jointasr.report.ablation import AblationRow, SystemValue
from jointasr.report.analysis import METRICS, Comparison, Estimate, Metric
from jointasr.report.decoding_methods import MethodRow, MethodValue
from jointasr.report.elements import Block, Paragraph, Table, TableCell, Tone
from jointasr.report.findings import Finding
from jointasr.report.formatting import DASH, TRAINED, TRAINING_SETS, interval, number, p_value
from jointasr.report.stats import MAX_EXACT_SPEAKERS, MIN_SPEAKERS
from jointasr.report.table1 import PaperTable, Table1Systems
from jointasr.scoring.results_json import Results

Estimates = Mapping[tuple[str, str, str, Metric], Estimate]
Row = list[str | TableCell]
TONES: dict[str, Tone] = {
    "better": "good",
    "worse": "bad",
    "non-inferior": "",
    "inconclusive": "unsure",
}
IMPROVEMENT = {"wer": "Rel Imp in relative %", "acc": "Rel Imp in percentage points"}
COLUMNS = ("base", "joint", "Rel Imp")
UTTERANCE_CI, SPEAKER_CI = "95 % CI, same speakers", "95 % CI, new speakers"


def table_1(
    results: Results, systems: Table1Systems, tests: Sequence[str], paper: PaperTable | None
) -> list[Block]:
    """Return Table 1; with ``paper``, one table per metric and training set with both results."""
    ours = table1.table1(results, systems, tests)
    published = table1.paper_rows(paper, tests) if paper is not None else []
    blocks: list[Block] = []
    for m, metric in enumerate(METRICS):
        title = f"{METRICS[metric]}, %; {IMPROVEMENT[metric]}"
        if paper is None:
            header = [
                "test",
                *(f"{train} {name}" for train in ("clean", "noise") for name in COLUMNS),
            ]
            rows = [
                [test, *map(number, row[6 * m : 6 * m + 6])]
                for test, row in zip(tests, ours, strict=True)
            ]
            blocks.append(Table(title, header, rows))
            continue
        header = ["test", *(f"{source} {name}" for source in ("ours", "paper") for name in COLUMNS)]
        for c, train in enumerate(TRAINING_SETS):
            columns = slice(6 * m + 3 * c, 6 * m + 3 * c + 3)
            rows = [
                [test, *map(number, (*row[columns], *paper_row[columns]))]
                for test, row, paper_row in zip(tests, ours, published, strict=True)
            ]
            blocks.append(Table(f"{TRAINED[train]}: {title}", header, rows))
    return blocks


def comparisons(
    compared: Sequence[Comparison], systems: Table1Systems, conf: Report
) -> list[Block]:
    """Return gains, intervals, p values and verdicts of the joint system against the baselines."""
    blocks: list[Block] = []
    for metric, name in METRICS.items():
        of_metric = [comparison for comparison in compared if comparison.metric == metric]
        if not of_metric:
            continue
        margin = conf.margin_wer if metric == "wer" else conf.margin_acc
        baseline = systems.asr if metric == "wer" else systems.ser
        test = "matched pairs" if metric == "wer" else "McNemar"
        header = ["cell", baseline, systems.joint, "gain", "verdict", UTTERANCE_CI, SPEAKER_CI]
        header += [f"p {test}", "Holm", "p speakers", "Holm"]
        header += [f"p non-inferior, margin {margin:g}", "p non-inferior, speakers"]
        rows = [[f"{TRAINED[c.train]}, {c.test}", *_comparison(c, conf)] for c in of_metric]
        blocks.append(Table(f"{name}: gain of the joint system, percentage points", header, rows))
    few = any(comparison.p_speakers is None for comparison in compared)
    minimum = f" (at least {MIN_SPEAKERS} speakers required)" if few else ""
    note = (
        "Gains are percentage points, positive if the joint system is better. 95 % confidence "
        "intervals: for further utterances of the same speakers, paired bootstrap over utterances; "
        "for new speakers, Student's t over one gain per speaker, around the mean over speakers. "
        "Two-sided p value over utterances: matched-pairs sentence-segment test for WER, McNemar's "
        "exact test for accuracy. p speakers: one-sided sign-flip test over speakers, exact "
        f"for up to {MAX_EXACT_SPEAKERS} speakers, random sign flips for more{minimum}. Holm: the "
        "p value to the left, adjusted for all cells of the metric. Intervals are per cell and not "
        "adjusted. p non-inferior: one-sided, not adjusted; null hypothesis: the joint system is "
        "worse by the margin or more. Verdict: better or worse if the adjusted two-sided p is "
        f"below {conf.level:g}; otherwise non-inferior if p non-inferior is below "
        f"{conf.level:g}; otherwise inconclusive."
    )
    return [*blocks, Paragraph(note)]


def word_errors(results: Results, tests: Sequence[str], estimates: Estimates) -> Table:
    """Return WER with intervals and error counts of all systems."""
    header = ["system and test", "WER", UTTERANCE_CI, SPEAKER_CI, "sub", "del", "ins", "words"]
    rows = []
    for name, cell in _cells(results, tests, "wer"):
        wer = cell["wer"]
        counts = [str(wer[key]) for key in ("sub", "del", "ins", "ref_words")]
        rows.append([name, number(wer["value"]), *_intervals(estimates, cell, "wer"), *counts])
    return Table("Word errors, WER in %", header, rows)


def emotions(results: Results, tests: Sequence[str], estimates: Estimates) -> Table:
    """Return accuracies with intervals and calibration errors of all systems."""
    header = ["system and test", "WA", UTTERANCE_CI, SPEAKER_CI]
    header += ["UA", "macro-F1", "ECE", "utterances"]
    rows = []
    for name, cell in _cells(results, tests, "acc"):
        acc = cell["acc"]
        values = [number(acc[key]) for key in ("ua", "macro_f1", "ece")]
        intervals = _intervals(estimates, cell, "acc")
        rows.append([name, number(acc["wa"]), *intervals, *values, str(acc["n"])])
    return Table(
        "Emotion recognition, %: weighted accuracy (WA, as in the paper), unweighted accuracy "
        "(UA), macro-F1, expected calibration error (ECE)",
        header,
        rows,
    )


def breakdown(results: Results, tests: Sequence[str], keys: Sequence[str]) -> list[Block]:
    """Return WER and accuracy of groups of utterances, e.g. for the keys by_style and by_fold."""
    blocks: list[Block] = []
    for metric, value in (("wer", "value"), ("acc", "wa")):
        cells = list(_cells(results, tests, metric))
        columns = {
            (key, group): None for _, cell in cells for key in keys for group in cell.get(key, {})
        }
        rows = []
        for name, cell in cells:
            groups = [cell.get(key, {}).get(group, {}).get(metric) for key, group in columns]
            total = cell[metric][value]
            rows.append([name, *(number(x and x[value]) for x in groups), number(total)])
        title = "WER" if metric == "wer" else "Accuracy (for an emotion: its recall)"
        if rows and columns:
            header = ["system and test", *(group for _, group in columns), "all"]
            blocks.append(Table(f"{title}, %", header, rows))
    return blocks


def confusions(results: Results, test: str) -> list[Block]:
    """Return the confusion matrices of all systems in one scenario."""
    blocks: list[Block] = []
    for _, cell in _cells(results, [test], "acc"):
        if cell.get("confusion"):
            labels, counts = cell["confusion"]["labels"], cell["confusion"]["counts"]
            rows = [[label, *map(str, row)] for label, row in zip(labels, counts, strict=True)]
            caption = (
                f"{cell['system']}, {TRAINED[cell['train']]}, {test}: rows are reference emotions, "
                "columns recognized emotions"
            )
            blocks.append(Table(caption, ["reference", *labels], rows))
    return blocks


def ablations(ablation_rows: Sequence[AblationRow]) -> list[Block]:
    """Return a row per system: its values and the gains over the base system."""
    header = ["system", "seeds"]
    for metric in METRICS.values():
        for scenarios in ("clean", "noisy tests"):
            header += [f"{metric} {scenarios}", "gain", UTTERANCE_CI]
    rows: list[Row] = []
    for row in ablation_rows:
        line: Row = [f"{row.system}, {TRAINED[row.train]}", " ".join(map(str, row.seeds))]
        for metric in METRICS:
            line += [*_system_value(row.clean.get(metric)), *_system_value(row.noisy.get(metric))]
        rows.append(line)
    note = (
        "Means over seeds; noisy tests: mean over all scenarios except clean. Gains are percentage "
        "points over the base, the Table 1 system of the same kind and training set, positive if "
        "better; 95 % confidence intervals from the paired bootstrap over utterances. No gain is "
        "given for the base itself and for systems with other test utterances."
    )
    return [Table("Systems against their base, %", header, rows), Paragraph(note)]


def decoding_methods(method_rows: Sequence[MethodRow]) -> list[Block]:
    """Return a row per system, training set and decoding method."""
    header = ["system and method"]
    for scenarios in ("clean", "noisy tests"):
        header += [f"WER {scenarios}", UTTERANCE_CI, "improvised", "scripted", "gain", "95 % CI"]
    header += ["search RTF", "GiB", "word ECE"]
    rows: list[Row] = []
    for row in method_rows:
        line: Row = [f"{row.system}, {TRAINED[row.train]}, {row.method}"]
        for value in (row.clean, row.noisy):
            line += _method_value(value)
        rtf = DASH if row.search_rtf is None else f"{row.search_rtf:.3f}"
        rows.append([*line, rtf, number(row.memory), number(row.word_ece)])
    note = (
        "Decoding methods of conf/decode.yaml with the same models. Noisy tests: mean over all "
        "scenarios except clean. Gains are percentage points of WER below the default method, with "
        "95 % confidence intervals from the paired bootstrap over utterances. Scripted sentences "
        "recur in the training text, so language models have seen some of them: compare methods on "
        "improvised speech. Search RTF: real-time factor of the search, seconds per second of "
        "audio, without the encoder. GiB: peak memory of a decoding job. Word ECE: expected "
        "calibration error of the word posteriors, %."
    )
    return [Table("Decoding methods, WER in %", header, rows), Paragraph(note)]


def audit(findings: Sequence[Finding]) -> Table:
    """Return the table of the audit's findings."""
    verdicts: dict[bool | None, TableCell] = {
        True: TableCell("passed", "good"),
        False: TableCell("failed", "bad"),
        None: TableCell("info"),
    }
    rows: list[Row] = [
        [finding.check, finding.where, finding.value, verdicts[finding.passed]]
        for finding in findings
    ]
    return Table("", ["check", "where", "result", "verdict"], rows, textual=True)


def _comparison(comparison: Comparison, conf: Report) -> Row:
    verdict = comparison.verdict(conf.level)
    values = (comparison.baseline, comparison.system, comparison.gain)
    intervals = (comparison.utterance_interval, comparison.speaker_interval)
    p_values = [
        p_value(comparison.p_utterances),
        p_value(comparison.p_utterances_adjusted),
        "too few" if comparison.p_speakers is None else p_value(comparison.p_speakers),
        p_value(comparison.p_speakers_adjusted),
        p_value(comparison.p_non_inferior),
        p_value(comparison.p_non_inferior_speakers),
    ]
    cell = TableCell(verdict, TONES[verdict])
    return [*map(number, values), cell, *map(interval, intervals), *p_values]


def _intervals(estimates: Estimates, cell: Mapping[str, Any], metric: Metric) -> list[str]:
    estimate = estimates.get((cell["system"], cell["train"], cell["test"], metric))
    if estimate is None:
        return [DASH, DASH]
    return [interval(estimate.utterance_interval), interval(estimate.speaker_interval)]


def _gain(gain: Estimate | None) -> list[str]:
    return [DASH, DASH] if gain is None else [number(gain.value), interval(gain.utterance_interval)]


def _system_value(value: SystemValue | None) -> list[str]:
    return [DASH] * 3 if value is None else [number(value.value), *_gain(value.gain)]


def _method_value(value: MethodValue | None) -> list[str]:
    if value is None:
        return [DASH] * 6
    styles = [number(rate) for rate in value.styles.values()]
    wer = [number(value.wer.value), interval(value.wer.utterance_interval)]
    return [*wer, *styles, *_gain(value.gain)]


def _cells(
    results: Results, tests: Sequence[str], metric: str
) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Yield (title, cell) of all systems that have the metric."""
    for system in results.systems:
        for train in TRAINING_SETS:
            for test in tests:
                cell = results.get(system, train, test)
                if cell is not None and cell[metric]:
                    yield f"{system}, {TRAINED[train]}, {test}", cell
