"""Greedy, lattice and prefix beam search against each other and against enumeration."""

import math
from collections import defaultdict
from itertools import product

import pytest
import torch
from torch import Tensor

from jointasr.ctc import graphs, prefix_beam, search
from jointasr.ctc.lattice import Beams, best_paths
from jointasr.ctc.search import collapse_path, greedy, greedy_with_scores, one_best
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack

ENGINES = ["k2", "torch"]


def posteriors(n: int, t: int, c: int, seed: int, scale: float = 3.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(n, t, c, generator=generator)).log_softmax(dim=2)


def peaked(paths: list[list[int]], classes: int) -> tuple[Tensor, Tensor]:
    """Return log posteriors whose best labels are ``paths``, and their frame counts."""
    frames = torch.tensor([len(path) for path in paths])
    scores = torch.zeros(len(paths), max(1, int(frames.max())), classes)
    for row, path in enumerate(paths):
        for t, unit in enumerate(path):
            scores[row, t, unit] = 5.0
    return scores.log_softmax(dim=2), frames


def search_with(method: str, scores: Tensor, frames: Tensor) -> list[list[int]]:
    if method == "greedy":
        return greedy(scores, frames)
    if method == "k2":
        pytest.importorskip("k2")
        return one_best(scores, frames, "k2")
    return one_best(scores, frames, "torch")


METHODS = ["greedy", "k2", "torch"]


@pytest.mark.parametrize("method", METHODS)
def test_repeats_blanks_and_empty_results(method: str) -> None:
    paths = [
        [1, 1, 0, 1, 2, 2, 2],  # a repeat across a blank is a second label
        [0, 0, 0, 0],
        [],
        [3],
        [0],
        [1, 2, 1, 2],
        [0, 4, 4, 0, 0, 4, 0],
    ]
    expected = [[1, 1, 2], [], [], [3], [], [1, 2, 1, 2], [4, 4]]
    assert search_with(method, *peaked(paths, classes=5)) == expected


@pytest.mark.parametrize("method", METHODS)
def test_padding_is_ignored(method: str) -> None:
    scores, frames = peaked([[1, 0, 2, 2], [3, 3]], classes=5)
    scores[1, 2:] = math.nan
    assert search_with(method, scores, frames) == [[1, 2], [3]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nonfinite_posteriors_are_an_error(method: str, value: float) -> None:
    scores, frames = peaked([[1, 0, 2, 2], [3, 3, 0, 0]], classes=5)
    scores[1, 2, 0] = value
    with pytest.raises(FloatingPointError, match=r"rows \[1\]"):
        search_with(method, scores, frames)


@pytest.mark.parametrize("method", METHODS)
def test_batch_without_frames(method: str) -> None:
    assert search_with(method, torch.zeros(2, 3, 4), torch.tensor([0, 0])) == [[], []]


@pytest.mark.parametrize(("classes", "scale"), [(5, 3.0), (29, 0.5), (29, 3.0), (200, 8.0)])
def test_best_path_on_the_topology_is_the_greedy_path(classes: int, scale: float) -> None:
    pytest.importorskip("k2")
    scores = posteriors(40, 80, classes, seed=classes, scale=scale)
    frames = torch.randint(0, 81, (40,), generator=torch.Generator().manual_seed(0))
    top = scores.topk(2, dim=2).values
    assert (top[..., 0] > top[..., 1]).all()  # no ties
    assert one_best(scores, frames, "k2") == greedy(scores, frames)


def test_only_labels_are_returned() -> None:
    pytest.importorskip("k2")
    scores = posteriors(20, 30, 6, seed=1)
    found = one_best(scores, torch.full((20,), 30), "k2")
    assert all(0 < unit < 6 for ids in found for unit in ids)


def test_narrow_search_gives_a_result_for_every_utterance() -> None:
    """Beams that are too narrow may lose the best path but not an utterance."""
    pytest.importorskip("k2")
    scores = posteriors(10, 60, 29, seed=2, scale=0.1)
    frames = torch.full((10,), 60)
    found = one_best(scores, frames, "k2", Beams(0.01, 0.01, 0, 1))
    assert len(found) == 10 and all(found)
    with pytest.raises(DataError, match="min_active_states 30 must be below"):
        one_best(scores, frames, "k2", Beams(0.01, 0.01, max_active_states=1))


def test_utterance_without_a_path() -> None:
    """The graph accepts only a sequence that needs three frames."""
    k2 = pytest.importorskip("k2")
    graph = k2.ctc_graph([[1, 2, 3]])
    scores, frames = peaked([[1, 2], [1, 2, 3, 3], [], [1]], classes=5)
    assert best_paths(graph, scores, frames) == [None, [1, 2, 3], [], None]


def test_utterance_without_a_path_on_the_topology_gets_the_greedy_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pytest.importorskip("k2")
    scores = posteriors(3, 20, 6, seed=3)
    frames = torch.tensor([20, 5, 0])
    monkeypatch.setattr(search, "best_paths", lambda *_: [None, [1], []])
    assert one_best(scores, frames, "k2") == [greedy(scores, frames)[0], [1], []]


def test_topology_is_cached() -> None:
    pytest.importorskip("k2")
    assert graphs.topology(7, "cpu") is graphs.topology(7, "cpu")
    assert graphs.topology(7, "cpu") is not graphs.topology(8, "cpu")


def most_probable(scores: Tensor) -> list[int]:
    """Return the label sequence with the highest probability, by enumeration of all paths."""
    totals: dict[tuple[int, ...], float] = defaultdict(float)
    for path in product(range(scores.shape[1]), repeat=scores.shape[0]):
        logp = sum(float(scores[t, unit]) for t, unit in enumerate(path))
        totals[tuple(collapse_path(path))] += math.exp(logp)
    return list(max(totals, key=lambda labels: totals[labels]))


def test_prefix_beam_finds_the_most_probable_labels() -> None:
    scores = posteriors(30, 5, 4, seed=4, scale=1.0)
    frames = torch.tensor([5, 4, 3] * 10)
    hypotheses = prefix_beam.search_units(scores, frames, beam_size=1000, beam_threshold=math.inf)
    expected = [most_probable(row[:n].double()) for row, n in zip(scores, frames, strict=True)]
    best = [hyps[0][0] for hyps in hypotheses]
    assert best == expected
    assert best != greedy(scores, frames)  # the sum over alignments matters
    for hyps in hypotheses:  # every alignment is counted once
        assert math.fsum(math.exp(score) for _, score in hyps) == pytest.approx(1, abs=1e-5)


def test_prefix_beam_with_default_beams_is_close() -> None:
    scores = posteriors(60, 6, 4, seed=5)
    frames = torch.full((60,), 6)
    exact = prefix_beam.search_units(scores, frames, beam_size=1000, beam_threshold=math.inf)
    default = prefix_beam.search_units(scores, frames)
    assert sum(a[0][0] == b[0][0] for a, b in zip(exact, default, strict=True)) >= 57


def test_greedy_scores_are_the_labels_best_posteriors_with_gradient() -> None:
    generator = torch.Generator().manual_seed(5)
    log_probs = torch.randn(6, 12, 4, generator=generator).log_softmax(-1).requires_grad_()
    frames = torch.tensor([12, 9, 1, 0, 12, 5])
    found = greedy_with_scores(log_probs, frames)
    assert [ids for ids, _ in found] == greedy(log_probs, frames)
    for row, (ids, scores) in enumerate(found):
        expected, before = [], 0
        for t in range(int(frames[row])):  # the definition, frame by frame
            unit = int(log_probs[row, t].argmax())
            value = log_probs[row, t, unit].item()
            if unit and unit == before:
                expected[-1] = max(expected[-1], value)
            elif unit:
                expected.append(value)
            before = unit
        assert scores.tolist() == pytest.approx(expected) and len(ids) == len(expected)
    torch.cat([scores for _, scores in found]).sum().backward()
    assert log_probs.grad is not None
    assert int((log_probs.grad != 0).sum()) == sum(len(ids) for ids, _ in found)
