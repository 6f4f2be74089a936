"""Time-domain SpecAugment: speed, notches and zeroed chunks, drawn per utterance.

As in the paper's toolkit there are three steps: one of three speeds, then 0..3 notches, then 0..5
zeroed chunks of 1000..2000 samples. Draws are made on the host and keyed by (seed, purpose,
utterance, epoch), so they depend neither on the batch nor on the system. Waves are changed on their
device, one padded batch at a time; no row depends on other rows or on padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from jointasr.data.wav_scp import RATE
from jointasr.utils.errors import DataError
from jointasr.utils.masks import valid_mask
from jointasr.utils.rng import stream
from jointasr.utils.transfer import copy_to_device

BAND_HZ = 764.0
"""Width of a notch. The paper's toolkit intends .05 of the Nyquist frequency on each side of a
drawn frequency, but scales by 3 instead of pi: 2 * .05 * 3 / (2 pi) * 16 kHz = 764 Hz between the
half-amplitude points of its filter."""
TAPS = 101
"""Length of a notch filter, as in the paper's toolkit. The transition band of its Blackman window
is about 5.5 / 101 * 16 kHz = 870 Hz: attenuation is 48 dB in the middle of a notch, 6 dB at its
edges."""
BLOCK = 4096
"""Samples per block of the convolution."""
MAX_BANDS = (BLOCK // 2) // (TAPS - 1)
"""Maximum number of cascaded notches, whose response fits into half a block: 20."""

Semantics = Literal["speed", "toolkit"]


@dataclass(frozen=True)
class Draw:
    """Notches and zeroed chunks of one utterance."""

    bands: tuple[float, ...] = ()
    """lower edges of the notches, Hz; each is BAND_HZ wide"""
    chunks: tuple[tuple[int, int], ...] = ()
    """zeroed samples as (start, length)"""
    skipped_chunks: int = 0
    """chunks not applied because more than half of the utterance would have been zeroed"""


def speed_factor(
    seed: int,
    utterance: str,
    epoch: int,
    speeds: Sequence[int] = (95, 100, 105),
    semantics: Semantics = "speed",
) -> float:
    """Return a factor for lhotse's ``perturb_speed``, drawn uniformly from ``speeds`` (per cent).

    95 means 95 % of the original speed: length / 0.95, pitch * 0.95. With semantics "toolkit" it
    has the effect that it has in the release of the paper's toolkit: length * 0.95, a factor of
    1/0.95. That factor is rounded to a multiple of 1/400 (421/400, an error of 0.012 %), so that
    16 kHz is resampled by a ratio of small integers; the exact ratio would need a filter bank of
    8,421 x 8,000 taps.
    """
    chosen = speeds[int(stream(seed, "speed", utterance, epoch).integers(len(speeds)))] / 100
    assert chosen > 0, speeds
    return chosen if semantics == "speed" else round(400 / chosen) / 400


def draw(
    seed: int,
    utterance: str,
    epoch: int,
    samples: int,
    max_bands: int = 3,
    max_chunks: int = 5,
    chunk_samples: tuple[int, int] = (1000, 2000),
) -> Draw:
    """Draw notches and chunks for an utterance of ``samples`` samples (16 kHz, after speed change).

    Counts are uniform in 0..max, notches uniform over the spectrum, chunk lengths uniform over
    ``chunk_samples`` (inclusive), chunk positions uniform over the utterance. A chunk that would
    zero more than half of the utterance in total is skipped and counted, so that short utterances
    are never silenced. Raises DataError if ``max_bands`` exceeds MAX_BANDS.
    """
    if not 0 <= max_bands <= MAX_BANDS:
        raise DataError(f"augment.max_bands: {max_bands} is not in 0..{MAX_BANDS}")
    rng = stream(seed, "bands", utterance, epoch)
    count = int(rng.integers(max_bands + 1))
    bands = tuple(float(edge) for edge in rng.uniform(0, RATE / 2 - BAND_HZ, size=count))
    rng = stream(seed, "chunks", utterance, epoch)
    chunks: list[tuple[int, int]] = []
    remaining = samples // 2
    wanted = int(rng.integers(max_chunks + 1))
    for _ in range(wanted):
        length = int(rng.integers(chunk_samples[0], chunk_samples[1] + 1))
        position = float(rng.random())
        if length <= remaining:
            chunks.append((int(position * (samples - length + 1)), length))
            remaining -= length
    return Draw(bands, tuple(chunks), wanted - len(chunks))


def apply(waves: Tensor, lengths: Sequence[int], draws: Sequence[Draw]) -> Tensor:
    """Apply :func:`drop_bands` and :func:`drop_chunks` to waves (N, T); return a new tensor."""
    return drop_chunks(drop_bands(waves, lengths, draws), lengths, draws)


def drop_bands(waves: Tensor, lengths: Sequence[int], draws: Sequence[Draw]) -> Tensor:
    """Apply the notches of each row to waves (N, T) float32; return a new tensor of the same shape.

    The band-stop filters have linear phase, with their delay compensated, and assume silence around
    the utterance. Rows without notches are unchanged bit by bit. Samples beyond the length of a row
    are neither read nor changed.
    """
    _check(waves, lengths, draws)
    rows = [row for row, drawn in enumerate(draws) if drawn.bands and lengths[row]]
    if not rows:
        return waves.clone()
    index = copy_to_device(rows, waves.device)
    chosen = waves[index]
    valid = valid_mask([lengths[row] for row in rows], chosen.shape[1], chosen.device)
    response = torch.stack([_response(draws[row].bands) for row in rows])
    delays = [len(draws[row].bands) * (TAPS // 2) for row in rows]
    response = copy_to_device(response, waves.device)
    filtered = _convolve(chosen.masked_fill(~valid, 0.0), response, delays)
    return waves.index_copy(0, index, torch.where(valid, filtered, chosen))


def drop_chunks(waves: Tensor, lengths: Sequence[int], draws: Sequence[Draw]) -> Tensor:
    """Zero the chunks of each row of waves (N, T); return a new tensor of the same shape."""
    _check(waves, lengths, draws)
    count = max((len(drawn.chunks) for drawn in draws), default=0)
    bounds = np.zeros((2, len(draws), count), np.int64)  # padded with empty chunks from 0 to 0
    for row, drawn in enumerate(draws):
        for index, (start, length) in enumerate(drawn.chunks):
            assert start >= 0 and start + length <= lengths[row], (row, drawn, lengths[row])
            bounds[:, row, index] = start, start + length
    starts, ends = copy_to_device(torch.from_numpy(bounds), waves.device)[..., None]
    positions = torch.arange(waves.shape[1], device=waves.device)
    return waves.masked_fill(((positions >= starts) & (positions < ends)).any(1), 0.0)


def notch(low: float) -> Tensor:
    """Return the impulse response (TAPS,) float64 of a notch from ``low`` to ``low + BAND_HZ`` Hz.

    It is a unit impulse minus a windowed-sinc band-pass: the difference of two ideal low-passes,
    times a Blackman window. The amplitude is 1/2 at both edges.
    """
    n = torch.arange(TAPS, dtype=torch.float64) - TAPS // 2
    window = torch.blackman_window(TAPS, periodic=False, dtype=torch.float64)
    taps = -window * (_low_pass(low + BAND_HZ, n) - _low_pass(low, n))
    taps[TAPS // 2] += 1.0
    return taps


def _low_pass(hertz: float, n: Tensor) -> Tensor:
    return 2 * hertz / RATE * torch.sinc(2 * hertz / RATE * n)


def _response(bands: tuple[float, ...]) -> Tensor:
    """Return the spectrum (BLOCK // 2 + 1,) of the cascaded notches of a row."""
    assert len(bands) <= MAX_BANDS, bands
    total = torch.ones(BLOCK // 2 + 1, dtype=torch.complex128)
    for low in bands:
        total = total * torch.fft.rfft(notch(low), BLOCK)
    return total.to(torch.complex64)


def _convolve(waves: Tensor, response: Tensor, delays: Sequence[int]) -> Tensor:
    """Convolve each row (N, T) with its own filter by overlap-save, advanced by ``delays``.

    Blocks have a fixed size and position, so that a sample does not depend on the amount of
    padding: a row gives the same result in any batch.
    """
    overlap = BLOCK // 2  # fits the longest cascade; half of each block is used
    total = waves.shape[1] + max(delays)
    count = -(-total // overlap)
    padded = torch.nn.functional.pad(waves, (overlap, count * overlap - waves.shape[1]))
    blocks = padded.unfold(1, BLOCK, overlap)
    spectra = torch.fft.rfft(blocks, dim=2) * response.unsqueeze(1)
    filtered = torch.fft.irfft(spectra, BLOCK, dim=2)[:, :, overlap:].reshape(len(waves), -1)
    positions = torch.arange(waves.shape[1], device=waves.device)
    return filtered.gather(1, positions + copy_to_device(delays, waves.device).unsqueeze(1))


def _check(waves: Tensor, lengths: Sequence[int], draws: Sequence[Draw]) -> None:
    assert waves.ndim == 2 and len(lengths) == len(draws) == len(waves), waves.shape
    assert all(0 <= length <= waves.shape[1] for length in lengths), lengths
