"""Lattices of k2: made from a decoding graph and posteriors, searched, reduced to their labels."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from typing import Any, NamedTuple

from torch import Tensor

from jointasr import nbest
from jointasr.ctc import check_finite, dense, frame_counts, longest_first, require_k2
from jointasr.errors import DataError
from jointasr.nbest import Acceptor


class Beams(NamedTuple):
    """How wide k2 searches, by its own names and defaults."""

    search_beam: float = 20.0
    output_beam: float = 8.0
    min_active_states: int = 30
    max_active_states: int = 10_000

    def widened(self, factor: int) -> "Beams":
        """The search so many times as wide; what is put out has the same width."""
        return self._replace(
            search_beam=factor * self.search_beam,
            max_active_states=factor * self.max_active_states,
        )


USUAL = Beams()
MOST = 2000
"""output labels of a lattice: without epsilons it may have the square of as many arcs"""


def lattices(
    graph: Any, log_probs: Tensor, lengths: Sequence[int], rows: Sequence[int], beams: Beams
) -> Any:
    """Lattices (a k2 FsaVec, in the order of ``rows``) of a decoding graph and posteriors.

    Give ``rows`` longest first, without those of no frames. A hopeless utterance has a lattice
    without arcs.
    """
    if beams.min_active_states >= beams.max_active_states:  # k2 would abort
        raise DataError(
            f"min_active_states {beams.min_active_states} must be below max_active_states, "
            f"{beams.max_active_states}"
        )
    k2 = require_k2(log_probs.device)
    posteriors = dense(k2, log_probs.detach(), lengths, rows)
    return k2.intersect_dense_pruned(graph, posteriors, **beams._asdict())


def searched(
    graph: Any, log_probs: Tensor, frames: Tensor, beams: Beams
) -> Iterator[tuple[list[int], Any]]:
    """Rows with their lattices, until each row that can has had one with a path.

    Rows without a path are tried once more with the search four times as wide. Raises
    FloatingPointError naming the rows whose posteriors are not finite.
    """
    lengths = frame_counts(log_probs, frames)
    check_finite(log_probs, lengths)
    left = [row for row in longest_first(range(len(lengths)), lengths) if lengths[row]]
    for factor in (1, 4):
        if not left:
            break
        lattice = lattices(graph, log_probs, lengths, left, beams.widened(factor))
        yield left, lattice
        arcs = lattice.arcs.shape().remove_axis(1).row_splits(1).diff().tolist()
        left = [row for row, number in zip(left, arcs, strict=True) if not number]


def best_paths(
    graph: Any, log_probs: Tensor, frames: Tensor, beams: Beams = USUAL
) -> list[list[int] | None]:
    """Output labels of each row's best path through ``graph`` (the topology, an HLG ...).

    None where there is no path, for the caller to decide. No frames give [].
    """
    k2 = require_k2(log_probs.device)
    found: list[list[int] | None] = [None if n else [] for n in frames.tolist()]
    for rows, lattice in searched(graph, log_probs, frames, beams):
        labels = k2.get_aux_labels(k2.shortest_path(lattice, use_double_scores=True))
        arcs = lattice.arcs.shape().remove_axis(1).row_splits(1).diff().tolist()
        for row, ids, number in zip(rows, labels, arcs, strict=True):
            if number:
                found[row] = ids
    return found


def n_best(
    graph: Any,
    log_probs: Tensor,
    frames: Tensor,
    n: int,
    beams: Beams = USUAL,
    prune: float = 0.0,
    rescore: Callable[[Any], Any] | None = None,
) -> list[list[nbest.Labels]]:
    """The n best sequences of each row's output labels, best first.

    Arcs of a posterior below ``prune`` are left out. ``rescore``: applied to the lattices of labels
    first (see :func:`jointasr.graphs.rescorer`). A row without a path has no sequence, one without
    frames the empty one. A lattice of more than MOST labels, as flat posteriors make, is searched
    again with half the output beam, until nothing but its best path is left.
    """
    k2 = require_k2(log_probs.device)
    found: list[list[nbest.Labels]] = [[] if many else [()] for many in frames.tolist()]
    for rows, lattice in searched(graph, log_probs, frames, beams):
        if prune:
            lattice = k2.prune_on_arc_post(lattice, prune, use_double_scores=True)
        large = [number > MOST for number in _labels(lattice)]
        if not any(large):
            labels = of_labels(lattice)
            some = acceptors(rescore(labels) if rescore else labels)
            for row, acceptor in zip(rows, some, strict=True):
                found[row] = [ids for ids, _ in nbest.n_best(acceptor, n)]
            continue
        for narrower in (False, True):
            part = [row for row, is_large in zip(rows, large, strict=True) if is_large == narrower]
            if not part:
                continue
            chosen = (graph, log_probs[part], frames[part])
            if narrower and beams.output_beam <= 1:
                again = [[tuple(ids)] for ids in best_paths(*chosen, beams) if ids is not None]
            else:
                width = beams.output_beam / 2 if narrower else beams.output_beam
                again = n_best(*chosen, n, beams._replace(output_beam=width), prune, rescore)
            for row, sequences in zip(part, again, strict=True):
                found[row] = sequences
    return found


def _labels(lattice: Any) -> list[int]:
    """How many output labels are on the arcs of each lattice."""
    labels = lattice.aux_labels
    if isinstance(labels, Tensor):
        each = (labels > 0).long()
    else:
        each = labels.shape.row_splits(1).diff().long()
    ends = lattice.arcs.shape().remove_axis(1).row_splits(1).tolist()
    return [int(each[begin:end].sum()) for begin, end in pairwise(ends)]


def of_labels(lattice: Any) -> Any:
    """The lattice's output labels as acceptors without epsilons, on the CPU: an accepted sequence's
    best path has the score of the lattice's best path with these labels. Attributes that are left:
    ``scores`` and, where the graph had them, ``lm_scores``."""
    k2 = require_k2()
    inverted = k2.invert(lattice.to("cpu"))  # where an arc has several labels, several arcs
    plain = k2.Fsa(inverted.arcs)
    plain.scores = inverted.scores.clone()
    if hasattr(inverted, "lm_scores"):
        plain.lm_scores = inverted.lm_scores.clone()
    return k2.connect(k2.remove_epsilon(plain))


def acceptors(labels: Any) -> list[Acceptor]:
    """Acceptors without epsilons, one by one; one without paths has no arcs."""
    arcs = zip(labels.arcs.values()[:, :3].tolist(), labels.scores.double().tolist(), strict=True)
    ends = labels.arcs.shape().row_splits(1).diff().tolist()
    counts = iter(labels.arcs.shape().row_splits(2).diff().tolist())
    return [
        [
            [(label, target, score) for (_, target, label), score in islice(arcs, number)]
            for number in islice(counts, states)
        ]
        for states in ends
    ]
