"""Segmentation of long audio: by voice activity, or into windows of equal length."""

from functools import cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch

from jointasr.data.wav_scp import RATE

Mode = Literal["auto", "voice", "windows", "whole"]
Segment = tuple[int, int]
"""first sample and end (exclusive)"""


def segment(wave: np.ndarray, mode: Mode, max_seconds: float, min_silence: float) -> list[Segment]:
    """Split samples (T,) at 16 kHz into segments, in order.

    ``max_seconds`` limits the length of a segment (voice may exceed it by 0.06 s). ``min_silence``:
    seconds of silence that end a segment. Modes: ``voice`` uses :func:`voice_segments` and may
    return no segment; ``windows`` uses :func:`window_segments`; ``whole`` returns one segment of
    any length; ``auto`` is ``whole`` up to ``max_seconds`` and ``voice`` beyond.
    """
    if mode == "whole" or (mode == "auto" and len(wave) <= max_seconds * RATE):
        return [(0, len(wave))]
    if mode == "windows":
        return window_segments(len(wave), max_seconds)
    return voice_segments(wave, max_seconds, min_silence)


def window_segments(samples: int, max_seconds: float) -> list[Segment]:
    """Return the smallest number of windows of equal length, at most ``max_seconds`` each."""
    count = max(1, -int(-samples // (max_seconds * RATE)))
    edges = [round(samples * index / count) for index in range(count + 1)]
    return list(pairwise(edges))


def voice_segments(wave: np.ndarray, max_seconds: float, min_silence: float) -> list[Segment]:
    """Return the segments with speech according to the Silero voice activity detector.

    Longer ones are split, at a silence if there is one.
    """
    from silero_vad import get_speech_timestamps

    timestamps = get_speech_timestamps(
        torch.from_numpy(wave),
        _detector(),
        sampling_rate=RATE,
        max_speech_duration_s=max_seconds,
        min_silence_duration_ms=round(1000 * min_silence),
    )
    return [(span["start"], min(span["end"], len(wave))) for span in timestamps]


@cache
def _detector() -> Any:
    threads = torch.get_num_threads()
    from silero_vad import load_silero_vad  # the import sets torch's number of threads to one

    model = load_silero_vad()
    torch.set_num_threads(threads)
    return model
