"""Pretraining speech for a small encoder: other voices, no emotion labels, half of it with noise.

Noises are of the same types as in the noise corpus, but not from its files. Texts are from the same
grammar as those of the actors, in place of the large corpora of pretrained encoders.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from jointasr.utils.rng import stream
from local.mini import emotion, sounds, voices
from local.mini.dsp import Wave, write_wav
from local.mini.musan import continuous_speech
from local.mini.sentences import sentence

Rng = np.random.Generator
UTTERANCES = 54  # per reader
EXTRA_TEXTS = 3000
NOISY = 0.5
"""probability of noise"""
SNR = (5.0, 35.0)
"""range in dB"""
COLUMNS = ("utterance", "reader", "gender", "noise", "snr", "text")


def write_audio(seed: int, root: Path, readers: Iterable[int], scale: float) -> list[str]:
    """Write the wavs of several readers, in order; return the rows of the table.

    Must run in a separate process, see :mod:`local.mini.voices`.
    """
    return [row for reader in readers for row in _write_reader(seed, root, reader, scale)]


def _write_reader(seed: int, root: Path, reader: int, scale: float) -> list[str]:
    voice = voices.READERS[reader]
    name = f"reader{reader + 1:02d}"
    folder = root / "wav" / name
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(max(2, round(scale * UTTERANCES))):
        rng = stream(seed, "pretrain", name, number)
        text = sentence(rng, ("ang", "hap", "neu", "sad")[int(rng.random() * 4)])
        # Styles vary as much as those of the actors, but are independent of the text.
        x = emotion.synthesize_emotional(rng, text, voice, 1.5 * emotion.draw_style(rng, ""))
        kind, snr = "-", 0.0
        if rng.random() < NOISY:
            kind = ("music", "noise", "speech")[int(rng.random() * 3)]
            snr = SNR[0] + (SNR[1] - SNR[0]) * rng.random()
            x = _mix(x, _noise(rng, kind, reader, len(x)), snr)
        id = f"{name}-{number:04d}"
        write_wav(folder / f"{id}.wav", x)
        rows.append("\t".join((id, name, voice.gender, kind, f"{snr:.2f}", text)))
    return rows


def _noise(rng: Rng, kind: str, reader: int, n: int) -> Wave:
    if kind == "music":
        return sounds.music(rng, n)
    if kind == "noise":
        return sounds.NOISES[int(rng.random() * len(sounds.NOISES))](rng, n)
    other = (reader + 1 + int(rng.random() * (len(voices.READERS) - 1))) % len(voices.READERS)
    return continuous_speech(rng, voices.READERS[other], n)


def _mix(x: Wave, noise: Wave, snr: float) -> Wave:
    """Mix at an SNR in dB (ratio of mean powers); scale down a mixture that would clip."""
    power, other = (float(np.mean(np.square(y, dtype=np.float64))) for y in (x, noise))
    mixed = x + noise * np.float32(np.sqrt(power / max(other, 1e-12) / 10 ** (snr / 10)))
    return np.asarray(mixed * min(1.0, 0.95 / float(np.abs(mixed).max())), np.float32)


def texts(seed: int, scale: float) -> list[str]:
    """Return additional sentences, without audio, for vocabularies and language models."""
    rng = stream(seed, "texts")
    kinds = ("ang", "hap", "neu", "sad")
    count = round(EXTRA_TEXTS * scale)
    return [sentence(rng, kinds[int(rng.random() * 4)]).replace(",", "") for _ in range(count)]
