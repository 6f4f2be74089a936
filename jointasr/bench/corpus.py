"""Audio for benchmarks with the durations, words per second and emotions of IEMOCAP.

The audio is noise: the cost of a step depends on the lengths of utterances and transcripts only.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from lhotse import CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.audio import AudioSource

from jointasr.data import archive, datadir, manifest, wav_scp
from jointasr.utils import rng

HOURS = 6.97  # duration of the 5,500 utterances
MEAN, SHORTEST, LONGEST = 4.55, 0.585, 34.14  # seconds
SPREAD = 0.65
"""standard deviation of log durations; random batches of 4, 8, 16 have 76, 121, 169 % padding"""
WORDS = 2.54  # per second
LETTERS = 4  # per word, on average
EMOTIONS = ("ang", "hap", "neu", "sad")


def durations(count: int, seed: int = 0) -> np.ndarray:
    """Draw ``count`` durations in seconds: lognormal, with range and mean of IEMOCAP."""
    generator = rng.stream(seed, "bench durations")
    drawn = np.exp(generator.normal(np.log(MEAN) - SPREAD**2 / 2, SPREAD, 2 * count + 100))
    return drawn[(drawn > SHORTEST) & (drawn < LONGEST)][:count]


def write(folder: Path, seconds: float, seed: int = 0) -> CutSet:
    """Write a data dir of about ``seconds`` of audio, with an archive; return its cuts.

    The cuts refer to the archive; the files ``wavs/<id>.wav`` have the same samples.
    """
    count = max(8, round(seconds / MEAN))
    lengths = (durations(count, seed) * wav_scp.RATE).astype(int)
    ids = [f"Ses01F-{number:05d}" for number in range(count)]
    (folder / "wavs").mkdir(parents=True, exist_ok=True)

    def waves() -> Iterator[tuple[str, np.ndarray]]:
        for name, frames in zip(ids, lengths.tolist(), strict=True):
            wave = rng.stream(seed, "bench wave", name).normal(0, 2000, frames).astype(np.int16)
            soundfile.write(folder / "wavs" / f"{name}.wav", wave, wav_scp.RATE)
            yield name, wave

    archive.write_wav(waves(), folder / "wav.ark", folder / "wav.scp")
    sources = datadir.read_table(folder / "wav.scp")
    cuts = [_cut(n, int(f), sources[n], seed) for n, f in zip(ids, lengths, strict=True)]
    manifest.write(CutSet.from_cuts(cuts), folder, parts=False)
    return manifest.load(folder)


def _cut(name: str, frames: int, source: str, seed: int) -> MonoCut:
    """Return a cut with random words and emotion."""
    seconds = frames / wav_scp.RATE
    generator = rng.stream(seed, "bench text", name)
    words = [
        "".join(chr(ord("A") + letter) for letter in generator.integers(26, size=size))
        for size in generator.integers(
            LETTERS - 2, LETTERS + 3, size=max(1, round(WORDS * seconds))
        )
    ]
    audio = [AudioSource(type="file", channels=[0], source=source)]
    recording = Recording(name, audio, wav_scp.RATE, frames, seconds)
    emotion = EMOTIONS[int(generator.integers(len(EMOTIONS)))]
    supervision = SupervisionSegment(
        name,
        name,
        0.0,
        seconds,
        text=" ".join(words),
        speaker="Ses01F",
        custom={"emotion": emotion},
    )
    return MonoCut(name, 0.0, seconds, 0, [supervision], recording=recording)
