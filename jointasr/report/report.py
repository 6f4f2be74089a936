"""The report of stage 10: its sections, from the data of :mod:`jointasr.report.report_data`.

exp/RESULTS.md and exp/report.html have the same sections; figures and audio are only in the latter.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from jointasr.report import ablation, audio_examples, figures, markdown, table1, tables
from jointasr.report.analysis import METRICS
from jointasr.report.elements import Block, Bullets, Code, Figure, Paragraph, Section, Table
from jointasr.report.formatting import count
from jointasr.report.report_data import ReportData, missing

NOTE = (
    "Base: `{asr}` for WER, `{ser}` for accuracy; joint: `{joint}`. Rel Imp (the name is the "
    "paper's) is the relative improvement 100 * (base - joint) / base for WER and the difference "
    "joint - base in percentage points for accuracy, from unrounded values; positive if joint is "
    "better. "
    "WER: all word errors of all folds over all their reference words. Accuracy: share of all "
    "utterances of all folds that are recognized correctly (weighted accuracy)."
)
INTERVALS = (
    "95 % confidence intervals (CI): for further utterances of the same speakers, bootstrap over "
    "utterances; for new speakers, Student's t over one value per speaker, around the unweighted "
    "mean over speakers."
)


def title(data: ReportData) -> str:
    """Return the heading of the report."""
    return f"Results of {data.origin.recipe}"


def scope(data: ReportData) -> str:
    """Return a description of the test sets and of pooling."""
    folds = _table1_folds(data)
    text = f"{count(folds, 'fold')} ({', '.join(folds)})"
    utterances = {
        utt: info for cell in data.scores.values() for utt, info in cell.utterances.items()
    }
    if utterances:
        speakers = {info.speaker for info in utterances.values()}
        text += f", {len(speakers)} test speakers, {len(utterances)} test utterances per scenario"
    return text + ". Predictions of all folds are pooled, then scored. All values in per cent."


def sections(data: ReportData) -> list[Section]:
    """Return the sections of the report that are not empty."""
    results, tests, systems = data.results, data.tests, data.systems
    clean = tests[0]
    worst = audio_examples.worst_utterances(
        data.decoded, data.scores, systems, tests, data.conf.worst
    )
    groups = tables.breakdown(results, tests, ["by_style", "by_emotion"])
    candidates = [
        Section("Summary", [Bullets(_summary(data))]),
        Section("Table 1", _table1(data)),
        Section("Missing", [Bullets(missing(results, systems, tests) or ["nothing"])]),
        _figure("Figure 2", figures.figure2(results, systems, tests)),
        Section("Joint system against baselines", _comparisons(data)),
        Section("Ablations", _ablations(data)),
        Section("Decoding methods", tables.decoding_methods(data.methods) if data.methods else []),
        Section("All systems", _all_systems(data)),
        Section("By style and emotion", groups),
        Section("By fold and speaker", _by_fold_and_speaker(data)),
        _figure("Speakers", figures.speakers(data.scores, systems, tests)),
        Section("Confusion of emotions", tables.confusions(results, clean)),
        _figure("Confusion matrices", figures.confusions(results, systems, clean)),
        _figure("Training", figures.learning_curves(data.decoded)),
        Section("Utterances with the most errors", worst, html_only=True),
        Section("Audit", _audit(data)),
        Section("Provenance", _provenance(data)),
    ]
    return [section for section in candidates if not _is_empty(section)]


def terminal(data: ReportData, out: Path) -> str:
    """Return Table 1, ablations if any, and the summary as plain text."""
    rows = table1.table1(data.results, data.systems, data.tests)
    text = table1.terminal(rows, data.tests)
    text += "imp: relative % for WER, points for accuracy; positive: joint is better than base\n"
    gaps = missing(data.results, data.systems, data.tests)
    text += "".join(f"missing: {gap}\n" for gap in gaps)
    for block in _ablations(data):
        text += f"\n{markdown.block(block)}"
    text += "".join(f"{line}\n" for line in _summary(data))
    engines = _distinct(cell["engine"] for cell in data.results.cells)
    stacks = _distinct(cell["stack"] for cell in data.results.cells)
    folds = count(_table1_folds(data), "fold")
    paths = f"{out / 'RESULTS.md'}, {out / 'report.html'}"
    return text + f"{folds}, engine {engines}, stack {stacks}; full report: {paths}\n"


def _figure(title: str, figure: Figure | None) -> Section:
    return Section(title, [figure] if figure else [], html_only=True)


def _is_empty(section: Section) -> bool:
    return all(isinstance(block, Table) and not block.rows for block in section.blocks)


def _summary(data: ReportData) -> list[str]:
    lines = []
    for metric, name in METRICS.items():
        compared = [comparison for comparison in data.comparisons if comparison.metric == metric]
        if compared:
            verdicts = Counter(comparison.verdict(data.conf.level) for comparison in compared)
            text = ", ".join(f"{verdict} in {n}" for verdict, n in verdicts.most_common())
            lines.append(f"{name}, joint against baseline, {count(compared, 'cell')}: {text}.")
    failed = [finding for finding in data.findings if finding.passed is False]
    checked = sum(finding.passed is not None for finding in data.findings)
    if failed:
        text = "; ".join(
            f"{finding.check}{f' ({finding.where})' if finding.where else ''}: {finding.value}"
            for finding in failed
        )
        lines.append(f"Audit: {len(failed)} of {checked} checks failed: {text}")
    elif data.findings:
        lines.append(f"Audit: {checked} checks, none failed.")
    gaps = missing(data.results, data.systems, data.tests)
    lines.append(f"Missing: {len(gaps)}, listed below." if gaps else "Nothing is missing.")
    return lines


def _table1(data: ReportData) -> list[Block]:
    blocks = tables.table_1(data.results, data.systems, data.tests, data.paper)
    blocks.append(Paragraph(NOTE.format(**data.systems._asdict())))
    if data.paper is not None:
        blocks.append(Paragraph(table1.paper_note(data.paper, data.tests)))
    return blocks


def _comparisons(data: ReportData) -> list[Block]:
    if data.comparisons:
        return tables.comparisons(data.comparisons, data.systems, data.conf)
    if not data.decoded:
        reason = "the decode folders do not exist, so only pooled results are available"
    else:
        reason = "no cell has both a baseline and a joint system on the same utterances"
    return [Paragraph(f"No significance tests and intervals: {reason}.")]


def _all_systems(data: ReportData) -> list[Block]:
    return [
        tables.word_errors(data.results, data.tests, data.estimates),
        tables.emotions(data.results, data.tests, data.estimates),
        Paragraph(INTERVALS),
    ]


def _ablations(data: ReportData) -> list[Block]:
    if set(data.results.systems) <= set(data.systems):
        return []
    return tables.ablations(
        ablation.rows(data.results, data.scores, data.systems, data.tests, data.conf)
    )


def _by_fold_and_speaker(data: ReportData) -> list[Block]:
    """Return results by fold, and by speaker unless each fold tests exactly one speaker."""
    same = all(cell.get("by_fold") == cell.get("by_speaker") for cell in data.results.cells)
    keys = ["by_fold"] if same else ["by_fold", "by_speaker"]
    return tables.breakdown(data.results, data.tests, keys)


def _audit(data: ReportData) -> list[Block]:
    if data.findings:
        return [tables.audit(data.findings)]
    return [Paragraph("Not audited: the decode folders do not exist.")]


def _provenance(data: ReportData) -> list[Block]:
    """Return configuration, versions and command of each system and decoding method."""
    columns = ("conf", "seed", "method", "engine", "stack", "commit")
    commands: dict[str, list[str]] = {}
    rows = []
    main_method = data.results.method
    by_method = sorted(data.results.by_method(), key=lambda results: results.method != main_method)
    for results in by_method:
        for system, kind in results.systems.items():
            cells = [cell for cell in results.cells if cell["system"] == system]
            values = [_distinct(cell.get(key, "-") for cell in cells) for key in columns]
            for command in sorted({cell["command"] for cell in cells}):
                commands.setdefault(command, []).append(system)
            decode_commits = data.decode_commits.get((system, results.method), {"-"})
            rows.append([system, kind, *values, _distinct(decode_commits)])
    header = ["system", "kind", *columns[:-1], "trained at commit", "decoded at commit"]
    blocks: list[Block] = [Table("", header, rows, textual=True)]
    for command, systems in commands.items():
        blocks += [Paragraph(f"Command for {', '.join(systems)}:"), Code(command)]
    return [*blocks, Paragraph(f"Report generated at commit {data.origin.commit}.")]


def _table1_folds(data: ReportData) -> list[str]:
    """Return the folds of the systems in Table 1, or of all systems if these have no results."""
    cells = data.results.cells
    table1_cells = [cell for cell in cells if cell["system"] in data.systems] or cells
    return sorted({fold for cell in table1_cells for fold in cell["folds"]})


def _distinct(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values}))
