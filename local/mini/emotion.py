"""Emotional speech: a style vector for each utterance, and its effect on the voice.

Styles have seven dimensions in units of their standard deviations. The mean of each class is moved
toward that of the class with similar arousal (anger and happiness; sadness and neutral), so that
the voice indicates arousal better than valence. Loudness is random: encoders normalize it.
"""

import numpy as np
from numpy.typing import NDArray

from local.mini.dsp import RATE, Wave, envelope, fft_filter, fft_size, frequencies, tilt
from local.mini.voices import Voice, synthesize

Rng = np.random.Generator
DIMENSIONS = ("pitch", "range", "rate", "tilt", "drive", "breath", "tremor")
MEANS = {
    "ang": (0.6, 0.6, 0.9, 1.6, 1.8, -0.8, -0.3),
    "hap": (1.7, 1.6, 0.6, 0.5, 0.0, -0.3, 0.0),
    "neu": (0.0, -0.6, 0.1, 0.0, -0.3, -0.3, -0.4),
    "sad": (-0.9, -1.0, -1.5, -1.4, -0.8, 1.5, 1.3),
}
PARTNER = {"ang": "hap", "hap": "ang", "neu": "sad", "sad": "neu"}
PULL = 0.35
"""how far class means are moved toward the mean of the partner, 0 to 1"""
SPREAD = 0.8
"""standard deviation within a class"""


def mean(emotion: str) -> NDArray[np.float64]:
    """Return the mean style (7,) of a class; for other labels, the mean of all classes."""
    if emotion not in MEANS:
        return np.mean([MEANS[name] for name in MEANS], axis=0)
    own, other = np.array(MEANS[emotion]), np.array(MEANS[PARTNER[emotion]])
    return np.asarray(own + PULL * (other - own))


def draw_style(rng: Rng, emotion: str) -> NDArray[np.float64]:
    """Draw the style of one utterance, shape (7,)."""
    return mean(emotion) + SPREAD * np.array([_normal(rng) for _ in DIMENSIONS])


def _normal(rng: Rng) -> float:
    """Draw an approximately normal number, bounded and independent of the numpy version."""
    return sum(rng.random() for _ in range(12)) - 6.0


def synthesize_emotional(rng: Rng, text: str, voice: Voice, style: NDArray[np.float64]) -> Wave:
    """Synthesize ``text`` with a style (7,), at 16 kHz and a random peak level."""
    z = dict(zip(DIMENSIONS, style, strict=True))
    x = synthesize(
        text,
        voice,
        rate=float(np.clip(1 + 0.07 * z["rate"], 0.72, 1.35)),
        pitch=7 * z["pitch"],
        pitch_range=50 + 14 * z["range"],
    )
    return apply_style(rng, x, z, voice.channel)


def apply_style(rng: Rng, x: Wave, z: dict[str, np.float64], channel: float) -> Wave:
    """Apply spectral tilt (dB per octave), overdrive, breath noise and a 6 Hz tremor."""
    x = x / max(float(np.abs(x).max()), 1e-9)
    drive = float(np.clip(1 + 0.9 * z["drive"], 0, 6))
    if drive > 0:
        x = np.tanh(drive * x) / np.tanh(drive)
    x = tilt(x, channel + 1.2 * float(z["tilt"]))
    breath = float(np.clip(0.025 * (1 + z["breath"]), 0, 0.15))
    if breath > 0:
        x = x + breath * breath_noise(rng, len(x)) * np.sqrt(envelope(x, 0.05) * np.abs(x).max())
    depth = float(np.clip(0.12 * (1 + z["tremor"]), 0, 0.6))
    phase = 2 * np.pi * rng.random()
    x = x * (1 - depth * (0.5 + 0.5 * np.sin(2 * np.pi * 6 * np.arange(len(x)) / RATE + phase)))
    return np.asarray(x * ((0.2 + 0.5 * rng.random()) / np.abs(x).max()), np.float32)


def breath_noise(rng: Rng, length: int) -> Wave:
    """Return noise of unit variance between 1 and 6 kHz."""
    n = fft_size(length)
    noise = (rng.random(n, np.float32) - 0.5) * np.float32(12**0.5)
    f = frequencies(n)
    band = ((f > 1000) & (f < 6000)).astype(np.float64)
    return fft_filter(noise, band * np.sqrt(len(band) / band.sum()), n)[:length]


def breathing(rng: Rng, seconds: float) -> Wave:
    """Return the sound of an utterance without words: two or three breaths."""
    x = breath_noise(rng, int(seconds * RATE))
    t = np.arange(len(x)) / len(x)
    puffs = 2 + int(2 * rng.random())
    return np.asarray(0.1 * x * np.abs(np.sin(np.pi * puffs * t)) ** 2, np.float32)
