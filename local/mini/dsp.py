"""Signal processing for the mini corpora, in numpy. Waves are (samples,) float32 at 16 kHz."""

import wave
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

RATE = 16_000
Wave = NDArray[np.float32]
_TAPS, _PHASES = 32, 512


@cache
def _kernels(cutoff: float) -> NDArray[np.float32]:
    """Return Hann-windowed sinc filters, one row per delay; cut-off relative to Nyquist."""
    offsets = np.arange(_TAPS) - _TAPS / 2 + 1
    delay = np.arange(_PHASES)[:, None] / _PHASES
    t = offsets[None, :] - delay
    window = 0.5 + 0.5 * np.cos(np.pi * np.clip(t / (_TAPS / 2), -1, 1))
    table = cutoff * np.sinc(cutoff * t) * window
    return np.asarray(table / table.sum(1, keepdims=True), np.float32)


def resample(x: Wave, step: float) -> Wave:
    """Interpolate ``x`` at multiples of ``step`` samples; returns about len(x) / step samples."""
    table = _kernels(round(0.95 * min(1.0, 1 / step), 6))
    ticks = np.round(np.arange(int((len(x) - 1) / step)) * step * _PHASES).astype(np.int64)
    start, phase = ticks // _PHASES, ticks % _PHASES
    padded = np.pad(x, _TAPS // 2)
    out = np.zeros(len(ticks), np.float32)
    for tap in range(_TAPS):
        out += padded[start + tap + 1] * table[phase, tap]
    return out


def trim(x: Wave, threshold: float = 0.004, margin: float = 0.05) -> Wave:
    """Remove samples below ``threshold`` at both ends, except for ``margin`` seconds."""
    loud = np.flatnonzero(np.abs(x) > threshold)
    edge = int(margin * RATE)
    return x[max(0, loud[0] - edge) : loud[-1] + edge] if len(loud) else x


def fft_filter(x: Wave, gain: NDArray[np.float64], n: int) -> Wave:
    """Multiply the spectrum (n-point real FFT, n >= len(x)) by ``gain`` (n // 2 + 1,)."""
    return np.asarray(np.fft.irfft(np.fft.rfft(x, n) * gain, n)[: len(x)], np.float32)


def fft_size(length: int) -> int:
    """Return an FFT size, a power of two, with room for the tail of a filter."""
    return 1 << (length + 2048).bit_length()


def frequencies(n: int) -> NDArray[np.float64]:
    """Return the frequencies of the bins of an n-point real FFT, in Hz."""
    return np.fft.rfftfreq(n, 1 / RATE)


def tilt(x: Wave, db_per_octave: float) -> Wave:
    """Tilt the spectrum by a gain of 0 dB at 500 Hz; the gain is constant below 100 Hz."""
    n = fft_size(len(x))
    octaves = np.log2(np.maximum(frequencies(n), 100.0) / 500.0)
    return fft_filter(x, 10 ** (db_per_octave * octaves / 20), n)


def rms(x: Wave) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def level(x: Wave, value: float) -> Wave:
    """Scale to an RMS of ``value``, or to a peak of 0.95 if that would clip."""
    gain = value / max(rms(x), 1e-9)
    return np.asarray(x * min(gain, 0.95 / max(float(np.abs(x).max()), 1e-9)), np.float32)


def envelope(x: Wave, seconds: float = 0.02) -> Wave:
    """Return the moving average of the magnitude over the previous ``seconds``."""
    width = int(seconds * RATE)
    total = np.cumsum(np.pad(np.abs(x), (width, 0)), dtype=np.float64)
    return np.asarray((total[width:] - total[:-width]) / width, np.float32)


def write_wav(path: Path, x: Wave) -> None:
    """Write a mono 16 kHz file with 16-bit samples, rounded and clipped."""
    data = np.clip(np.round(x * 32768), -32768, 32767).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(data.tobytes())
