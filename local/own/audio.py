"""Convert utterances from any supported audio format to wav files: mono, 16 kHz, 16 bit."""

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
LOG_INTERVAL = 10.0
"""seconds between progress lines"""


class WrittenAudio(NamedTuple):
    """The written files, and problems of utterances that could not be written."""

    files: dict[str, Path]
    """by utterance id"""
    problems: list[str]
    clipped: int
    """number of utterances with samples clipped at full scale"""


def write(utterances: Sequence[Utterance], out: Path, jobs: int) -> WrittenAudio:
    """Write ``out``/<id>.wav for each utterance.

    Each recording is read once, by one of ``jobs`` threads. Samples of 16-bit files at 16 kHz do
    not change. Utterances with damaged or truncated audio, or only zeros, are returned as problems.
    """
    out.mkdir(parents=True, exist_ok=True)
    recordings: dict[tuple[str, int | None], list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        recordings[utterance.path, utterance.channel].append(utterance)
    paths: dict[str, Path] = {}
    problems: list[str] = []
    clipped, progress, logged = 0, Progress(), time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        parts = pool.map(lambda group: _write_group(group, out), recordings.values())
        for number, (part, group) in enumerate(zip(parts, recordings.values(), strict=True), 1):
            paths.update(part.files)
            problems += part.problems
            clipped += part.clipped
            progress.add(sum(utterance.end - utterance.start for utterance in group))
            if time.monotonic() - logged > LOG_INTERVAL or number == len(recordings):
                logged = time.monotonic()
                share = number / len(recordings)
                log.info("%d of %d recordings, %s", number, len(recordings), progress(share))
    return WrittenAudio(paths, problems, clipped)


def _write_group(utterances: Sequence[Utterance], out: Path) -> WrittenAudio:
    """Write the utterances of one channel of one recording."""
    written = WrittenAudio({}, [], 0)
    try:
        wave = _read_samples(utterances[0].path, utterances[0].channel)
    except (DataError, OSError) as error:
        return written._replace(problems=[f"{u.where}: {error}" for u in utterances])
    clipped = 0
    for utterance in utterances:
        first = round(utterance.start * wav_scp.RATE)
        last = round(utterance.end * wav_scp.RATE)
        cut = wave[first:last]
        if len(cut) < last - first - 1:
            message = f"{utterance.path} has less audio than its header says"
            written.problems.append(f"{utterance.where}: {message}")
        elif not cut.any():
            message = f"nothing but zeros from {utterance.start:g} s on"
            written.problems.append(f"{utterance.where}: {message}")
        else:
            samples = np.rint(cut * wav_scp.FULL_SCALE)
            clipped += bool(
                samples.max() >= wav_scp.FULL_SCALE or samples.min() < -wav_scp.FULL_SCALE
            )
            limits = -wav_scp.FULL_SCALE, wav_scp.FULL_SCALE - 1
            written.files[utterance.id] = out / f"{utterance.id}.wav"
            with files.replacing(written.files[utterance.id]) as temporary:
                pcm = samples.clip(*limits).astype(np.int16)
                soundfile.write(temporary, pcm, wav_scp.RATE, "PCM_16", format="WAV")
    return written._replace(clipped=clipped)


def _read_samples(source: str, channel: int | None) -> np.ndarray:
    """Read samples (T,) float32 at 16 kHz from a file or an entry of an archive."""
    if wav_scp.split(source)[1] is None:
        return audio.read(Path(source), source, channel)
    return wav_scp.read(source).astype(np.float32) / np.float32(wav_scp.FULL_SCALE)
