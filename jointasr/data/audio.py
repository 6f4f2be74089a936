"""Read audio of any format and rate as mono at 16 kHz, for recognition.

The audio of a recipe is read by :mod:`jointasr.data.wav_scp`, which does not convert.
"""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from jointasr.data.wav_scp import RATE, AudioHeader
from jointasr.utils.errors import DataError

BLOCK = 1 << 18
"""samples per block of decoding"""


def header(file: Path | BinaryIO, name: str) -> AudioHeader:
    """Return the header of ``file``, called ``name`` in errors, or raise DataError."""
    with _open(file, name) as sound:
        return AudioHeader(sound.samplerate, sound.channels, sound.frames)


def read(
    file: Path | BinaryIO, name: str, channel: int | None = None, max_seconds: float = float("inf")
) -> np.ndarray:
    """Return samples (T,) float32 at 16 kHz: of one channel (from 0), or the mean of all.

    The file is decoded and resampled block by block, so that peak memory is that of the result:
    0.23 GB per hour. Raises DataError naming the file if it cannot be read, is longer than
    ``max_seconds``, or has no samples, no such channel, or samples that are not finite.
    """
    with _open(file, name) as sound:
        if channel is not None and channel >= sound.channels:
            raise DataError(f"{name}: has {sound.channels} channels, no channel {channel}")
        converter = _Converter(sound.samplerate)
        data, remaining = bytearray(), max_seconds * sound.samplerate  # a bytearray grows in place
        try:
            for block in sound.blocks(BLOCK, dtype="float32", always_2d=True):
                remaining -= len(block)
                if remaining < 0:
                    raise DataError(f"{name}: longer than {max_seconds:g} seconds")
                mono = block.mean(1) if channel is None else block[:, channel]
                if not np.isfinite(mono).all():
                    raise DataError(f"{name}: has samples that are not finite")
                data += converter(mono).tobytes()
        except soundfile.LibsndfileError as error:
            raise DataError(f"{name}: damaged ({error.error_string})") from None
        data += converter(np.zeros(0, np.float32), last=True).tobytes()
    if not data:
        raise DataError(f"{name}: no samples")
    return np.frombuffer(data, np.float32)


def convert(wave: np.ndarray, rate: int) -> np.ndarray:
    """Convert samples to float32 at 16 kHz, shape (T,).

    ``wave`` is (T,), or (T, channels) to be averaged; floats in [-1, 1] or signed integers of full
    scale. Raises DataError for anything else.
    """
    wave = np.asarray(wave)
    if wave.ndim not in (1, 2) or not wave.size or rate < 1:
        raise DataError(f"samples of shape {wave.shape} at {rate} Hz: give (T,) or (T, channels)")
    if np.issubdtype(wave.dtype, np.signedinteger):
        wave = wave / -float(np.iinfo(wave.dtype).min)
    if not np.issubdtype(wave.dtype, np.floating) or not np.isfinite(wave).all():
        raise DataError(f"samples of type {wave.dtype}: give finite floats or signed integers")
    mono = np.ascontiguousarray(wave if wave.ndim == 1 else wave.mean(1), np.float32)
    converter = _Converter(rate)
    return np.concatenate([converter(mono), converter(np.zeros(0, np.float32), last=True)])


class _Converter:
    """Resampler to 16 kHz that works block by block."""

    def __init__(self, rate: int) -> None:
        self._stream = None
        if rate != RATE:
            self._stream = soxr.ResampleStream(rate, RATE, 1, dtype="float32")

    def __call__(self, block: np.ndarray, last: bool = False) -> np.ndarray:
        if self._stream is None:
            return block
        return np.asarray(self._stream.resample_chunk(np.ascontiguousarray(block), last=last))


def _open(file: Path | BinaryIO, name: str) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(str(file) if isinstance(file, Path) else file)
    except soundfile.LibsndfileError as error:
        if isinstance(file, Path) and not file.is_file():
            raise DataError(f"{name}: no such file") from None
        raise DataError(f"{name}: not readable as audio ({error.error_string})") from None
