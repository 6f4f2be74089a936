"""Utterances as wav files of their own, mono 16 kHz 16 bit, whatever they are cut out of."""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from jointasr.data import audio, wav_scp
from jointasr.utils import files
from jointasr.utils.errors import DataError
from jointasr.utils.progress import Progress
from local.own.check import Utterance

log = logging.getLogger(__name__)
TELL = 10.0
"""seconds between lines about progress"""


class Written(NamedTuple):
    """What became of the audio of a corpus."""

    files: dict[str, Path]
    """by utterance"""
    problems: list[str]
    clipped: int
    """utterances with samples beyond full scale, which were cut off at it"""


def write(utterances: Sequence[Utterance], out: Path, jobs: int) -> Written:
    """Write ``out``/<id>.wav of each utterance. A recording is read once, by one of ``jobs``
    threads; samples of 16-bit files at 16 kHz stay as they are.

    Audio that is damaged, all zeros or shorter than its header said is a problem.
    """
    out.mkdir(parents=True, exist_ok=True)
    recordings: dict[tuple[str, int | None], list[Utterance]] = defaultdict(list)
    for one in utterances:
        recordings[one.path, one.channel].append(one)
    paths: dict[str, Path] = {}
    problems: list[str] = []
    clipped, progress, told = 0, Progress(), time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        parts = pool.map(lambda some: _recording(some, out), recordings.values())
        for number, (part, some) in enumerate(zip(parts, recordings.values(), strict=True), 1):
            paths.update(part.files)
            problems += part.problems
            clipped += part.clipped
            progress.add(sum(one.end - one.start for one in some))
            if time.monotonic() - told > TELL or number == len(recordings):
                told = time.monotonic()
                share = progress(number / len(recordings))
                log.info("%d of %d recordings, %s", number, len(recordings), share)
    return Written(paths, problems, clipped)


def _recording(some: Sequence[Utterance], out: Path) -> Written:
    found = Written({}, [], 0)
    try:
        wave = _samples(some[0].path, some[0].channel)
    except (DataError, OSError) as error:
        return found._replace(problems=[f"{one.where}: {error}" for one in some])
    clipped = 0
    for one in some:
        first, last = round(one.start * wav_scp.RATE), round(one.end * wav_scp.RATE)
        cut = wave[first:last]
        if len(cut) < last - first - 1:
            found.problems.append(f"{one.where}: {one.path} has less audio than its header says")
        elif not cut.any():
            found.problems.append(f"{one.where}: nothing but zeros from {one.start:g} s on")
        else:
            samples = np.rint(cut * wav_scp.FULL_SCALE)
            clipped += bool(
                samples.max() >= wav_scp.FULL_SCALE or samples.min() < -wav_scp.FULL_SCALE
            )
            limits = -wav_scp.FULL_SCALE, wav_scp.FULL_SCALE - 1
            found.files[one.id] = out / f"{one.id}.wav"
            with files.replacing(found.files[one.id]) as temporary:
                whole = samples.clip(*limits).astype(np.int16)
                soundfile.write(temporary, whole, wav_scp.RATE, "PCM_16", format="WAV")
    return found._replace(clipped=clipped)


def _samples(source: str, channel: int | None) -> np.ndarray:
    """Samples (T,) float32 at 16 kHz, of a file or an archive's entry."""
    if wav_scp.split(source)[1] is None:
        return audio.read(Path(source), source, channel)
    return wav_scp.read(source).astype(np.float32) / np.float32(wav_scp.FULL_SCALE)
