"""Lattices of k2: intersection of a decoding graph with posteriors, best paths, n-best lists."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from jointasr.ctc import nbest
from jointasr.ctc.loss import (
    check_finite,
    dense_fsa_vec,
    frame_counts,
    longest_first,
    require_k2,
)
from jointasr.utils.errors import DataError


class Beams(NamedTuple):
    """Parameters of ``k2.intersect_dense_pruned``, with the defaults of k2."""

    search_beam: float = 20.0
    output_beam: float = 8.0
    min_active_states: int = 30
    max_active_states: int = 10_000

    def widened(self, factor: int) -> "Beams":
        """Return wider search beams with the same output beam."""
        return self._replace(
            search_beam=factor * self.search_beam,
            max_active_states=factor * self.max_active_states,
        )


DEFAULT_BEAMS = Beams()
MAX_BATCH_STATES = 8_000_000
"""active states, summed over frames, of lattices that are computed together: about 4 GiB"""
MAX_RESCORED_LABELS = 2000
"""output labels of a lattice that is rescored; epsilon removal may square the number of arcs"""
RETRY_FACTOR = 4
"""factor of the search beams in the second attempt at a row without a path"""


def intersect(
    graph: Any, log_probs: Tensor, lengths: Sequence[int], rows: Sequence[int], beams: Beams
) -> Any:
    """Return the lattices (a k2 FsaVec, in the order of ``rows``) of a decoding graph and rows of
    log posteriors (N, T, C).

    ``rows`` must be sorted by descending length and have frames. A row without a path gets a
    lattice without arcs.
    """
    if beams.min_active_states >= beams.max_active_states:  # k2 would abort
        raise DataError(
            f"min_active_states {beams.min_active_states} must be below max_active_states, "
            f"{beams.max_active_states}"
        )
    k2 = require_k2(log_probs.device)
    posteriors = dense_fsa_vec(k2, log_probs.detach(), lengths, rows)
    return k2.intersect_dense_pruned(graph, posteriors, **beams._asdict())


def search_lattices(
    graph: Any, log_probs: Tensor, frames: Tensor, beams: Beams
) -> Iterator[tuple[list[int], Any]]:
    """Yield groups of rows of log posteriors (N, T, C), frames (N,), with their lattices (FsaVec).

    Rows without frames are omitted. Rows without a path are searched once more with wider beams and
    yielded again. Raises
    FloatingPointError with the rows of non-finite posteriors.
    """
    lengths = frame_counts(log_probs, frames)
    check_finite(log_probs, lengths)
    pending = [row for row in longest_first(range(len(lengths)), lengths) if lengths[row]]
    for factor in (1, RETRY_FACTOR):
        failed: list[int] = []
        widened = beams.widened(factor)
        for rows, group_beams in _group_rows(pending, lengths, widened, graph.shape[0]):
            lattice = intersect(graph, log_probs, lengths, rows, group_beams)
            yield rows, lattice
            failed += [
                row for row, arcs in zip(rows, _arc_counts(lattice), strict=True) if not arcs
            ]
        pending = failed


def _group_rows(
    rows: Sequence[int], lengths: Sequence[int], beams: Beams, states: int
) -> Iterator[tuple[list[int], Beams]]:
    """Yield groups of rows whose lattices have at most MAX_BATCH_STATES active states together.

    ``states``: of the graph. A row that exceeds this alone is searched with a lower limit per
    frame, so the search of a row never depends on the other rows.
    """
    group: list[int] = []
    available = 0
    for row in rows:
        limit = max(beams.min_active_states + 1, MAX_BATCH_STATES // lengths[row])
        row_beams = beams._replace(max_active_states=min(beams.max_active_states, limit))
        if row_beams != beams and states > row_beams.max_active_states:
            yield [row], row_beams
            continue
        needed = lengths[row] * min(states, beams.max_active_states)
        if group and needed > available:
            yield group, beams
            group = []
        available = (available if group else MAX_BATCH_STATES) - needed
        group.append(row)
    if group:
        yield group, beams


def _arc_counts(lattice: Any) -> list[int]:
    """Return the number of arcs of each lattice."""
    counts: list[int] = lattice.arcs.shape().remove_axis(1).row_splits(1).diff().tolist()
    return counts


def best_paths(
    graph: Any, log_probs: Tensor, frames: Tensor, beams: Beams = DEFAULT_BEAMS
) -> list[list[int] | None]:
    """Return the output labels of each row's best path through ``graph`` (topology, HLG ...).

    log_probs: (N, T, C) log posteriors; frames: (N,) valid frames.

    None for a row without a path, [] for a row without frames. Raises FloatingPointError with the
    rows of non-finite posteriors.
    """
    results: list[list[int] | None] = [None if n else [] for n in frames.tolist()]
    for rows, lattice in search_lattices(graph, log_probs, frames, beams):
        for row, labels in zip(rows, _shortest_paths(lattice), strict=True):
            results[row] = labels
    return results


def _shortest_paths(lattice: Any) -> list[list[int] | None]:
    """Return the labels of the best path of each lattice, None if it has no path."""
    k2 = require_k2()
    labels = k2.get_aux_labels(k2.shortest_path(lattice, use_double_scores=True))
    return [ids if arcs else None for ids, arcs in zip(labels, _arc_counts(lattice), strict=True)]


def n_best(
    graph: Any,
    log_probs: Tensor,
    frames: Tensor,
    n: int,
    beams: Beams = DEFAULT_BEAMS,
    prune: float = 0.0,
    rescore: Callable[[Any], Any] | None = None,
) -> list[list[nbest.Labels]]:
    """Return the n best sequences of each row's output labels, best first.

    log_probs: (N, T, C) log posteriors; frames: (N,) valid frames.
    prune: arcs with a lower posterior are removed, except those of the best path.
    rescore: is applied to the label lattices first (see :func:`jointasr.ctc.graphs.rescorer`),
        unless they have more than MAX_RESCORED_LABELS.

    A row without a path has no sequence; a row without frames has the empty sequence. Raises
    FloatingPointError with the rows of non-finite posteriors.
    """
    results: list[list[nbest.Labels]] = [[] if count else [()] for count in frames.tolist()]
    for rows, lattice in search_lattices(graph, log_probs, frames, beams):
        best_labels = _shortest_paths(lattice)
        if prune:
            lattice = require_k2().prune_on_arc_post(lattice, prune, use_double_scores=True)
        acceptors = label_acceptors(lattice)
        for i, (row, best) in enumerate(zip(rows, best_labels, strict=True)):
            fsa = acceptors[i]
            if rescore and int((fsa.labels > 0).sum()) <= MAX_RESCORED_LABELS:
                fsa = rescore(fsa)
            results[row] = [labels for labels, _ in nbest.n_best(arcs_by_state(fsa), n)]
            if best is not None and tuple(best) not in results[row]:
                results[row] = [*results[row][: n - 1], tuple(best)]
    return results


def label_acceptors(lattice: Any) -> Any:
    """Return acceptors of the lattices' output labels, with epsilons, on the CPU.

    The best path of an accepted sequence has the score of the lattice's best path with these
    labels. The acceptors keep the attribute ``scores`` and, if the graph has it, ``lm_scores``.
    """
    k2 = require_k2()
    inverted = k2.invert(lattice.to("cpu"))  # an arc with several labels becomes several arcs
    acceptors = k2.Fsa(inverted.arcs)
    acceptors.scores = inverted.scores.clone()
    if hasattr(inverted, "lm_scores"):
        acceptors.lm_scores = inverted.lm_scores.clone()
    return k2.connect(acceptors)


def arcs_by_state(fsa: Any) -> nbest.Acceptor:
    """Return the arcs of a k2 acceptor by state, [] if it has no path."""
    arcs: list[list[nbest.Arc]] = [[] for _ in range(fsa.shape[0])]
    rows = fsa.arcs.values()[:, :3].tolist()
    for (source, target, label), score in zip(rows, fsa.scores.tolist(), strict=True):
        arcs[source].append((label, target, score))
    return nbest.topological_sort(arcs)
