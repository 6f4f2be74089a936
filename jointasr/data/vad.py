"""Long audio in turns: where somebody speaks, or windows of one length."""

from functools import cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch

from jointasr.data.wav_scp import RATE

How = Literal["auto", "voice", "windows", "whole"]
Stretch = tuple[int, int]
"""first sample and the one after the last"""


def find(wave: np.ndarray, how: How, longest: float, pause: float) -> list[Stretch]:
    """The turns of samples (T,) at 16 kHz, in order; none where ``how`` is voice and nobody speaks.

    ``longest``: seconds of the longest turn (0.06 more by voice), but for ``whole``, always one.
    ``pause``: seconds of silence that end a turn. ``auto`` is whole up to ``longest``, else voice.
    """
    if how == "whole" or (how == "auto" and len(wave) <= longest * RATE):
        return [(0, len(wave))]
    if how == "windows":
        return windows(len(wave), longest)
    return voice(wave, longest, pause)


def windows(samples: int, longest: float) -> list[Stretch]:
    """As few windows of equal length as there can be, none longer than ``longest`` seconds."""
    count = max(1, -int(-samples // (longest * RATE)))
    edges = [round(samples * place / count) for place in range(count + 1)]
    return list(pairwise(edges))


def voice(wave: np.ndarray, longest: float, pause: float) -> list[Stretch]:
    """Where Silero's detector of voice activity hears speech. Longer turns are split, at a silence
    where there is one."""
    from silero_vad import get_speech_timestamps

    found = get_speech_timestamps(
        torch.from_numpy(wave),
        _detector(),
        sampling_rate=RATE,
        max_speech_duration_s=longest,
        min_silence_duration_ms=round(1000 * pause),
    )
    return [(each["start"], min(each["end"], len(wave))) for each in found]


@cache
def _detector() -> Any:
    threads = torch.get_num_threads()
    from silero_vad import load_silero_vad  # which sets the number of threads of all torch to one

    model = load_silero_vad()
    torch.set_num_threads(threads)
    return model
