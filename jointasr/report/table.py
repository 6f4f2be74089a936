"""Arithmetic and layout of Table 1: cells looked up, improvements, text tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jointasr.utils import files
from jointasr.utils.errors import DataError

DASH = "-"
TRAIN = ("clean", "noisy")
NAMES = {"clean": "clean-trained", "noisy": "noise-trained"}
TableRow = list[float | None]


class Trio(NamedTuple):
    """Names of the two baselines and the joint system that a Table 1 compares."""

    asr: str = "asr"
    ser: str = "ser"
    joint: str = "joint"


class Cells:
    """Results by (system, train, test), for one decoding method."""

    def __init__(self, cells: Iterable[Mapping[str, Any]], method: str) -> None:
        self.method, self._every = method, list(cells)
        self.all = [cell for cell in self._every if cell["method"] == method]
        self._index = {(c["system"], c["train"], c["test"]): c for c in self.all}

    def get(self, system: str, train: str, test: str) -> Mapping[str, Any] | None:
        return self._index.get((system, train, test))

    def wer(self, system: str, train: str, test: str) -> float | None:
        cell = self.get(system, train, test)
        return cell["wer"]["value"] if cell and cell["wer"] else None

    def acc(self, system: str, train: str, test: str) -> float | None:
        """Weighted accuracy, the paper's measure."""
        cell = self.get(system, train, test)
        return cell["acc"]["wa"] if cell and cell["acc"] else None

    def by_method(self) -> list[Cells]:
        """The results of every method, these among them."""
        methods = dict.fromkeys(cell["method"] for cell in self._every)
        return [Cells(self._every, method) for method in methods]

    @property
    def systems(self) -> dict[str, str]:
        """{name: kind} in file order."""
        return {cell["system"]: cell["kind"] for cell in self.all}

    def trio(self) -> Trio:
        """The systems asr, ser and joint; in place of one not run, the only other of its kind."""
        names = {}
        for kind in ("asr", "ser", "joint"):
            of_kind = [name for name, k in self.systems.items() if k == kind]
            names[kind] = of_kind[0] if kind not in of_kind and len(of_kind) == 1 else kind
        return Trio(**names)


def wer_improvement(baseline: float, joint: float) -> float | None:
    """Relative per cent, positive where joint is better (the paper's "Rel Imp" of WER)."""
    return 100.0 * (baseline - joint) / baseline if baseline else None


def acc_improvement(baseline: float, joint: float) -> float:
    """Absolute points, positive where joint is better (the paper's "Rel Imp" of accuracy)."""
    return joint - baseline


def table1(cells: Cells, trio: Trio, tests: Sequence[str]) -> list[TableRow]:
    """One row per test: (baseline, joint, improvement) x (clean, noisy) for WER, then accuracy."""
    rows = []
    for test in tests:
        row: TableRow = []
        for train in TRAIN:
            pair = cells.wer(trio.asr, train, test), cells.wer(trio.joint, train, test)
            row += [*pair, _improvement(wer_improvement, *pair)]
        for train in TRAIN:
            pair = cells.acc(trio.ser, train, test), cells.acc(trio.joint, train, test)
            row += [*pair, _improvement(acc_improvement, *pair)]
        rows.append(row)
    return rows


def figure2(
    cells: Cells, trio: Trio, tests: Sequence[str]
) -> dict[str, dict[tuple[str, str], TableRow]]:
    """The paper's Figure 2: each model relative to the clean-trained baseline, test by test.

    {"wer" (a) or "acc" (b): {(baseline or joint, training set): values}}: relative reduction of
    the WER in per cent, or points of accuracy; positive where better. The first model is the
    clean-trained baseline, at zero.
    """
    found: dict[str, dict[tuple[str, str], TableRow]] = {}
    for metric, value, base, gain in (
        ("wer", cells.wer, trio.asr, wer_improvement),
        ("acc", cells.acc, trio.ser, acc_improvement),
    ):
        zero = [value(base, "clean", test) for test in tests]
        found[metric] = {}
        for train in TRAIN:
            for system in (base, trio.joint):
                values = [value(system, train, test) for test in tests]
                pairs = zip(zero, values, strict=True)
                found[metric][system, train] = [_improvement(gain, *pair) for pair in pairs]
    return found


def read_paper(path: Path) -> dict[tuple[str, str], dict[str, float]]:
    """{(test, train): {column: per cent}} of a table such as conf/paper/table1.tsv."""
    lines = [
        line.split("\t")
        for line in files.read_text(path).splitlines()
        if line and not line.startswith("#")
    ]
    table = {}
    for values in lines[1:]:
        if len(values) != len(lines[0]):
            raise DataError(f"{path}: {values} has not {len(lines[0])} columns")
        row = dict(zip(lines[0], values, strict=True))
        key = (row.pop("test"), row.pop("train"))
        table[key] = {name: float(value) for name, value in row.items()}
    return table


def paper_rows(
    paper: Mapping[tuple[str, str], Mapping[str, float]], tests: Sequence[str]
) -> list[TableRow]:
    """The paper's printed numbers, improvements included, as ``table1`` lays out ours."""
    return [
        [
            paper.get((test, train), {}).get(f"{metric}_{column}")
            for metric in ("wer", "acc")
            for train in TRAIN
            for column in ("baseline", "joint", "imp")
        ]
        for test in tests
    ]


def number(value: float | None, digits: int = 1) -> str:
    """``-`` for a missing one; no negative zero."""
    return DASH if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def terminal(rows: Sequence[TableRow], tests: Sequence[str]) -> str:
    """Table 1 as plain text of at most 100 columns."""
    left = max(5, *map(len, tests))
    heads = [
        f"{metric}, {train}-trained" for metric in ("WER", "acc") for train in ("clean", "noise")
    ]
    lines = [" " * left + "".join(f"  {head:>19}" for head in heads)]
    lines.append("test".ljust(left) + f"  {'base':>5}{'joint':>7}{'imp':>7}" * len(heads))
    for test, row in zip(tests, rows, strict=True):
        lines.append(test.ljust(left) + "".join(number(value).rjust(7) for value in row))
    return "\n".join(lines) + "\n"


def _improvement(
    function: Callable[[float, float], float | None], baseline: float | None, joint: float | None
) -> float | None:
    return None if baseline is None or joint is None else function(baseline, joint)
