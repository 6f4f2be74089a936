"""exp/results.json: a list of cells, one for each system, training condition, test and method.

A cell has the pooled results of all folds: WER with error counts, accuracies, confusion matrix, and
results by fold, speaker, emotion and style. :mod:`jointasr.scoring.pooling` computes cells.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jointasr.config.layout import DEFAULT_METHOD
from jointasr.utils import files
from jointasr.utils.errors import DataError

CellKey = tuple[str, str, str, str]
"""system, decoding method, training condition, test scenario"""
SYSTEMS = ("asr", "ser", "joint")
"""listed before all others, in this order"""
ABSOLUTE_PATH = re.compile(r"(?<![^\s=,'\"])/(?:[^/\s,'\"]*/)*(?=[^/\s,'\"])")


class Results:
    """The cells of one decoding method, by system, training condition and test scenario."""

    def __init__(self, cells: Iterable[Mapping[str, Any]], method: str) -> None:
        self.method, self._all_methods = method, list(cells)
        self.cells = [cell for cell in self._all_methods if cell["method"] == method]
        self._index = {(c["system"], c["train"], c["test"]): c for c in self.cells}

    def get(self, system: str, train: str, test: str) -> Mapping[str, Any] | None:
        """Return a cell, None if it does not exist."""
        return self._index.get((system, train, test))

    def wer(self, system: str, train: str, test: str) -> float | None:
        """Return the WER of a cell, per cent; None if it does not exist or has no transcripts."""
        cell = self.get(system, train, test)
        return cell["wer"]["value"] if cell and cell["wer"] else None

    def acc(self, system: str, train: str, test: str) -> float | None:
        """Return the weighted accuracy of a cell, as reported by the paper, per cent, or None."""
        cell = self.get(system, train, test)
        return cell["acc"]["wa"] if cell and cell["acc"] else None

    def by_method(self) -> list[Results]:
        """Return the results of every decoding method, including this one."""
        methods = dict.fromkeys(cell["method"] for cell in self._all_methods)
        return [Results(self._all_methods, method) for method in methods]

    @property
    def systems(self) -> dict[str, str]:
        """Return {system: kind} in the order of the cells."""
        return {cell["system"]: cell["kind"] for cell in self.cells}


def read(path: Path) -> list[dict[str, Any]]:
    """Read the cells of results.json; [] if it does not exist.

    Raises DataError if it is not a list of cells.
    """
    if not path.is_file():
        return []
    try:
        cells = json.loads(files.read_text(path))
        for cell in cells:
            cell_key(cell)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a list of cells ({error!r}); move it away") from None
    assert isinstance(cells, list)
    return cells


def write(path: Path, cells: Sequence[Mapping[str, Any]]) -> None:
    """Write results.json atomically if its content changes."""
    text = json.dumps(cells, indent=1, ensure_ascii=False, allow_nan=False)
    files.write_text_if_changed(path, f"{text}\n")


def merge(
    old: Iterable[dict[str, Any]],
    new: Iterable[dict[str, Any]],
    is_requested: Callable[[CellKey], bool],
    tests: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the ``new`` cells and those ``old`` cells that were not requested, in a fixed order.

    ``tests`` gives the order of test scenarios. A requested cell that is not among the new ones is
    removed.
    """
    cells = {cell_key(cell): cell for cell in old if not is_requested(cell_key(cell))}
    cells |= {cell_key(cell): cell for cell in new}
    return [cells[key] for key in sorted(cells, key=lambda key: _sort_key(key, tests))]


def cell_key(cell: Mapping[str, Any]) -> CellKey:
    """Return system, decoding method, training condition and test scenario of a cell."""
    return (cell["system"], cell["method"], cell["train"], cell["test"])


def strip_absolute_paths(text: str) -> str:
    """Reduce absolute paths to their last component, to make results.json machine-independent."""
    return ABSOLUTE_PATH.sub("", text)


def _sort_key(key: CellKey, tests: Sequence[str]) -> tuple[object, ...]:
    system, method, train, test = key
    return (
        SYSTEMS.index(system) if system in SYSTEMS else len(SYSTEMS),
        system,
        method != DEFAULT_METHOD,
        method,
        train,
        tests.index(test) if test in tests else len(tests),
        test,
    )
