"""CTC loss with two engines, k2 and torch, that have the same interface and the same results.

k2 sums over the paths of each utterance's CTC graph (``k2.ctc_loss`` on ``k2.ctc_graph``); torch
uses its forward-backward algorithm in double precision. Cases that the engines treat differently or
silently are handled here before either is called: utterances without frames, infeasible targets,
labels out of range and non-finite posteriors.
"""

from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor

from jointasr.utils.errors import DataError
from jointasr.utils.masks import valid_mask
from jointasr.utils.transfer import copy_to_device

Engine = Literal["k2", "torch"]
BLANK = 0
OUTPUT_BEAM = 30.0
"""Smallest output beam at which k2's loss equals the exact loss. With its default, 10, the error is
up to 0.29 on flat posteriors, as at the start of training."""
MAX_STATES = 10_000_000
"""Maximum number of states in lattices that are computed together. Beyond 15 million k2 reduces its
beam silently."""


def ctc_loss(
    log_probs: Tensor,
    frames: Tensor,
    targets: Sequence[Sequence[int]],
    engine: Engine = "k2",
    beam: float = OUTPUT_BEAM,
) -> Tensor:
    """Return the negative log-probability of each target, summed over its alignments.

    log_probs: (N, T, C) log posteriors, blank at 0; types other than float32 are converted.
    frames: (N,) valid frames of each row, 0..T; later frames are ignored.
    targets: N sequences of labels in 1..C-1, which may be empty.
    beam: output beam of k2 (pruning can only increase the loss); torch does not prune.

    Returns losses (N,) float64. An infeasible target, which needs more frames than there are (see
    ``min_frames``), has loss +inf and gradient zero: mask it before the sum, because ``inf * 0`` is
    nan. Both engines give the gradient with respect to the log posteriors.

    Raises ValueError for labels or frames out of range, FloatingPointError with the rows of
    non-finite posteriors, DataError if the engine is not available.
    """
    assert log_probs.ndim == 3 and frames.shape == (log_probs.shape[0],), log_probs.shape
    assert len(targets) == log_probs.shape[0], (len(targets), log_probs.shape)
    lengths = frame_counts(log_probs, frames)
    _check_labels(targets, log_probs.shape[2])
    check_finite(log_probs, lengths)
    empty = [row for row, n in enumerate(lengths) if n == 0 and not targets[row]]
    feasible = [row for row, n in enumerate(lengths) if n and n >= min_frames(targets[row])]
    losses = log_probs.new_full((len(targets),), torch.inf, dtype=torch.float64)
    losses[empty] = 0.0  # no frames and no labels: probability 1
    losses = losses + log_probs[:, :0].sum()  # adds zero, so that backward() works
    if feasible:
        inputs = (log_probs, lengths, targets, feasible)
        values = _k2_loss(*inputs, beam) if engine == "k2" else _torch_loss(*inputs)
        losses = losses.index_put((copy_to_device(feasible, losses.device),), values)
    return losses


def min_frames(target: Sequence[int]) -> int:
    """Return the minimum number of frames of an alignment: the number of labels plus that of equal
    neighbours, which need a blank in between."""
    return len(target) + sum(a == b for a, b in pairwise(target))


def frame_counts(log_probs: Tensor, frames: Tensor) -> list[int]:
    """Return frame counts (N,) as a list. Raises ValueError for a count outside 0..T."""
    lengths = [int(n) for n in frames.tolist()]
    for row, n in enumerate(lengths):
        if not 0 <= n <= log_probs.shape[1]:
            raise ValueError(f"row {row}: {n} frames, but there are 0..{log_probs.shape[1]}")
    return lengths


def check_finite(log_probs: Tensor, lengths: Sequence[int]) -> None:
    """Raise FloatingPointError with the rows whose valid frames are not all finite.

    Without this check divergence would look like an infeasible target: loss +inf, gradient zero.
    """
    bad = ~log_probs.detach().isfinite().all(dim=2)
    bad &= valid_mask(lengths, bad.shape[1], bad.device)
    rows = bad.any(dim=1).nonzero().flatten().tolist()
    if rows:
        first = int(bad[rows[0]].nonzero()[0])
        raise FloatingPointError(
            f"posteriors of rows {rows} are not finite (row {rows[0]} from frame {first}): "
            "the model has diverged or its input is damaged"
        )


def require_k2(device: torch.device | str = "cpu") -> ModuleType:
    """Return the k2 module. Raises DataError with a remedy if it is missing or lacks CUDA."""
    remedy = (
        "install the wheel for this torch and CUDA from https://k2-fsa.github.io/k2/cuda.html, "
        "or choose the other engine with --ctc torch"
    )
    try:
        import k2
    except (ImportError, OSError) as error:
        raise DataError(f"k2 cannot be loaded ({error}): {remedy}") from None
    if torch.device(device).type == "cuda" and not k2.with_cuda:
        raise DataError(f"k2 was built without CUDA, but the model is on a GPU: {remedy}")
    return k2


def available_engines(device: torch.device | str = "cpu") -> list[Engine]:
    """Return the engines that work on this machine."""
    try:
        require_k2(device)
    except DataError:
        return ["torch"]
    return ["k2", "torch"]


def dense_fsa_vec(
    k2: ModuleType, log_probs: Tensor, lengths: Sequence[int], rows: Sequence[int]
) -> object:
    """Return rows of log posteriors (N, T, C) as a ``k2.DenseFsaVec``.

    ``rows`` must be sorted by descending length, as k2 requires, and have at least one frame.
    """
    segments = torch.tensor([[row, 0, lengths[row]] for row in rows], dtype=torch.int32)
    return k2.DenseFsaVec(log_probs.float(), segments)


def longest_first(rows: Sequence[int], lengths: Sequence[int]) -> list[int]:
    """Sort rows by descending number of frames; the order of ties is kept."""
    return sorted(rows, key=lambda row: -lengths[row])


def _check_labels(targets: Sequence[Sequence[int]], classes: int) -> None:
    for row, target in enumerate(targets):
        for label in target:
            if not 0 < label < classes:  # k2 would read out of range
                raise ValueError(f"row {row}: label {label} is not in 1..{classes - 1}")


def _k2_loss(
    log_probs: Tensor,
    lengths: Sequence[int],
    targets: Sequence[Sequence[int]],
    rows: Sequence[int],
    beam: float,
) -> Tensor:
    k2 = require_k2(log_probs.device)
    order = longest_first(rows, lengths)
    parts = []
    for group in group_by_states(order, lengths, targets):
        graph = k2.ctc_graph([list(targets[row]) for row in group], device=log_probs.device)
        parts.append(
            k2.ctc_loss(
                graph,
                dense_fsa_vec(k2, log_probs, lengths, group),
                output_beam=beam,
                reduction="none",
                use_double_scores=True,
            ).double()
        )
    index = {row: i for i, row in enumerate(order)}
    return torch.cat(parts)[[index[row] for row in rows]]


def group_by_states(
    order: Sequence[int], lengths: Sequence[int], targets: Sequence[Sequence[int]]
) -> list[list[int]]:
    """Split rows into consecutive groups whose lattices have at most MAX_STATES states together."""
    groups: list[list[int]] = []
    available = 0
    for row in order:
        states = (lengths[row] + 1) * (2 * len(targets[row]) + 2)
        if states > available:
            groups.append([])
            available = MAX_STATES
        groups[-1].append(row)
        available -= states
    return groups


def _torch_loss(
    log_probs: Tensor,
    lengths: Sequence[int],
    targets: Sequence[Sequence[int]],
    rows: Sequence[int],
) -> Tensor:
    device = log_probs.device
    counts = [lengths[row] for row in rows]
    scores = log_probs[copy_to_device(rows, device), : max(counts)].double()
    padding = ~valid_mask(counts, scores.shape[1], device).unsqueeze(2)
    scores = scores.masked_fill(padding, 0.0)
    labels = [label for row in rows for label in targets[row]]
    losses = torch.nn.functional.ctc_loss(
        scores.transpose(0, 1),
        copy_to_device(torch.tensor(labels, dtype=torch.long), device),
        torch.tensor(counts),
        torch.tensor([len(targets[row]) for row in rows]),
        blank=BLANK,
        reduction="none",
    )
    # torch assumes that log_probs comes from log_softmax and adds exp(log_probs) to its gradient,
    # which the backward pass of log_softmax cancels. Subtract it, to get the gradient with respect
    # to log_probs, as in k2.
    mass = scores.exp().masked_fill(padding, 0.0).sum(dim=(1, 2))
    return losses - (mass - mass.detach())
