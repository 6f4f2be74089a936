"""Search for the best label sequence: greedy search and the search of each engine."""

from collections.abc import Sequence

import torch
from torch import Tensor

from jointasr.ctc import graphs, prefix_beam
from jointasr.ctc.lattice import DEFAULT_BEAMS, Beams, best_paths
from jointasr.ctc.loss import BLANK, Engine, check_finite, frame_counts
from jointasr.utils.transfer import CopyToHost


def greedy(log_probs: Tensor, frames: Tensor) -> list[list[int]]:
    """Return for each row the best label of every frame, repeats merged and blanks removed.

    log_probs: (N, T, C) log posteriors; frames: (N,) valid frames. Raises FloatingPointError with
    the rows of non-finite posteriors.
    """
    return Greedy(log_probs, frames).labels()


class Greedy:
    """Greedy search whose result is copied from the GPU asynchronously."""

    def __init__(self, log_probs: Tensor, frames: Tensor) -> None:
        self._log_probs, self._lengths = log_probs, frame_counts(log_probs, frames)
        best = log_probs.detach().argmax(dim=2)
        finite = log_probs.detach().isfinite().all(dim=2)
        self._best = CopyToHost(torch.where(finite, best, -1))

    def labels(self) -> list[list[int]]:
        """Wait for the result and return it, as :func:`greedy` does."""
        paths = [row[:n] for row, n in zip(self._best.wait().tolist(), self._lengths, strict=True)]
        if any(-1 in path for path in paths):
            check_finite(self._log_probs, self._lengths)
        return [collapse_path(path) for path in paths]


def greedy_with_scores(log_probs: Tensor, frames: Tensor) -> list[tuple[list[int], Tensor]]:
    """Return for each row the labels of :func:`greedy` and a tensor of their scores.

    A label's score is its maximum log posterior over its frames; gradients pass through it. Raises
    FloatingPointError with the rows of non-finite posteriors.
    """
    lengths = frame_counts(log_probs, frames)
    check_finite(log_probs, lengths)
    best = log_probs.max(dim=2)
    paths, scores = best.indices.tolist(), best.values.tolist()
    results = []
    for row, n in enumerate(lengths):
        labels, peaks = [], []
        for label, begin, end in label_spans(paths[row][:n]):
            labels.append(label)
            peaks.append(max(range(begin, end), key=scores[row].__getitem__))
        results.append((labels, best.values[row, peaks]))
    return results


def label_spans(path: Sequence[int]) -> list[tuple[int, int, int]]:
    """Return the non-blank labels of a path (one label per frame) with their frames.

    A span is (label, first frame, end frame), end exclusive.
    """
    ends = [t for t in range(1, len(path) + 1) if t == len(path) or path[t] != path[t - 1]]
    begins = [0, *ends][: len(ends)]
    return [(path[b], b, e) for b, e in zip(begins, ends, strict=True) if path[b] != BLANK]


def collapse_path(path: Sequence[int]) -> list[int]:
    """Return the labels of a path (one label per frame): merge repeats, then remove blanks."""
    return [label for label, _, _ in label_spans(path)]


def one_best(
    log_probs: Tensor, frames: Tensor, engine: Engine = "k2", beams: Beams = DEFAULT_BEAMS
) -> list[list[int]]:
    """Return the best label sequence of each row, found by the engine's search.

    k2: the shortest path through the lattice on the CTC topology, which is the most probable path
    of one label per frame. torch: prefix beam search for the most probable label sequence. A row
    without frames gives []. Raises FloatingPointError with the rows of non-finite posteriors.
    """
    if engine == "torch":
        return [hyps[0][0] for hyps in prefix_beam.search_units(log_probs, frames)]
    graph = graphs.topology(log_probs.shape[2], str(log_probs.device))
    best = best_paths(graph, log_probs, frames, beams)
    if any(labels is None for labels in best):
        # Every state of the topology is final, so this happens only for posteriors at the limits of
        # float32. The topology accepts every path, so the best one is the greedy one.
        exact = greedy(log_probs, frames)
        return [b if a is None else a for a, b in zip(best, exact, strict=True)]
    return [labels for labels in best if labels is not None]
