"""Lattices of k2: made from a decoding graph and posteriors, searched, reduced to their labels."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from jointasr.ctc import nbest
from jointasr.ctc.loss import check_finite, dense, frame_counts, longest_first, require_k2
from jointasr.ctc.nbest import Acceptor
from jointasr.utils.errors import DataError


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
MOST = 8_000_000
"""active states, over all frames, of lattices that are made at once: about 4 GiB"""
LABELS = 2000
"""output labels of a lattice that is rescored: without epsilons it may have the square in arcs"""


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
        again: list[int] = []
        for rows, widths in _groups(left, lengths, beams.widened(factor), graph.shape[0]):
            lattice = lattices(graph, log_probs, lengths, rows, widths)
            yield rows, lattice
            again += [row for row, number in zip(rows, _arcs(lattice), strict=True) if not number]
        left = again


def _groups(
    rows: Sequence[int], lengths: Sequence[int], beams: Beams, states: int
) -> Iterator[tuple[list[int], Beams]]:
    """Rows whose lattices together can have MOST active states; for a row that alone could have
    more, the limit at each frame is lower. A row's search never hangs on the others."""
    group: list[int] = []
    room = 0
    for row in rows:
        most = max(beams.min_active_states + 1, MOST // lengths[row])
        own = beams._replace(max_active_states=min(beams.max_active_states, most))
        if own != beams and states > own.max_active_states:
            yield [row], own
            continue
        wanted = lengths[row] * min(states, beams.max_active_states)
        if group and wanted > room:
            yield group, beams
            group = []
        room = (room if group else MOST) - wanted
        group.append(row)
    if group:
        yield group, beams


def _arcs(lattice: Any) -> list[int]:
    """Number of arcs of each lattice."""
    ends: list[int] = lattice.arcs.shape().remove_axis(1).row_splits(1).diff().tolist()
    return ends


def best_paths(
    graph: Any, log_probs: Tensor, frames: Tensor, beams: Beams = USUAL
) -> list[list[int] | None]:
    """Output labels of each row's best path through ``graph`` (the topology, an HLG ...).

    None where there is no path, for the caller to decide. No frames give [].
    """
    found: list[list[int] | None] = [None if n else [] for n in frames.tolist()]
    for rows, lattice in searched(graph, log_probs, frames, beams):
        for row, ids in zip(rows, _best(lattice), strict=True):
            found[row] = ids
    return found


def _best(lattice: Any) -> list[list[int] | None]:
    """Labels of the best path of each lattice, None where it has none."""
    k2 = require_k2()
    labels = k2.get_aux_labels(k2.shortest_path(lattice, use_double_scores=True))
    return [ids if n else None for ids, n in zip(labels, _arcs(lattice), strict=True)]


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

    Arcs of a posterior below ``prune`` are left out, but not those of the best path. ``rescore``:
    applied to the lattices of labels first (see :func:`jointasr.ctc.graphs.rescorer`), as far as
    they have at most LABELS of them. A row without a path has no sequence, one without frames the
    empty one.
    """
    found: list[list[nbest.Labels]] = [[] if many else [()] for many in frames.tolist()]
    for rows, lattice in searched(graph, log_probs, frames, beams):
        sure = _best(lattice)
        if prune:
            lattice = require_k2().prune_on_arc_post(lattice, prune, use_double_scores=True)
        labels = of_labels(lattice)
        for place, (row, best) in enumerate(zip(rows, sure, strict=True)):
            one = labels[place]
            if rescore and int((one.labels > 0).sum()) <= LABELS:
                one = rescore(one)
            found[row] = [ids for ids, _ in nbest.n_best(acceptor(one), n)]
            if best is not None and tuple(best) not in found[row]:
                found[row] = [*found[row][: n - 1], tuple(best)]
    return found


def of_labels(lattice: Any) -> Any:
    """The lattice's output labels as acceptors with epsilons, on the CPU: an accepted sequence's
    best path has the score of the lattice's best path with these labels. Attributes that are left:
    ``scores`` and, where the graph had them, ``lm_scores``."""
    k2 = require_k2()
    inverted = k2.invert(lattice.to("cpu"))  # where an arc has several labels, several arcs
    plain = k2.Fsa(inverted.arcs)
    plain.scores = inverted.scores.clone()
    if hasattr(inverted, "lm_scores"):
        plain.lm_scores = inverted.lm_scores.clone()
    return k2.connect(plain)


def acceptor(labels: Any) -> Acceptor:
    """An acceptor's arcs by state; [] where it has no path."""
    arcs: list[list[nbest.Arc]] = [[] for _ in range(labels.shape[0])]
    rows = labels.arcs.values()[:, :3].tolist()
    for (source, target, label), score in zip(rows, labels.scores.tolist(), strict=True):
        arcs[source].append((label, target, score))
    return nbest.in_order(arcs)
