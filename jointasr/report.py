"""exp/RESULTS.md: Table 1 from results.json, what it is made of and what it lacks."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jointasr import results, scoring, table
from jointasr.errors import DataError
from jointasr.scoring import Score
from jointasr.table import TRAIN, Cells, Trio, markdown, number

PaperTable = Mapping[tuple[str, str], Mapping[str, float]]
NAMES = {"clean": "clean-trained", "noisy": "noise-trained"}
NOTE = (
    "Base: `{asr}` for WER, `{ser}` for accuracy; joint: `{joint}`. Imp. is what the paper calls "
    "Rel Imp: relative per cent for WER, (base - joint) / base; absolute points for accuracy, "
    "joint - base; from unrounded values, positive where joint is better. WER is the sum of errors "
    "over the sum of reference words of all folds; accuracy is the share of all utterances."
)


@dataclass(frozen=True)
class Origin:
    """Where the numbers come from."""

    recipe: str
    command: str
    commit: str


def build(
    cells: Cells, tests: Sequence[str], exp: Path, paper: PaperTable | None, origin: Origin
) -> str:
    """The text of RESULTS.md. Without the decode folders in ``exp``, only pooled numbers."""
    if not cells.all:
        raise DataError("no results to report; run stage 9 (score) first")
    trio = cells.trio()
    by_fold = load_folds(cells, exp)
    parts = [f"# Results of {origin.recipe}\n", _scope(cells, by_fold)]
    parts += ["## Table 1\n", _table1(table.table1(cells, trio, tests), tests)]
    parts.append(NOTE.format(asr=trio.asr, ser=trio.ser, joint=trio.joint) + "\n")
    gaps = missing(cells, trio, tests)
    if gaps:
        parts.append("## Missing\n\n" + "".join(f"- {gap}\n" for gap in gaps))
    if paper is not None:
        parts += ["## Table 1 of the paper\n", _table1(table.paper_rows(paper, tests), tests)]
        parts.append(paper_note(paper, tests))
    if set(cells.systems) - {trio.asr, trio.ser, trio.joint}:
        parts += ["## All systems\n", *_all_systems(cells, tests)]
    parts += ["## Per fold\n", *_per_fold(cells, tests, by_fold)]
    parts += ["## Where these numbers come from\n", _provenance(cells, origin)]
    return "\n".join(parts)


def summary(cells: Cells, tests: Sequence[str], out: Path) -> str:
    """Table 1 for the terminal, and what is missing."""
    trio = cells.trio()
    text = table.terminal(table.table1(cells, trio, tests), tests)
    text += "imp: relative % for WER, points for accuracy; positive: joint is better than base\n"
    gaps = missing(cells, trio, tests)
    text += "".join(f"missing: {gap}\n" for gap in gaps)
    engines = _distinct(cell["engine"] for cell in cells.all)
    stacks = _distinct(cell["stack"] for cell in cells.all)
    folds = {fold for cell in cells.all for fold in cell["folds"]}
    return text + f"{_folds(folds)}, engine {engines}, stack {stacks}; more in {out}\n"


def missing(cells: Cells, trio: Trio, tests: Sequence[str]) -> list[str]:
    """Cells that Table 1 or the list of systems lacks, and cells that lack folds."""
    all_folds = {fold for cell in cells.all for fold in cell["folds"]}
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
            folds = tuple(sorted(all_folds - set(cell["folds"])))
            if folds:
                short.setdefault(folds, []).append(test)
        for folds, names in short.items():
            what = "all tests" if len(names) == len(tests) else ", ".join(names)
            gaps.append(
                f"{system}, {NAMES[train]}: without fold {', '.join(folds)} in {what} "
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


def load_folds(cells: Cells, exp: Path) -> dict[tuple[str, str, str, str], Score]:
    """{(system, train, test, fold): score} of the decode folders still there."""
    scores = {}
    for cell in cells.all:
        for part in results.parts_of(cell, exp):
            key = (part.model.system, part.model.train, part.test, part.model.fold)
            scores[key] = scoring.load(part.data, part.decode)
    return scores


def _scope(cells: Cells, by_fold: Mapping[tuple[str, str, str, str], Score]) -> str:
    folds = sorted({fold for cell in cells.all for fold in cell["folds"]})
    text = f"{_folds(folds)} ({', '.join(folds)})"
    if by_fold:
        speakers = {facts.speaker for s in by_fold.values() for facts in s.facts.values()}
        utterances = {utterance for s in by_fold.values() for utterance in s.facts}
        text += f", {len(speakers)} test speakers, {len(utterances)} test utterances per scenario"
    return text + ". Predictions of all folds are pooled, then scored. All values in per cent.\n"


def _table1(rows: Sequence[table.Row], tests: Sequence[str]) -> str:
    header = ["test"]
    for metric in ("WER", "acc."):
        for name in NAMES.values():
            header += [f"{metric} {name}: base", "joint", "imp."]
    return markdown(header, [[t, *map(number, row)] for t, row in zip(tests, rows, strict=True)])


def _all_systems(cells: Cells, tests: Sequence[str]) -> list[str]:
    parts = []
    for title, value in (("WER", cells.wer), ("Accuracy", cells.acc)):
        rows = []
        for system in cells.systems:
            for train in TRAIN:
                values = [value(system, train, test) for test in tests]
                if any(v is not None for v in values):
                    rows.append([f"{system}, {NAMES[train]}", *map(number, values)])
        if rows:
            parts.append(f"{title}\n\n{markdown(['system', *tests], rows)}")
    return parts


def _per_fold(
    cells: Cells, tests: Sequence[str], by_fold: Mapping[tuple[str, str, str, str], Score]
) -> list[str]:
    if not by_fold:
        return ["The decode folders are not here, so only pooled numbers are.\n"]
    folds = sorted({fold for cell in cells.all for fold in cell["folds"]})
    parts = []
    for title, pooled in (("WER", cells.wer), ("Accuracy", cells.acc)):
        rows = []
        for system in cells.systems:
            for train in TRAIN:
                for test in tests:
                    value = pooled(system, train, test)
                    if value is None:
                        continue
                    each = [
                        _rate(by_fold.get((system, train, test, fold)), title) for fold in folds
                    ]
                    name = f"{system}, {NAMES[train]}, {test}"
                    rows.append([name, *map(number, each), number(value)])
        if rows:
            parts.append(f"{title}\n\n{markdown(['system and test', *folds, 'pooled'], rows)}")
    return parts


def _rate(score: Score | None, title: str) -> float | None:
    if score is None:
        return None
    if title == "WER":
        return score.counts.wer if score.counts else None
    return score.confusion.wa if score.confusion else None


def _provenance(cells: Cells, origin: Origin) -> str:
    columns = ("conf", "seed", "engine", "stack")
    rows = []
    for system, kind in cells.systems.items():
        own = [cell for cell in cells.all if cell["system"] == system]
        rows.append([system, kind, *(_distinct(cell[key] for cell in own) for key in columns)])
    header = ["system", "kind", *columns]
    method = _distinct(cell["method"] for cell in cells.all)
    return (
        f"{markdown(header, rows)}\nDecoding method: {method}. "
        f"Report made at commit {origin.commit} by\n\n    {origin.command}\n"
    )


def _folds(folds: Collection[str]) -> str:
    return f"{len(folds)} fold{'s' if len(folds) > 1 else ''}"


def _distinct(values: Iterable[object]) -> str:
    return ", ".join(sorted({str(value) for value in values}))
