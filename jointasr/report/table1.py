"""Table 1 and Figure 2 of the paper (arXiv 2305.12540): values, improvements, terminal table."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jointasr.report.formatting import TRAINED, TRAINING_SETS, number
from jointasr.scoring.results_json import Results
from jointasr.utils import files
from jointasr.utils.errors import DataError

TableRow = list[float | None]
PaperTable = Mapping[tuple[str, str], Mapping[str, float]]
"""{(test, train): {column: per cent}}"""


class Table1Systems(NamedTuple):
    """Names of the two baselines and of the joint system that Table 1 compares."""

    asr: str = "asr"
    ser: str = "ser"
    joint: str = "joint"


def select_systems(results: Results) -> Table1Systems:
    """Return asr, ser and joint; for a name without results, the system of this kind if unique."""
    names = {}
    for kind in Table1Systems._fields:
        same_kind = [name for name, value in results.systems.items() if value == kind]
        names[kind] = same_kind[0] if kind not in same_kind and len(same_kind) == 1 else kind
    return Table1Systems(**names)


def wer_improvement(baseline: float, joint: float) -> float | None:
    """Return the paper's "Rel Imp" of WER, per cent: 100 * (baseline - joint) / baseline.

    None if the baseline has no errors.
    """
    return 100.0 * (baseline - joint) / baseline if baseline else None


def acc_improvement(baseline: float, joint: float) -> float:
    """Return the paper's "Rel Imp" of accuracy, percentage points: joint - baseline."""
    return joint - baseline


def table1(results: Results, systems: Table1Systems, tests: Sequence[str]) -> list[TableRow]:
    """Return the values of Table 1, one row per test.

    A row has, for WER and then for accuracy, (baseline, joint, improvement) of each training set.
    """
    rows = []
    for test in tests:
        row: TableRow = []
        for train in TRAINING_SETS:
            pair = results.wer(systems.asr, train, test), results.wer(systems.joint, train, test)
            row += [*pair, _improvement(wer_improvement, *pair)]
        for train in TRAINING_SETS:
            pair = results.acc(systems.ser, train, test), results.acc(systems.joint, train, test)
            row += [*pair, _improvement(acc_improvement, *pair)]
        rows.append(row)
    return rows


def figure2(
    results: Results, systems: Table1Systems, tests: Sequence[str]
) -> dict[str, dict[tuple[str, str], TableRow]]:
    """Return the values of Figure 2: each model relative to the clean-trained baseline.

    {"wer" (a) or "acc" (b): {(baseline or joint, training condition): value per test}}: relative
    reduction of the WER in per cent, or gain of accuracy in percentage points. The first model is
    the clean-trained baseline, with zeros.
    """
    values: dict[str, dict[tuple[str, str], TableRow]] = {}
    for metric, value_of, baseline, improvement in (
        ("wer", results.wer, systems.asr, wer_improvement),
        ("acc", results.acc, systems.ser, acc_improvement),
    ):
        reference = [value_of(baseline, "clean", test) for test in tests]
        values[metric] = {}
        for train in TRAINING_SETS:
            for system in (baseline, systems.joint):
                pairs = zip(
                    reference, (value_of(system, train, test) for test in tests), strict=True
                )
                values[metric][system, train] = [_improvement(improvement, *pair) for pair in pairs]
    return values


def read_paper(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Read published results from a table such as conf/paper/table1.tsv.

    Returns {(test, train): {column: per cent}}. Raises DataError for a line with another number of
    columns than the header.
    """
    header, *lines = [
        line.split("\t")
        for line in files.read_text(path).splitlines()
        if line and not line.startswith("#")
    ]
    table = {}
    for values in lines:
        if len(values) != len(header):
            raise DataError(f"{path}: expected {len(header)} columns, found {values}")
        row = dict(zip(header, values, strict=True))
        key = (row.pop("test"), row.pop("train"))
        table[key] = {name: float(value) for name, value in row.items()}
    return table


def paper_rows(paper: PaperTable, tests: Sequence[str]) -> list[TableRow]:
    """Return the published values, improvements included, in the layout of ``table1``."""
    return [
        [
            paper.get((test, train), {}).get(f"{metric}_{column}")
            for metric in ("wer", "acc")
            for train in TRAINING_SETS
            for column in ("baseline", "joint", "imp")
        ]
        for test in tests
    ]


def paper_note(paper: PaperTable, tests: Sequence[str]) -> str:
    """Return a note on the published results and their published improvements.

    It lists improvements that differ from those computed from the published, rounded WERs.
    """
    differing = []
    for test in tests:
        for train in TRAINING_SETS:
            row = paper.get((test, train))
            if row is None:
                continue
            value = number(wer_improvement(row["wer_baseline"], row["wer_joint"]))
            published = number(row["wer_imp"])
            if value != published:
                differing.append(f"{test} {TRAINED[train]} {published} (from the WERs: {value})")
    text = "Paper: arXiv 2305.12540, Table 1, on IEMOCAP with ten folds.\n"
    if differing:
        text += (
            "Published improvements that differ from those computed from the published, rounded "
            f"WERs: {'; '.join(differing)}.\n"
        )
    return text + (
        "The text of the paper states that the joint model is better in all music and noise "
        "scenarios; its Table 1 has one exception, music at 5 dB, noise-trained.\n"
    )


def terminal(rows: Sequence[TableRow], tests: Sequence[str]) -> str:
    """Return Table 1 as plain text of at most 100 columns."""
    width = max(5, *map(len, tests))
    titles = [
        f"{metric}, {train}-trained" for metric in ("WER", "acc") for train in ("clean", "noise")
    ]
    lines = [" " * width + "".join(f"  {title:>19}" for title in titles)]
    lines.append("test".ljust(width) + f"  {'base':>5}{'joint':>7}{'imp':>7}" * len(titles))
    for test, row in zip(tests, rows, strict=True):
        lines.append(test.ljust(width) + "".join(number(value).rjust(7) for value in row))
    return "\n".join(lines) + "\n"


def _improvement(
    function: Callable[[float, float], float | None], baseline: float | None, joint: float | None
) -> float | None:
    return None if baseline is None or joint is None else function(baseline, joint)
