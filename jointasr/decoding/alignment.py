"""Forced alignment: times of units and words, from the best CTC path of given units."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import NamedTuple

import torch
from lhotse import CutSet
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
from jointasr.decoding import decode
from jointasr.decoding.decoder import Decoder
from jointasr.models.encoder import Encoder
from jointasr.text.lang import Units
from jointasr.utils import files
from jointasr.utils.errors import DataError


class TimedLabel(NamedTuple):
    """A unit or a word with its times in seconds."""

    text: str
    begin: float
    end: float


TimedLabels = dict[str, list[TimedLabel]]
"""labels by utterance"""
UnitPath = Sequence[tuple[int, int, int]]
"""(unit, first frame, frame after the last) of each unit of an utterance"""


def align(
    log_probs: Tensor, frames: Tensor, targets: Sequence[Sequence[int]], engine: Engine = "k2"
) -> list[UnitPath | None]:
    """Return the most probable path of each target, None if it is too long for its frames.

    Args:
        log_probs: log-posteriors (N, T, C).
        frames: number of valid frames (N,).
        targets: unit ids of each utterance.
        engine: ``k2``, or ``torch`` for ``torchaudio.functional.forced_align`` (torchaudio 2.1 or
            newer).

    Raises FloatingPointError naming the rows whose posteriors are not finite, and DataError where
    torchaudio is too old.
    """
    lengths = frame_counts(log_probs, frames)
    check_finite(log_probs, lengths)
    paths: list[UnitPath | None] = [None if ids else [] for ids in targets]
    rows = [r for r, ids in enumerate(targets) if ids and lengths[r] >= min_frames(ids)]
    best_labels = _align_k2 if engine == "k2" else _align_torchaudio
    for row, labels in best_labels(log_probs.detach(), lengths, targets, rows):
        paths[row] = search.label_spans(labels)
    return paths


FrameLabels = Iterator[tuple[int, list[int]]]
"""(row, label of each frame)"""


def _align_k2(
    log_probs: Tensor,
    lengths: Sequence[int],
    targets: Sequence[Sequence[int]],
    rows: Sequence[int],
) -> FrameLabels:
    k2 = require_k2(log_probs.device)
    for group in group_by_states(longest_first(rows, lengths), lengths, targets):
        graph = k2.ctc_graph([list(targets[row]) for row in group], device=log_probs.device)
        posteriors = dense_fsa_vec(k2, log_probs, lengths, group)
        lattice = k2.intersect_dense(graph, posteriors, output_beam=OUTPUT_BEAM)
        best = k2.shortest_path(lattice, use_double_scores=True)
        labels, ends = best.labels.tolist(), best.arcs.shape().remove_axis(1).row_splits(1).tolist()
        for row, (begin, end) in zip(group, pairwise(ends), strict=True):
            if end > begin:
                yield row, labels[begin : end - 1]  # the last arc has no frame


def _align_torchaudio(
    log_probs: Tensor,
    lengths: Sequence[int],
    targets: Sequence[Sequence[int]],
    rows: Sequence[int],
) -> FrameLabels:
    try:
        from torchaudio.functional import forced_align
    except ImportError:
        raise DataError(
            "this torchaudio has no forced_align: use --ctc k2, or torchaudio 2.1 or newer (stack "
            "torch)"
        ) from None
    for row in rows:
        scores = log_probs[row : row + 1, : lengths[row]].float().cpu()
        path, _ = forced_align(scores, torch.tensor([list(targets[row])], dtype=torch.int32))
        yield row, path[0].tolist()


def seconds_per_frame(encoder: Encoder) -> float:
    """Return the frame shift of an encoder in seconds: the product of its strides."""
    return prod(encoder.config.conv_stride) / RATE


def unit_and_word_times(
    path: UnitPath, units: Units, frame_shift: float
) -> tuple[list[TimedLabel], list[TimedLabel]]:
    """Return units and words with their times in seconds; so is ``frame_shift``.

    A word lasts from the first frame of its first unit to the end of its last unit.
    """
    ids = [unit for unit, _, _ in path]
    timed_units = [
        TimedLabel(units.symbols[unit], begin * frame_shift, end * frame_shift)
        for unit, begin, end in path
    ]
    words = [
        TimedLabel(text, timed_units[positions[0]].begin, timed_units[positions[-1]].end)
        for text, positions in zip(units.decode(ids).split(), units.words(ids), strict=True)
    ]
    return timed_units, words


def align_cuts(
    decoder: Decoder, cuts: CutSet, texts: Mapping[str, str]
) -> tuple[TimedLabels, TimedLabels, list[str]]:
    """Align ``texts``, by utterance, with the audio of ``cuts``.

    Returns the units, the words, and the ids of utterances whose text does not fit into its frames.
    """
    units, engine = decoder.model.units, decoder.model.conf.ctc
    frame_shift = seconds_per_frame(decoder.model.system.encoder)
    timed_units: TimedLabels = {}
    timed_words: TimedLabels = {}
    too_long = []
    with torch.no_grad():
        for ids, _, output in decode.model_outputs(decoder, cuts) if len(cuts) else ():
            assert output.log_probs is not None
            targets = [units.encode(texts[name]) for name in ids]
            paths = align(output.log_probs, output.frames, targets, engine)
            for name, path in zip(ids, paths, strict=True):
                if path is None:
                    too_long.append(name)
                else:
                    labels = unit_and_word_times(path, units, frame_shift)
                    timed_units[name], timed_words[name] = labels
    return timed_units, timed_words, too_long


def write_ctm(
    path: Path,
    labels: TimedLabels,
    posteriors: dict[str, list[float]] | None = None,
) -> None:
    """Write a NIST CTM file: utterance, channel 1, begin, duration, label, posterior if given.

    ``labels`` and ``posteriors`` are by utterance, with a posterior for each label.
    """
    lines = []
    for utt in sorted(labels):
        for position, (text, begin, end) in enumerate(labels[utt]):
            last = f" {posteriors[utt][position]:.4f}" if posteriors is not None else ""
            lines.append(f"{utt} 1 {begin:.3f} {end - begin:.3f} {text}{last}\n")
    files.write_text(path, "".join(lines))
