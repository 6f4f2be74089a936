"""Forced alignment against dynamic programming, and the CTM files written from it."""

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torchaudio
from torch import Tensor

from jointasr.ctc import search
from jointasr.decoding import alignment
from jointasr.decoding.alignment import TimedLabel
from jointasr.text.lang import Units

pytestmark = pytest.mark.stack

ENGINES = [
    pytest.param("k2", marks=pytest.mark.skipif(find_spec("k2") is None, reason="no k2 here")),
    pytest.param(
        "torch",
        marks=pytest.mark.skipif(
            not hasattr(torchaudio.functional, "forced_align"), reason="torchaudio before 2.1"
        ),
    ),
]


def viterbi(scores: Tensor, target: list[int]) -> list[int]:
    """Return the best unit of each frame among all paths that collapse to ``target``.

    The states are the labels with blanks between and around them.
    """
    states = [0]
    for unit in target:
        states += [unit, 0]
    best: dict[int, tuple[float, list[int]]] = {}
    for t, row in enumerate(scores.double().tolist()):
        after: dict[int, tuple[float, list[int]]] = {}
        for state, unit in enumerate(states):
            before = [state, state - 1]
            if unit and state >= 2 and states[state - 2] != unit:
                before.append(state - 2)
            if t == 0:
                options = [(0.0, [])] if state < 2 else []
            else:
                options = [best[s] for s in before if s in best]
            if options:
                score, path = max(options, key=lambda option: option[0])
                after[state] = (score + row[unit], [*path, unit])
        best = after
    ends = [best[s] for s in (len(states) - 1, len(states) - 2) if s in best]
    return max(ends, key=lambda option: option[0])[1]


@pytest.mark.parametrize("engine", ENGINES)
def test_best_path_equals_viterbi(engine: str) -> None:
    generator = torch.Generator().manual_seed(1)
    scores = (2 * torch.randn(12, 30, 6, generator=generator)).log_softmax(2)
    frames = torch.randint(12, 31, (12,), generator=generator)
    targets = [torch.randint(1, 6, (n % 8,), generator=generator).tolist() for n in range(12)]
    targets[4] = [2, 2, 2]
    found = alignment.align(scores, frames, targets, engine)
    for row, target in enumerate(targets):
        path = viterbi(scores[row, : int(frames[row])], target)
        assert found[row] == search.label_spans(path)
        assert [unit for unit, _, _ in found[row] or []] == target


@pytest.mark.parametrize("engine", ENGINES)
def test_edges(engine: str) -> None:
    scores = torch.randn(5, 4, 5).log_softmax(2)
    frames = torch.tensor([4, 1, 2, 0, 2])
    found = alignment.align(scores, frames, [[], [3], [1, 1], [], [1, 2]], engine)
    assert found == [[], [(3, 0, 1)], None, [], [(1, 0, 1), (2, 1, 2)]]
    assert alignment.align(scores, frames, [[1] * 9] * 5, engine) == [None] * 5
    scores[1, 0, 0] = torch.nan
    with pytest.raises(FloatingPointError, match=r"rows \[1\]"):
        alignment.align(scores, frames, [[1]] * 5, engine)


def test_words_span_their_units(tmp_path: Path) -> None:
    units = Units.char()
    ids = units.encode("IT'S ME")
    path = [(unit, 3 * i, 3 * i + 1 + i % 2) for i, unit in enumerate(ids)]
    timed_units, words = alignment.unit_and_word_times(path, units, 0.02)
    assert [unit.text for unit in timed_units] == list("IT'S|ME")
    assert words == [
        TimedLabel("IT'S", 0.0, pytest.approx(0.22)),
        TimedLabel("ME", pytest.approx(0.30), pytest.approx(0.40 - 0.02)),
    ]
    alignment.write_ctm(tmp_path / "ctm", {"u2": words, "u1": []}, {"u2": [0.5, 0.25], "u1": []})
    lines = (tmp_path / "ctm").read_text().splitlines()
    assert lines == ["u2 1 0.000 0.220 IT'S 0.5000", "u2 1 0.300 0.080 ME 0.2500"]
    alignment.write_ctm(tmp_path / "ctm", {"u2": words[:1]})
    assert (tmp_path / "ctm").read_text() == "u2 1 0.000 0.220 IT'S\n"
