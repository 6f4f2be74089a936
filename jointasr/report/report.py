"""The report of stage 10: what it consists of, from results.json and the decode folders.

exp/RESULTS.md and exp/report.html are the same sections; pictures and audio are the page's.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jointasr.config.schema import Report
from jointasr.report import ablation, analysis, markdown, methods, pictures, table, tables
from jointasr.report import audit as auditing
from jointasr.report.analysis import METRICS, Comparison, Estimate, Metric, Scores
from jointasr.report.elements import Block, Bullets, Code, Figure, Paragraph, Section, Table
from jointasr.report.findings import Finding
from jointasr.report.table import NAMES, TRAIN, Cells, Trio, number
from jointasr.scoring import decode_dir
from jointasr.scoring.pooling import Part
from jointasr.utils.errors import DataError

PaperTable = Mapping[tuple[str, str], Mapping[str, float]]
NOTE = (
    "Base: `{asr}` for WER, `{ser}` for accuracy; joint: `{joint}`. Rel Imp is named as in the "
    "paper: for WER relative per cent, (base - joint) / base; for accuracy absolute points, "
    "joint - base; from unrounded values, positive where joint is better. WER is the sum of errors "
    "over the sum of reference words of all folds; accuracy is the share of all utterances."
)


class Origin(NamedTuple):
    """Where the report comes from."""

    recipe: str
    commit: str


class Material(NamedTuple):
    """All that a report is about."""

    cells: Cells
    tests: Sequence[str]
    trio: Trio
    conf: Report
    paper: PaperTable | None
    origin: Origin
    parts: list[Part]
    scores: Scores
    comparisons: list[Comparison]
    estimates: dict[tuple[str, str, str, Metric], Estimate]
    findings: list[Finding]
    methods: list[methods.MethodRow]
    decoded: dict[tuple[str, str], set[str]]
    """commits that decoded, by system and method"""


def gather(
    cells: Cells,
    tests: Sequence[str],
    exp: Path,
    conf: Report,
    paper: PaperTable | None,
    origin: Origin,
) -> Material:
    """Read what the cells were pooled from, compare and audit.

    Without the decode folders in ``exp`` there are only the pooled numbers. Raises DataError where
    there are not even these.
    """
    if not cells.all:
        raise DataError("no results to report; run stage 9 (score) first")
    trio, scores = cells.trio(), analysis.load_scores(cells, exp)
    parts = analysis.load_parts(cells, exp)
    places = [(train, test) for train in TRAIN for test in tests]
    found = []
    for metric in METRICS:
        pair = (trio.asr if metric == "wer" else trio.ser, trio.joint)
        found += analysis.compare(scores, pair, metric, places, conf)
    estimates = {
        (*key, metric): analysis.estimate(errors, metric, conf)
        for key, score in scores.items()
        for metric in METRICS
        if (errors := analysis.errors(score, metric)) is not None
    }
    findings = auditing.audit(parts) if parts else []
    compared = methods.rows(cells, tests, exp, conf)
    return Material(
        *(cells, tests, trio, conf, paper, origin, parts, scores, found, estimates, findings),
        *(compared, _decoded(cells, exp)),
    )


def _decoded(cells: Cells, exp: Path) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for own in cells.by_method():
        for part in analysis.load_parts(own, exp):
            commit = decode_dir.read_commit(part.decode)
            if commit is not None:
                found.setdefault((part.model.system, own.method), set()).add(commit)
    return found


def title(material: Material) -> str:
    """The report's heading."""
    return f"Results of {material.origin.recipe}"


def scope(material: Material) -> str:
    """What was tested, in a sentence or two."""
    folds = _table1_folds(material.cells, material.trio)
    text = f"{_count(folds)} ({', '.join(folds)})"
    facts = {utt: f for score in material.scores.values() for utt, f in score.facts.items()}
    if facts:
        speakers = {fact.speaker for fact in facts.values()}
        text += f", {len(speakers)} test speakers, {len(facts)} test utterances per scenario"
    return text + ". Predictions of all folds are pooled, then scored. All values in per cent."


def sections(material: Material) -> list[Section]:
    """The whole report, in the order in which it is read."""
    cells, tests, trio = material.cells, material.tests, material.trio
    clean = tests[0]
    note = Paragraph(NOTE.format(asr=trio.asr, ser=trio.ser, joint=trio.joint))
    first: list[Block] = [*tables.table1(cells, trio, tests, material.paper), note]
    if material.paper is not None:
        first.append(Paragraph(paper_note(material.paper, tests)))
    worst = pictures.listening(material.parts, material.scores, trio, tests, material.conf.worst)
    found = [
        Section("In short", [Bullets(_in_short(material))]),
        Section("Table 1", first),
        Section("Missing", [Bullets(missing(cells, trio, tests) or ["nothing"])]),
        _pictured("Figure 2", pictures.figure2(cells, trio, tests)),
        Section("Joint against baseline", _compared(material)),
        Section("Ablations", _ablations(material)),
        Section("Decoding", tables.methods(material.methods) if material.methods else []),
        Section("All systems", _all_systems(material)),
        Section("By style and emotion", tables.parted(cells, tests, ["by_style", "by_emotion"])),
        Section("By fold and speaker", _parted(material)),
        _pictured("Speakers", pictures.speakers(material.scores, trio, tests)),
        Section("Confusion of emotions", tables.confusions(cells, clean)),
        _pictured("Confusion matrices", pictures.confusions(cells, trio, clean)),
        _pictured("Training", pictures.curves(material.parts)),
        Section("Worst utterances", worst, page_only=True),
        Section("Audit", _audited(material)),
        Section("Where these numbers come from", _provenance(material)),
    ]
    return [section for section in found if _worth(section)]


def summary(material: Material, out: Path) -> str:
    """For the terminal: Table 1, ablations where there are any, and what one should know."""
    cells, tests, trio = material.cells, material.tests, material.trio
    text = table.terminal(table.table1(cells, trio, tests), tests)
    text += "imp: relative % for WER, points for accuracy; positive: joint is better than base\n"
    text += "".join(f"missing: {gap}\n" for gap in missing(cells, trio, tests))
    for block in _ablations(material):
        text += f"\n{markdown.block(block)}"
    text += "".join(f"{line}\n" for line in _in_short(material))
    engines = _distinct(cell["engine"] for cell in cells.all)
    stacks = _distinct(cell["stack"] for cell in cells.all)
    folds = _table1_folds(cells, trio)
    where = f"{out / 'RESULTS.md'}, {out / 'report.html'}"
    return text + f"{_count(folds)}, engine {engines}, stack {stacks}; more in {where}\n"


def missing(cells: Cells, trio: Trio, tests: Sequence[str]) -> list[str]:
    """Cells that Table 1 or the list of systems lacks, and cells that lack test speakers."""
    everyone = {speaker for cell in cells.all for speaker in cell["by_speaker"]}
    wanted = {(name, train) for name in (trio.asr, trio.ser, trio.joint) for train in TRAIN}
    wanted |= {(cell["system"], cell["train"]) for cell in cells.all}
    order = [*cells.systems, trio.asr, trio.ser, trio.joint]
    gaps = []
    for system, train in sorted(wanted, key=lambda x: (order.index(x[0]), x[1])):
        have = {test: cell for test in tests if (cell := cells.get(system, train, test))}
        lacking = [test for test in tests if test not in have]
        if lacking:
            what = "all tests" if len(lacking) == len(tests) else ", ".join(lacking)
            gaps.append(f"{system}, {NAMES[train]}: {what}")
        short: dict[tuple[str, ...], list[str]] = {}
        for test, cell in have.items():
            absent = tuple(sorted(everyone - cell["by_speaker"].keys()))
            if absent:
                short.setdefault(absent, []).append(test)
        for absent, names in short.items():
            what = "all tests" if len(names) == len(tests) else ", ".join(names)
            gaps.append(
                f"{system}, {NAMES[train]}: without speaker {', '.join(absent)} in {what} "
                "(not comparable with systems that have them)"
            )
    return gaps


def paper_note(paper: PaperTable, tests: Sequence[str]) -> str:
    """Which printed improvements do not follow from the printed error rates, by rounding."""
    odd = []
    for test in tests:
        for train in TRAIN:
            row = paper.get((test, train))
            if row is None:
                continue
            value = number(table.wer_improvement(row["wer_baseline"], row["wer_joint"]))
            printed = number(row["wer_imp"])
            if value != printed:
                odd.append(f"{test} {NAMES[train]} {printed} (from the WERs: {value})")
    text = "Printed in arXiv 2305.12540, its corpus IEMOCAP, ten folds.\n"
    if odd:
        text += f"Printed improvements off by the rounding of the WERs: {'; '.join(odd)}.\n"
    return text + (
        "Its text says that the joint model always wins in music and noise; its table has one "
        "exception, music at 5 dB, noise-trained.\n"
    )


def _pictured(title: str, figure: Figure | None) -> Section:
    return Section(title, [figure] if figure else [], page_only=True)


def _worth(section: Section) -> bool:
    """Whether there is anything in a section."""
    return any(not isinstance(block, Table) or block.rows for block in section.blocks)


def _in_short(material: Material) -> list[str]:
    lines = []
    for metric, name in METRICS.items():
        own = [one for one in material.comparisons if one.metric == metric]
        if own:
            counts = Counter(one.verdict(material.conf.level) for one in own)
            said = ", ".join(f"{verdict} in {n}" for verdict, n in counts.most_common())
            cells = f"{len(own)} cell{'s' if len(own) > 1 else ''}"
            lines.append(f"{name}, joint against baseline, {cells}: {said}.")
    failed = [one for one in material.findings if one.ok is False]
    if material.findings:
        checked = sum(one.ok is not None for one in material.findings)
        lines.append(
            f"Audit: {len(failed)} of {checked} checks failed: "
            + "; ".join(f"{one.check} ({one.where}: {one.value})" for one in failed)
            if failed
            else f"Audit: {checked} checks, none failed."
        )
    gaps = missing(material.cells, material.trio, material.tests)
    lines.append(f"Missing: {len(gaps)}, listed below." if gaps else "Nothing is missing.")
    return lines


def _compared(material: Material) -> list[Block]:
    if material.comparisons:
        return tables.comparisons(material.comparisons, material.trio, material.conf)
    return [Paragraph(f"No tests and intervals: {_absent(material)}.")]


def _absent(material: Material) -> str:
    if not material.parts:
        return "the decode folders are not here, so only pooled numbers are"
    return "no scenario has both a baseline and a joint system on the same utterances"


def _all_systems(material: Material) -> list[Block]:
    return [
        tables.word_errors(material.cells, material.tests, material.estimates),
        tables.emotions(material.cells, material.tests, material.estimates),
        Paragraph(
            "95 % intervals: for more speech of these speakers, by bootstrap over utterances; for "
            "new speakers, t over the speakers' values: around their mean, each counting alike."
        ),
    ]


def _ablations(material: Material) -> list[Block]:
    trio = {material.trio.asr, material.trio.ser, material.trio.joint}
    if set(material.cells.systems) <= trio:
        return []
    return tables.ablations(
        ablation.rows(material.cells, material.scores, material.trio, material.tests, material.conf)
    )


def _parted(material: Material) -> list[Block]:
    """By fold; by speaker as well where that is something else."""
    cells = material.cells.all
    same = all(cell.get("by_fold") == cell.get("by_speaker") for cell in cells)
    keys = ["by_fold"] if same else ["by_fold", "by_speaker"]
    return tables.parted(material.cells, material.tests, keys)


def _audited(material: Material) -> list[Block]:
    if material.findings:
        return [tables.audit(material.findings)]
    return [Paragraph("Nothing could be audited: the decode folders are not here.")]


def _provenance(material: Material) -> list[Block]:
    """Of each system and method that there are numbers of."""
    columns = ("conf", "seed", "method", "engine", "stack", "commit")
    commands: dict[str, list[str]] = {}
    rows = []
    shown = material.cells.method
    for cells in sorted(material.cells.by_method(), key=lambda own: own.method != shown):
        for system, kind in cells.systems.items():
            own = [cell for cell in cells.all if cell["system"] == system]
            values = [_distinct(cell.get(key, "-") for cell in own) for key in columns]
            for command in sorted({cell["command"] for cell in own}):
                commands.setdefault(command, []).append(system)
            decoded = material.decoded.get((system, cells.method), {"-"})
            rows.append([system, kind, *values, _distinct(decoded)])
    header = ["system", "kind", *columns[:-1], "trained at commit", "decoded at commit"]
    blocks: list[Block] = [Table("", header, rows, words=True)]
    for command, systems in commands.items():
        blocks += [Paragraph(f"{', '.join(systems)}: made by"), Code(command)]
    return [*blocks, Paragraph(f"Report made at commit {material.origin.commit}.")]


def _table1_folds(cells: Cells, trio: Trio) -> list[str]:
    """Folds of the systems in Table 1; where none of them is there, of all."""
    shown = [cell for cell in cells.all if cell["system"] in trio] or cells.all
    return sorted({fold for cell in shown for fold in cell["folds"]})


def _count(folds: Collection[str]) -> str:
    return f"{len(folds)} fold{'s' if len(folds) > 1 else ''}"


def _distinct(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values}))
