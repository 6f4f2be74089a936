"""From log-posteriors to token ids: greedy search, and each engine's own for the best."""

from collections.abc import Sequence

import torch
from torch import Tensor

from jointasr.ctc import graphs, prefix_beam
from jointasr.ctc.lattice import USUAL, Beams, best_paths
from jointasr.ctc.loss import BLANK, Engine, check_finite, frame_counts
from jointasr.utils.transfer import CopyToHost


def greedy(log_probs: Tensor, frames: Tensor) -> list[list[int]]:
    """Best unit of every frame, repeats merged, blanks removed.

    log_probs (N, T, C), frames (N,) valid frames. Raises FloatingPointError naming the rows
    whose posteriors are not finite.
    """
    return Greedy(log_probs, frames).labels()


class Greedy:
    """Greedy search of which the card does its part while others wait for no result."""

    def __init__(self, log_probs: Tensor, frames: Tensor) -> None:
        self._log_probs, self._lengths = log_probs, frame_counts(log_probs, frames)
        best = log_probs.detach().argmax(dim=2)
        finite = log_probs.detach().isfinite().all(dim=2)
        self._best = CopyToHost(torch.where(finite, best, -1))

    def labels(self) -> list[list[int]]:
        """What :func:`greedy` returns."""
        paths = [row[:n] for row, n in zip(self._best.wait().tolist(), self._lengths, strict=True)]
        if any(-1 in path for path in paths):
            check_finite(self._log_probs, self._lengths)
        return [collapse(path) for path in paths]


def greedy_scored(log_probs: Tensor, frames: Tensor) -> list[tuple[list[int], Tensor]]:
    """As ``greedy``, and the log-posterior of each unit in the best of its frames, (units,).

    Gradients pass through the log-posteriors.
    """
    lengths = frame_counts(log_probs, frames)
    check_finite(log_probs, lengths)
    best = log_probs.max(dim=2)
    paths, scores = best.indices.tolist(), best.values.tolist()
    found = []
    for row, n in enumerate(lengths):
        ids, places = [], []
        for unit, begin, end in spans(paths[row][:n]):
            ids.append(unit)
            places.append(max(range(begin, end), key=scores[row].__getitem__))
        found.append((ids, best.values[row, places]))
    return found


def spans(path: Sequence[int]) -> list[tuple[int, int, int]]:
    """Each label of a frame-by-frame path with its first frame and the one after its last."""
    ends = [t for t in range(1, len(path) + 1) if t == len(path) or path[t] != path[t - 1]]
    begins = [0, *ends][: len(ends)]
    return [(path[b], b, e) for b, e in zip(begins, ends, strict=True) if path[b] != BLANK]


def collapse(path: Sequence[int]) -> list[int]:
    """The labels that a frame-by-frame path stands for: repeats merged, then blanks removed."""
    return [unit for unit, _, _ in spans(path)]


def one_best(
    log_probs: Tensor, frames: Tensor, engine: Engine = "k2", beams: Beams = USUAL
) -> list[list[int]]:
    """Token ids by the engine's own search.

    k2: the shortest path through the lattice on the CTC topology, that is the most probable
    frame-by-frame path. torch: prefix-beam search, the most probable sequence of labels among those
    in the beam. No frames give []. Raises FloatingPointError naming the rows whose posteriors
    are not finite.
    """
    if engine == "torch":
        return [found[0][0] for found in prefix_beam.units(log_probs, frames)]
    graph = graphs.topology(log_probs.shape[2], str(log_probs.device))
    found = best_paths(graph, log_probs, frames, beams)
    if any(ids is None for ids in found):
        # Every state of the topology is final, so this takes posteriors at the edge of float32.
        # Without a graph that forbids anything the best path is the best unit of every frame.
        exact = greedy(log_probs, frames)
        return [b if a is None else a for a, b in zip(found, exact, strict=True)]
    return [ids for ids in found if ids is not None]
