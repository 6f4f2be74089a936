"""Time-domain SpecAugment: speed, notches, zeroed chunks; drawn per utterance.

Three parts, as the paper's toolkit has them: one of three speeds, then 0..3 notches, then 0..5
zeroed chunks of 1000..2000 samples. Draws are made on the host, keyed by (seed, purpose,
utterance, epoch), so they depend neither on the batch nor on the system; waves are changed on
their device, a whole padded batch at once, and no row depends on another or on its padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from jointasr.data.wav_scp import RATE
from jointasr.utils.errors import DataError
from jointasr.utils.rng import stream
from jointasr.utils.transfer import copy_to_device

BAND_HZ = 764.0
"""Width of a notch. The toolkit means .05 of the Nyquist frequency to either side of a drawn
frequency, but scales by 3 where pi belongs: 2 * .05 * 3 / (2 pi) * 16 kHz = 764 Hz between the
half-amplitude points of its filter."""
TAPS = 101
"""Length of a notch's filter, the toolkit's. Its Blackman window takes about 5.5 / 101 * 16 kHz =
870 Hz from pass to stop band: the middle of a notch is 48 dB down, its edges 6 dB."""
BLOCK = 4096
"""Samples per block of the convolution."""
MAX_BANDS = (BLOCK // 2) // (TAPS - 1)
"""Notches one after the other that fit into half a block: 20."""

Semantics = Literal["speed", "toolkit"]


@dataclass(frozen=True)
class Draw:
    """What is done to one utterance after its speed: notches and zeroed chunks."""

    bands: tuple[float, ...] = ()
    """lower edges of the notches, Hz; each is BAND_HZ wide"""
    chunks: tuple[tuple[int, int], ...] = ()
    """zeroed samples as (start, length)"""
    left_out: int = 0
    """chunks not applied because more than half of the utterance would have been zeroed"""


def speed_factor(
    seed: int,
    utterance: str,
    epoch: int,
    speeds: Sequence[int] = (95, 100, 105),
    semantics: Semantics = "speed",
) -> float:
    """Factor for lhotse's ``perturb_speed``: one of ``speeds`` (per cent), drawn evenly.

    95 means 95 % of the original speed: length / 0.95, pitch * 0.95. With semantics "toolkit" it
    means what the toolkit's release did with it: length * 0.95, that is a factor of 1/0.95. Such
    a factor is rounded to 1/400 (421/400, an error of 0.012 %) so that 16 kHz is resampled by a
    ratio of small numbers; the exact one would need a filter bank of 8,421 x 8,000 taps.
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
    """Notches and chunks for an utterance of ``samples`` samples (at 16 kHz, after its speed).

    Counts are uniform in 0..max, notches uniform over the spectrum, chunk lengths uniform over
    ``chunk_samples`` (both ends included), places uniform over the utterance. A chunk that would
    raise the sum of zeroed samples above half of the utterance is left out and counted, so that
    the short are never silenced.
    """
    if not 0 <= max_bands <= MAX_BANDS:
        raise DataError(f"augment.max_bands: {max_bands} is not in 0..{MAX_BANDS}")
    rng = stream(seed, "bands", utterance, epoch)
    count = int(rng.integers(max_bands + 1))
    bands = tuple(float(edge) for edge in rng.uniform(0, RATE / 2 - BAND_HZ, size=count))
    rng = stream(seed, "chunks", utterance, epoch)
    chunks: list[tuple[int, int]] = []
    room = samples // 2
    wanted = int(rng.integers(max_chunks + 1))
    for _ in range(wanted):
        length = int(rng.integers(chunk_samples[0], chunk_samples[1] + 1))
        place = float(rng.random())
        if length <= room:
            chunks.append((int(place * (samples - length + 1)), length))
            room -= length
    return Draw(bands, tuple(chunks), wanted - len(chunks))


def apply(waves: Tensor, lengths: Sequence[int], draws: Sequence[Draw]) -> Tensor:
    """``drop_bands``, then ``drop_chunks``: waves (N, T) at 16 kHz, a new tensor."""
    return drop_chunks(drop_bands(waves, lengths, draws), lengths, draws)


def drop_bands(waves: Tensor, lengths: Sequence[int], draws: Sequence[Draw]) -> Tensor:
    """Take out each row's notches: waves (N, T) float32, a new tensor of the same shape.

    Band-stop filters, linear phase, their delay compensated; silence is assumed around the
    utterance. Rows without notches keep their samples bit for bit. Samples beyond a row's length
    are neither read nor changed.
    """
    _check(waves, lengths, draws)
    rows = [row for row, one in enumerate(draws) if one.bands and lengths[row]]
    if not rows:
        return waves.clone()
    index = copy_to_device(rows, waves.device)
    chosen = waves[index]
    valid = _valid(chosen, [lengths[row] for row in rows])
    response = torch.stack([_response(draws[row].bands) for row in rows])
    delays = [len(draws[row].bands) * (TAPS // 2) for row in rows]
    response = copy_to_device(response, waves.device)
    filtered = _convolve(chosen.masked_fill(~valid, 0.0), response, delays)
    return waves.index_copy(0, index, torch.where(valid, filtered, chosen))


def drop_chunks(waves: Tensor, lengths: Sequence[int], draws: Sequence[Draw]) -> Tensor:
    """Zero each row's chunks: waves (N, T), a new tensor of the same shape."""
    _check(waves, lengths, draws)
    most = max((len(one.chunks) for one in draws), default=0)
    bounds = np.zeros((2, len(draws), most), np.int64)  # where there is no chunk: from 0 to 0
    for row, one in enumerate(draws):
        for place, (start, length) in enumerate(one.chunks):
            assert start >= 0 and start + length <= lengths[row], (row, one, lengths[row])
            bounds[:, row, place] = start, start + length
    starts, ends = copy_to_device(torch.from_numpy(bounds), waves.device)[..., None]
    places = torch.arange(waves.shape[1], device=waves.device)
    return waves.masked_fill(((places >= starts) & (places < ends)).any(1), 0.0)


def notch(low: float) -> Tensor:
    """Impulse response (TAPS,) float64 of the band-stop from ``low`` to ``low + BAND_HZ`` Hz.

    A unit impulse less a windowed-sinc band-pass (the difference of two ideal low-passes, times a
    Blackman window); amplitude 1/2 at both edges.
    """
    n = torch.arange(TAPS, dtype=torch.float64) - TAPS // 2
    window = torch.blackman_window(TAPS, periodic=False, dtype=torch.float64)
    taps = -window * (_low_pass(low + BAND_HZ, n) - _low_pass(low, n))
    taps[TAPS // 2] += 1.0
    return taps


def _low_pass(hertz: float, n: Tensor) -> Tensor:
    return 2 * hertz / RATE * torch.sinc(2 * hertz / RATE * n)


def _response(bands: tuple[float, ...]) -> Tensor:
    """Spectrum (BLOCK // 2 + 1,) of a row's notches one after the other."""
    assert len(bands) <= MAX_BANDS, bands
    total = torch.ones(BLOCK // 2 + 1, dtype=torch.complex128)
    for low in bands:
        total = total * torch.fft.rfft(notch(low), BLOCK)
    return total.to(torch.complex64)


def _convolve(waves: Tensor, response: Tensor, delays: Sequence[int]) -> Tensor:
    """Overlap-save convolution of each row (N, T) with its own filter, advanced by ``delays``.

    Blocks have a fixed size and place, so that a sample's value does not depend on the length of
    the padding: a batch equals its rows alone.
    """
    overlap = BLOCK // 2  # room for the longest cascade; half of each block is kept
    total = waves.shape[1] + max(delays)
    count = -(-total // overlap)
    padded = torch.nn.functional.pad(waves, (overlap, count * overlap - waves.shape[1]))
    blocks = padded.unfold(1, BLOCK, overlap)
    spectra = torch.fft.rfft(blocks, dim=2) * response.unsqueeze(1)
    kept = torch.fft.irfft(spectra, BLOCK, dim=2)[:, :, overlap:].reshape(len(waves), -1)
    places = torch.arange(waves.shape[1], device=waves.device)
    return kept.gather(1, places + copy_to_device(delays, waves.device).unsqueeze(1))


def _valid(waves: Tensor, lengths: Sequence[int]) -> Tensor:
    places = torch.arange(waves.shape[1], device=waves.device)
    return places < copy_to_device(lengths, waves.device).unsqueeze(1)


def _check(waves: Tensor, lengths: Sequence[int], draws: Sequence[Draw]) -> None:
    assert waves.ndim == 2 and len(lengths) == len(draws) == len(waves), waves.shape
    assert all(0 <= length <= waves.shape[1] for length in lengths), lengths
