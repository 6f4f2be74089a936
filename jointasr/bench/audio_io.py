"""Measure reading, mixing and archiving of audio on one core of this machine."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
from lhotse import CutSet

from jointasr.bench import corpus
from jointasr.config import layout, scenarios
from jointasr.data import archive, datadir, wav_scp
from jointasr.prep import archiving, mixing, mixture_plans
from jointasr.utils import jsonl, rng
from jointasr.utils.project import ROOT

MUSAN = "local/musan"
NOISE_SECONDS, NOISE_FILES = 60, 4
"""duration of a file in seconds; number of files for each type and pool"""


class ReadingTimes(NamedTuple):
    """Microseconds per utterance, from the file to a float tensor."""

    archive: float
    wav: float


def reading(cuts: CutSet, wavs: Path, rounds: int = 5) -> ReadingTimes:
    """Time reading the archive entries of cuts, and wav files of the same samples, alternately.

    ``wavs``: folder of <id>.wav. Returns the best of ``rounds`` rounds.
    """
    sources = {cut.id: cut.recording.sources[0].source for cut in cuts}

    def read_archive() -> None:
        for source in sources.values():
            wave, _ = archive.BACKEND.read_audio(source)
            torch.from_numpy(wave[0])

    def read_wavs() -> None:
        for name in sources:
            wave, _ = soundfile.read(wavs / f"{name}.wav", dtype="float32")
            torch.from_numpy(wave)

    runs = [_times(read_archive, read_wavs) for _ in range(rounds)]
    best = [min(times) for times in zip(*runs, strict=True)]
    return ReadingTimes(*(1e6 * seconds / len(sources) for seconds in best))


def _times(*actions: Callable[[], None]) -> list[float]:
    """Return the seconds that each action takes."""
    seconds = []
    for action in actions:
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return seconds


def prepare(folder: Path, seconds: float) -> None:
    """Write the input of :func:`mixing`: noise files, and ``seconds`` of speech."""
    corpus.write(layout.selected_dir(folder), seconds)
    wavs = layout.selected_dir(folder) / "wavs"
    table = {path.stem: str(path) for path in sorted(wavs.iterdir())}
    datadir.write_table(layout.selected_dir(folder) / "wav.scp", table)
    _write_noise(folder / MUSAN)


def time_mixing(folder: Path) -> tuple[float, float]:
    """Plan, merge and archive all noisy sets; return seconds taken and seconds of audio."""
    tests = ROOT / "conf/tests.tsv"
    conditions: Sequence[mixing.MixCondition] = list(
        mixture_plans.conditions(tests, (5.0, 35.0), (1, 1)).values()
    )
    selected, musan, mix = layout.selected_dir(folder), folder / MUSAN, layout.mix_dir(folder)
    start = time.perf_counter()
    mixture_plans.plan(selected, musan, mix, conditions, 0.0, 0, 1, 1)
    for condition in conditions:
        mixture_plans.merge(selected, mix, condition, 1)
    archiving.write_share(folder, musan, {c.name: c.pool for c in conditions}, 1, 1)
    seconds = time.perf_counter() - start
    durations = datadir.read_table(selected / "utt2dur").values()
    return seconds, len(conditions) * sum(map(float, durations))


def _write_noise(folder: Path) -> None:
    """Write noise files of all types, with recordings manifest and pools."""
    folder.mkdir(parents=True, exist_ok=True)
    recordings, pools = [], {}
    for kind in scenarios.KINDS:
        for pool in mixing.POOLS:
            for number in range(NOISE_FILES):
                name = f"{kind}-{pool}-{number}"
                frames = NOISE_SECONDS * wav_scp.RATE
                wave = rng.stream(0, "bench noise", name).normal(0, 2000, frames)
                path = folder / f"{name}.wav"
                soundfile.write(path, wave.astype(np.int16), wav_scp.RATE)
                source = {"type": "file", "channels": [0], "source": str(path)}
                recordings.append({"id": name, "num_samples": frames, "sources": [source]})
                pools[name] = f"{kind} {pool}"
    jsonl.write(folder / layout.RECORDINGS, recordings)
    datadir.write_table(folder / layout.POOLS, pools)
