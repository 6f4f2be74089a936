"""CTC loss: two engines, k2 and torch, behind one signature and with the same numbers.

k2 sums over the paths of each utterance's CTC graph (``k2.ctc_loss`` on ``k2.ctc_graph``); torch
uses its own forward-backward in double precision. What one of them would treat differently, or
silently, is decided here before either is called: frames of length zero, targets that do not fit,
labels out of range and posteriors that are not finite.
"""

from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType
from typing import Literal

import torch
from torch import Tensor

from jointasr.utils.errors import DataError
from jointasr.utils.transfer import copy_to_device

Engine = Literal["k2", "torch"]
BLANK = 0
BEAM = 30.0
"""Least output beam at which k2's loss agrees with the exact one; its own default, 10, is off by
up to 0.29 on flat posteriors, as at the start of training."""
MAX_STATES = 10_000_000
"""States of lattices made at once. Beyond 15 million k2 lowers its beam without a word."""


def ctc_loss(
    log_probs: Tensor,
    frames: Tensor,
    targets: Sequence[Sequence[int]],
    engine: Engine = "k2",
    beam: float = BEAM,
) -> Tensor:
    """Negative log-probability of each target, summed over its alignments; no reduction.

    log_probs: (N, T, C) log-posteriors, blank at 0; other types than float32 are converted.
    frames: (N,) valid frames of each row, 0..T; what lies beyond is not looked at.
    targets: N sequences of labels in 1..C-1; empty ones are allowed.
    beam: k2's output beam (pruning can only raise the loss); torch does not prune.

    Returns (N,) float64 losses. A target that needs more frames than there are (labels plus one
    blank between equal neighbours) has loss +inf and gradient zero: select the finite ones before
    summing, for ``inf * 0`` is not a number. The gradient is that with respect to
    log-posteriors, in both engines.

    Raises ValueError for labels or frames out of range, FloatingPointError naming the rows whose
    posteriors are not finite, DataError when the engine is not to be had.
    """
    assert log_probs.ndim == 3 and frames.shape == (log_probs.shape[0],), log_probs.shape
    assert len(targets) == log_probs.shape[0], (len(targets), log_probs.shape)
    lengths = frame_counts(log_probs, frames)
    _check_labels(targets, log_probs.shape[2])
    check_finite(log_probs, lengths)
    empty = [row for row, n in enumerate(lengths) if n == 0 and not targets[row]]
    possible = [row for row, n in enumerate(lengths) if n and n >= min_frames(targets[row])]
    losses = log_probs.new_full((len(targets),), torch.inf, dtype=torch.float64)
    losses[empty] = 0.0  # no frame and no label: certain
    losses = losses + log_probs[:, :0].sum()  # zero, but keeps backward() possible
    if possible:
        chosen = (lengths, targets, possible)
        some = _k2(log_probs, *chosen, beam) if engine == "k2" else _torch(log_probs, *chosen)
        losses = losses.index_put((copy_to_device(possible, losses.device),), some)
    return losses


def min_frames(target: Sequence[int]) -> int:
    """Frames that a target needs: its labels, and a blank between equal neighbours."""
    return len(target) + sum(a == b for a, b in pairwise(target))


def frame_counts(log_probs: Tensor, frames: Tensor) -> list[int]:
    """Frame counts as a list. Raises ValueError for one outside 0..T."""
    lengths = [int(n) for n in frames.tolist()]
    for row, n in enumerate(lengths):
        if not 0 <= n <= log_probs.shape[1]:
            raise ValueError(f"row {row}: {n} frames, but there are 0..{log_probs.shape[1]}")
    return lengths


def check_finite(log_probs: Tensor, lengths: Sequence[int]) -> None:
    """Raise FloatingPointError naming the rows with a valid frame that is not all finite.

    Without this a diverged model would look like an impossible target: loss +inf, gradient zero.
    """
    bad = ~log_probs.detach().isfinite().all(dim=2)
    places = torch.arange(bad.shape[1], device=bad.device)
    bad &= places < copy_to_device(lengths, bad.device).unsqueeze(1)
    rows = bad.any(dim=1).nonzero().flatten().tolist()
    if rows:
        first = int(bad[rows[0]].nonzero()[0])
        raise FloatingPointError(
            f"posteriors of rows {rows} are not finite (row {rows[0]} from frame {first}): "
            "the model has diverged or its input is damaged"
        )


def require_k2(device: torch.device | str = "cpu") -> ModuleType:
    """The k2 module. Raises DataError, with the remedy, where it is missing or lacks CUDA."""
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


def engines(device: torch.device | str = "cpu") -> list[Engine]:
    """Those to be had here."""
    try:
        require_k2(device)
    except DataError:
        return ["torch"]
    return ["k2", "torch"]


def dense(k2: ModuleType, log_probs: Tensor, lengths: Sequence[int], rows: Sequence[int]) -> object:
    """k2's view of some rows of a batch: (T, C) posteriors of each as a linear acceptor.

    ``rows`` must come longest first, as k2 wants them, and none may be of length zero.
    """
    segments = torch.tensor([[row, 0, lengths[row]] for row in rows], dtype=torch.int32)
    return k2.DenseFsaVec(log_probs.float(), segments)


def longest_first(rows: Sequence[int], lengths: Sequence[int]) -> list[int]:
    """Rows by falling number of frames, ties in their own order."""
    return sorted(rows, key=lambda row: -lengths[row])


def _check_labels(targets: Sequence[Sequence[int]], classes: int) -> None:
    for row, target in enumerate(targets):
        for label in target:
            if not 0 < label < classes:  # k2 would read out of range
                raise ValueError(f"row {row}: label {label} is not in 1..{classes - 1}")


def _k2(
    log_probs: Tensor,
    lengths: Sequence[int],
    targets: Sequence[Sequence[int]],
    rows: Sequence[int],
    beam: float,
) -> Tensor:
    k2 = require_k2(log_probs.device)
    order = longest_first(rows, lengths)
    parts = []
    for group in groups(order, lengths, targets):
        graph = k2.ctc_graph([list(targets[row]) for row in group], device=log_probs.device)
        parts.append(
            k2.ctc_loss(
                graph,
                dense(k2, log_probs, lengths, group),
                output_beam=beam,
                reduction="none",
                use_double_scores=True,
            ).double()
        )
    place = {row: position for position, row in enumerate(order)}
    return torch.cat(parts)[[place[row] for row in rows]]


def groups(
    order: Sequence[int], lengths: Sequence[int], targets: Sequence[Sequence[int]]
) -> list[list[int]]:
    """Consecutive rows whose lattices together cannot have more than MAX_STATES states."""
    groups: list[list[int]] = []
    room = 0
    for row in order:
        states = (lengths[row] + 1) * (2 * len(targets[row]) + 2)
        if states > room:
            groups.append([])
            room = MAX_STATES
        groups[-1].append(row)
        room -= states
    return groups


def _torch(
    log_probs: Tensor,
    lengths: Sequence[int],
    targets: Sequence[Sequence[int]],
    rows: Sequence[int],
) -> Tensor:
    device = log_probs.device
    counts = [lengths[row] for row in rows]
    scores = log_probs[copy_to_device(rows, device), : max(counts)].double()
    beyond = torch.arange(scores.shape[1], device=device) >= copy_to_device(
        counts, device
    ).unsqueeze(1)
    scores = scores.masked_fill(beyond.unsqueeze(2), 0.0)  # padding may hold anything
    labels = [label for row in rows for label in targets[row]]
    losses = torch.nn.functional.ctc_loss(
        scores.transpose(0, 1),
        copy_to_device(torch.tensor(labels, dtype=torch.long), device),
        torch.tensor(counts),
        torch.tensor([len(targets[row]) for row in rows]),
        blank=BLANK,
        reduction="none",
    )
    # torch's backward adds exp(log_probs), the share of a log-softmax that it assumes below it;
    # that share belongs to the log-softmax itself, which is indifferent to it. Taking it away
    # gives the derivative with respect to log_probs, as k2 does.
    mass = scores.exp().masked_fill(beyond.unsqueeze(2), 0.0).sum(dim=(1, 2))
    return losses - (mass - mass.detach())
