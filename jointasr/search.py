"""From log-posteriors to token ids: greedy search, k2 lattices, prefix-beam search."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from jointasr.ctc import (
    BLANK,
    Engine,
    check_finite,
    dense,
    frame_counts,
    longest_first,
    require_k2,
)
from jointasr.errors import DataError
from jointasr.host import Fetch

SEARCH_BEAM = 20.0
OUTPUT_BEAM = 8.0
MIN_ACTIVE = 30
MAX_ACTIVE = 10_000


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
        self._best = Fetch(torch.where(finite, best, -1))

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
    log_probs: Tensor,
    frames: Tensor,
    engine: Engine = "k2",
    search_beam: float = SEARCH_BEAM,
    output_beam: float = OUTPUT_BEAM,
    min_active: int = MIN_ACTIVE,
    max_active: int = MAX_ACTIVE,
) -> list[list[int]]:
    """Token ids by the engine's own search.

    k2: the shortest path through the lattice on the CTC topology, that is the most probable
    frame-by-frame path. torch: ``prefix_beam``, the most probable sequence of labels among those
    in the beam. No frames give []. Raises FloatingPointError naming the rows whose posteriors
    are not finite.
    """
    if engine == "torch":
        return prefix_beam(log_probs, frames)
    graph = topology(log_probs.shape[2], str(log_probs.device))
    beams = (search_beam, output_beam, min_active, max_active)
    found = best_paths(graph, log_probs, frames, *beams)
    if any(ids is None for ids in found):
        # Every state of the topology is final, so this takes posteriors at the edge of float32.
        # Without a graph that forbids anything the best path is the best unit of every frame.
        exact = greedy(log_probs, frames)
        return [b if a is None else a for a, b in zip(found, exact, strict=True)]
    return [ids for ids in found if ids is not None]


@lru_cache(maxsize=4)
def topology(classes: int, device: str) -> Any:
    """k2's CTC topology of ``classes`` units, blank included: about classes ** 2 arcs."""
    return require_k2(device).ctc_topo(classes - 1, modified=False, device=device)


def lattices(
    graph: Any,
    log_probs: Tensor,
    lengths: Sequence[int],
    rows: Sequence[int],
    search_beam: float = SEARCH_BEAM,
    output_beam: float = OUTPUT_BEAM,
    min_active: int = MIN_ACTIVE,
    max_active: int = MAX_ACTIVE,
) -> Any:
    """Lattices (a k2 FsaVec, in the order of ``rows``) of a decoding graph and posteriors.

    Give ``rows`` longest first, without those of no frames. A hopeless utterance has a lattice
    without arcs.
    """
    if min_active >= max_active:  # k2 would abort
        raise DataError(
            f"min_active_states {min_active} must be below max_active_states, {max_active}"
        )
    k2 = require_k2(log_probs.device)
    return k2.intersect_dense_pruned(
        graph,
        dense(k2, log_probs.detach(), lengths, rows),
        search_beam=search_beam,
        output_beam=output_beam,
        min_active_states=min_active,
        max_active_states=max_active,
    )


def best_paths(
    graph: Any,
    log_probs: Tensor,
    frames: Tensor,
    search_beam: float = SEARCH_BEAM,
    output_beam: float = OUTPUT_BEAM,
    min_active: int = MIN_ACTIVE,
    max_active: int = MAX_ACTIVE,
) -> list[list[int] | None]:
    """Output labels of each row's best path through ``graph`` (the topology, an HLG ...).

    Rows without a path are tried once more with the search beam and the limit of active states
    quadrupled; None where there still is none, for the caller to decide. No frames give [].
    """
    k2 = require_k2(log_probs.device)
    lengths = frame_counts(log_probs, frames)
    check_finite(log_probs, lengths)
    found: list[list[int] | None] = [None if n else [] for n in lengths]
    for widen in (1, 4):
        rows = [row for row in longest_first(range(len(lengths)), lengths) if found[row] is None]
        if not rows:
            break
        beams = (widen * search_beam, output_beam, min_active, widen * max_active)
        lattice = lattices(graph, log_probs, lengths, rows, *beams)
        labels = k2.get_aux_labels(k2.shortest_path(lattice, use_double_scores=True))
        arcs = lattice.arcs.shape().remove_axis(1).row_splits(1).diff().tolist()
        for row, ids, number in zip(rows, labels, arcs, strict=True):
            if number:
                found[row] = ids
    return found


def prefix_beam(
    log_probs: Tensor, frames: Tensor, beam: int = 16, symbol_beam: float = 10.0
) -> list[list[int]]:
    """CTC prefix-beam search (Hannun et al. 2014, without language model), in double precision.

    Keeps the ``beam`` most probable prefixes per frame, each with all alignments seen so far, and
    extends them by the units whose log-posterior is within ``symbol_beam`` of the frame's best.
    """
    lengths = frame_counts(log_probs, frames)
    check_finite(log_probs, lengths)
    scores = log_probs.detach().double().cpu()
    pairs = zip(scores, lengths, strict=True)
    return [_prefix_beam(row[:n], beam, symbol_beam) for row, n in pairs]


Prefix = tuple[int, ...]
NEVER = -math.inf


def _prefix_beam(scores: Tensor, beam: int, symbol_beam: float) -> list[int]:
    # Per prefix: log-probability of the alignments that end in blank, and of the others.
    prefixes: dict[Prefix, tuple[float, float]] = {(): (0.0, NEVER)}
    near = scores >= scores.max(dim=1, keepdim=True).values - symbol_beam if len(scores) else scores
    for frame, wanted in zip(scores.tolist(), near, strict=True):
        units = [unit for unit in wanted.nonzero().flatten().tolist() if unit != BLANK]
        prefixes = _step(prefixes, frame, units)
        ranked = sorted(prefixes.items(), key=lambda item: (-_add(*item[1]), item[0]))
        prefixes = dict(ranked[:beam])
    return list(next(iter(prefixes)))


def _step(
    prefixes: dict[Prefix, tuple[float, float]], frame: Sequence[float], units: Sequence[int]
) -> dict[Prefix, tuple[float, float]]:
    """All prefixes one frame later."""
    after: dict[Prefix, tuple[float, float]] = {}

    def count(prefix: Prefix, blank: float, label: float) -> None:
        old = after.get(prefix, (NEVER, NEVER))
        after[prefix] = (_add(old[0], blank), _add(old[1], label))

    for prefix, (blank, label) in prefixes.items():
        both = _add(blank, label)
        last = prefix[-1] if prefix else BLANK
        count(prefix, both + frame[BLANK], label + frame[last])
        for unit in units:
            # a repeated label is a new one only after a blank
            count((*prefix, unit), NEVER, (blank if unit == last else both) + frame[unit])
    return after


def _add(a: float, b: float) -> float:
    """log(exp(a) + exp(b))"""
    high, low = (a, b) if a >= b else (b, a)
    return high if low == NEVER else high + math.log1p(math.exp(low - high))
