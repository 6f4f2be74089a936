"""Where units and words are in time: the best path of CTC with known units (forced alignment)."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from jointasr.ctc import search
from jointasr.ctc.loss import (
    OUTPUT_BEAM,
    Engine,
    check_finite,
    dense_fsa_vec,
    frame_counts,
    group_by_states,
    longest_first,
    min_frames,
    require_k2,
)
from jointasr.data.wav_scp import RATE
from jointasr.models.encoder import Encoder
from jointasr.text.lang import Units
from jointasr.utils import files
from jointasr.utils.errors import DataError


class Span(NamedTuple):
    """A label in time."""

    text: str
    begin: float
    """seconds"""
    end: float


def paths(
    log_probs: Tensor, frames: Tensor, targets: Sequence[Sequence[int]], engine: Engine = "k2"
) -> list[list[tuple[int, int, int]] | None]:
    """Each target's labels with the first of its frames and the one after the last, on the most
    probable path; None where the frames are too few for the target.

    As for :func:`jointasr.ctc.loss.ctc_loss` otherwise. Engine torch is torchaudio's
    ``forced_align`` (2.1 and newer). Raises FloatingPointError naming rows whose
    posteriors are not finite.
    """
    lengths = frame_counts(log_probs, frames)
    check_finite(log_probs, lengths)
    found: list[list[tuple[int, int, int]] | None] = [None if ids else [] for ids in targets]
    rows = [r for r, ids in enumerate(targets) if ids and lengths[r] >= min_frames(ids)]
    labels = _k2 if engine == "k2" else _torchaudio
    for row, path in labels(log_probs.detach(), lengths, targets, rows):
        found[row] = search.label_spans(path)
    return found


Paths = Iterator[tuple[int, list[int]]]
"""rows with the label of each frame"""


def _k2(
    log_probs: Tensor,
    lengths: Sequence[int],
    targets: Sequence[Sequence[int]],
    rows: Sequence[int],
) -> Paths:
    k2 = require_k2(log_probs.device)
    for group in group_by_states(longest_first(rows, lengths), lengths, targets):
        graph = k2.ctc_graph([list(targets[row]) for row in group], device=log_probs.device)
        posteriors = dense_fsa_vec(k2, log_probs, lengths, group)
        lattice = k2.intersect_dense(graph, posteriors, output_beam=OUTPUT_BEAM)
        best = k2.shortest_path(lattice, use_double_scores=True)
        labels, ends = best.labels.tolist(), best.arcs.shape().remove_axis(1).row_splits(1).tolist()
        for row, (begin, end) in zip(group, pairwise(ends), strict=True):
            if end > begin:
                yield row, labels[begin : end - 1]  # the last arc leads to the end, has no frame


def _torchaudio(
    log_probs: Tensor,
    lengths: Sequence[int],
    targets: Sequence[Sequence[int]],
    rows: Sequence[int],
) -> Paths:
    try:
        from torchaudio.functional import forced_align
    except ImportError:
        raise DataError(
            "this torchaudio cannot align: use --ctc k2, or torchaudio 2.1 and newer (stack torch)"
        ) from None
    for row in rows:
        scores = log_probs[row : row + 1, : lengths[row]].float().cpu()
        path, _ = forced_align(scores, torch.tensor([list(targets[row])], dtype=torch.int32))
        yield row, path[0].tolist()


def seconds_per_frame(encoder: Encoder) -> float:
    """Between the beginnings of two frames of the encoder."""
    return prod(encoder.config.conv_stride) / RATE


def units_and_words(
    path: Sequence[tuple[int, int, int]], units: Units, step: float
) -> tuple[list[Span], list[Span]]:
    """Units in time, and words, each from its first unit's first frame to its last unit's end."""
    ids = [unit for unit, _, _ in path]
    each = [Span(units.symbols[unit], begin * step, end * step) for unit, begin, end in path]
    groups = units.words(ids)
    texts = units.decode(ids).split()
    words = [
        Span(text, each[places[0]].begin, each[places[-1]].end)
        for text, places in zip(texts, groups, strict=True)
    ]
    return each, words


def write_ctm(
    path: Path, spans: dict[str, list[Span]], certainty: dict[str, list[float]] | None = None
) -> None:
    """Write NIST's CTM: utterance, channel, begin, duration, label, and the posterior if known.

    ``certainty`` has a value for each span of an utterance.
    """
    lines = []
    for name in sorted(spans):
        known = certainty[name] if certainty is not None else None
        for place, (text, begin, end) in enumerate(spans[name]):
            last = f" {known[place]:.4f}" if known is not None else ""
            lines.append(f"{name} 1 {begin:.3f} {end - begin:.3f} {text}{last}\n")
    files.write_text(path, "".join(lines))
