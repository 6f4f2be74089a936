"""Synthetic music and noises. All functions return ``n`` samples at 16 kHz with an RMS of 0.1."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from local.mini.dsp import RATE, Wave, level

Rng = np.random.Generator
_CHORDS = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14), (2, 5, 9), (4, 7, 11))


def music(rng: Rng, n: int) -> Wave:
    """Return a chord progression with seven harmonics per tone and a hi-hat on half beats."""
    beat = int(RATE * (0.35 + 0.35 * rng.random()))
    root = 110 * 2 ** (rng.random() * 1.2)
    decay = 1.0 + 2.0 * rng.random()
    hat = 0.05 + 0.15 * rng.random()
    out = np.zeros(n + 2 * beat, np.float32)
    t = np.arange(2 * beat) / RATE
    for start in range(0, n, 2 * beat):
        chord = _CHORDS[int(rng.random() * len(_CHORDS))]
        tones = sum(_tone(root * 2 ** (step / 12), t) for step in chord)
        out[start : start + 2 * beat] += np.asarray(tones * np.exp(-decay * t), np.float32)
        for half in range(0, 2 * beat, beat // 2):
            length = min(1200, n + 2 * beat - start - half)
            click = np.diff(rng.random(length + 1)) * np.exp(-np.arange(length) / 250)
            out[start + half : start + half + length] += np.asarray(hat * click * 4, np.float32)
    return unit(out[:n])


def _tone(f0: float, t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(
        sum(np.sin(2 * np.pi * f0 * h * t) / h**1.5 for h in range(1, 8) if f0 * h < RATE / 2)
    )


def colored_noise(exponent: float) -> Callable[[Rng, int], Wave]:
    """Return a function for noise of power 1 / f ** exponent above 30 Hz (0: white, 2: brown)."""

    def make(rng: Rng, n: int) -> Wave:
        size = 1 << max(10, (n - 1).bit_length())
        spectrum = np.fft.rfft(rng.random(size) - 0.5)
        f = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 30.0)
        return unit(np.fft.irfft(spectrum / f ** (exponent / 2), size)[:n])

    return make


def hum(rng: Rng, n: int) -> Wave:
    """Return mains hum with harmonics, and weak brown noise."""
    f0 = 50 + 20 * rng.random()
    t = np.arange(n) / RATE
    x = sum(np.sin(2 * np.pi * (f0 * h * t + rng.random())) / h for h in range(1, 12))
    return unit(np.asarray(x) / 1.2 + 0.4 * colored_noise(2)(rng, n))


def clicks(rng: Rng, n: int) -> Wave:
    """Return decaying clicks at random times over weak noise."""
    x = 0.02 * colored_noise(1)(rng, n)
    ring = 0.004 + 0.01 * rng.random()
    at = int(RATE * 0.02)
    while at < n:
        length = min(2000, n - at)
        t = np.arange(length) / RATE
        f = 600 + 3000 * rng.random()
        x[at : at + length] += np.asarray(np.exp(-t / ring) * np.sin(2 * np.pi * f * t), np.float32)
        at += int(RATE * (0.06 + 0.5 * rng.random()))
    return unit(x)


def band(rng: Rng, n: int) -> Wave:
    """Return amplitude-modulated noise in one frequency band."""
    size = 1 << max(10, (n - 1).bit_length())
    centre = 300 * 2 ** (3.3 * rng.random())
    f = np.fft.rfftfreq(size, 1 / RATE)
    shape = np.exp(-0.5 * ((f - centre) / (0.25 * centre)) ** 2)
    x = np.fft.irfft(np.fft.rfft(rng.random(size) - 0.5) * shape, size)[:n]
    speed = 0.5 + 3 * rng.random()
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * (speed * np.arange(n) / RATE + rng.random()))
    return unit(x * swell)


def siren(rng: Rng, n: int) -> Wave:
    """Return a tone of varying frequency."""
    t = np.arange(n) / RATE
    f = 500 + 700 * rng.random() + 250 * np.sin(2 * np.pi * (0.3 + rng.random()) * t)
    phase = 2 * np.pi * np.cumsum(f) / RATE
    return unit(np.sin(phase) + 0.3 * np.sin(2 * phase) + 0.1 * np.sin(3 * phase))


# White noise is rare, because it masks all speech and would dominate the results at 5 dB.
NOISES: tuple[Callable[[Rng, int], Wave], ...] = (
    colored_noise(2),
    clicks,
    band,
    hum,
    siren,
    colored_noise(1.5),
    clicks,
    band,
    colored_noise(2),
    siren,
    hum,
    clicks,
    band,
    colored_noise(0),
    hum,
)


def unit(x: NDArray[np.floating]) -> Wave:
    """Scale to an RMS of 0.1 without clipping."""
    return level(np.asarray(x, np.float32), 0.1)
