"""A batch of utterances as tensors."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from jointasr.data.wav_scp import RATE

UNKNOWN_EMOTION = -1
"""class index of utterances without an emotion label"""


class Batch(NamedTuple):
    """A batch of N utterances."""

    ids: list[str]
    waves: Tensor
    """(N, T) float32 in [-1, 1], zero-padded"""
    lengths: Tensor
    """numbers of samples (N,), always on the host"""
    texts: list[str | None]
    """None for utterances without a transcript"""
    targets: list[list[int]]
    """unit ids for CTC; [] without a transcript"""
    emotions: Tensor
    """class indices (N,), or UNKNOWN_EMOTION"""
    global_size: int
    """number of utterances in the batch over all processes"""

    @property
    def seconds(self) -> float:
        """Seconds of audio without padding."""
        return float(self.lengths.sum()) / RATE


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Return the batch with waves and emotions on ``device``."""
    return batch._replace(
        waves=batch.waves.to(device, non_blocking=True),
        emotions=batch.emotions.to(device, non_blocking=True),
    )


def pad(waves: list[np.ndarray]) -> Tensor:
    """Stack waves (T_i,) into a zero-padded float32 tensor (N, T), (0, 0) if there are none."""
    if not waves:
        return torch.zeros(0, 0)
    return torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(np.ascontiguousarray(wave, dtype=np.float32)) for wave in waves],
        batch_first=True,
    )
