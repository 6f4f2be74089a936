"""Audio inputs: files, folders, patterns, lhotse cuts, Kaldi data dirs, standard input."""

import glob
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import soundfile

from jointasr.data import archive, audio, datadir, wav_scp
from jointasr.data.wav_scp import RATE
from jointasr.utils import files, jsonl
from jointasr.utils.errors import DataError

assert archive.BACKEND is not None
# without RAW, which has no header
FORMATS = {*soundfile.available_formats(), "AIF", "OGA", "OPUS", "SPH"} - {"RAW"}
SUFFIXES = {f".{name.lower()}" for name in FORMATS}
"""suffixes of the files that are read in a folder"""
STDIN = "-"


Reader = Callable[[], np.ndarray]
"""returns samples (T,) float32 at 16 kHz; raises DataError"""


class AudioInput(NamedTuple):
    """A recording, one of its channels, or an utterance of it."""

    id: str
    path: str
    """source of the audio, for messages and results"""
    channel: int | None
    """from 0; None if the channels are mixed"""
    is_turn: bool
    """whether the input is a single turn (of cuts or data dirs), which is not segmented"""
    read: Reader


def find_inputs(arguments: Sequence[str], each_channel: bool) -> list[AudioInput]:
    """Return the audio inputs of command-line arguments in order, without duplicates.

    ``each_channel``: one input for each channel instead of their mean. The id of a file is its
    path. Raises DataError for an argument without audio and for duplicate ids of utterances. A file
    that cannot be read raises DataError only when it is read.
    """
    by_id: dict[str, AudioInput] = {}
    for argument in arguments:
        audio_inputs = list(_expand(argument, each_channel))
        if not audio_inputs:
            raise DataError(f"{argument}: no audio files in this folder")
        for audio_input in audio_inputs:
            if by_id.setdefault(audio_input.id, audio_input).path != audio_input.path:
                raise DataError(
                    f"{argument}: the id {audio_input.id} occurs twice; recognize them separately"
                )
    return list(by_id.values())


def _expand(argument: str, each_channel: bool) -> Iterator[AudioInput]:
    path = Path(argument)
    if argument == STDIN:
        data = sys.stdin.buffer.read()
        yield from _split_channels("stdin", lambda: BytesIO(data), each_channel)
    elif path.is_dir() and (path / "wav.scp").is_file():
        yield from _data_dir(path)
    elif path.is_dir():
        inside = (p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        for file in sorted(p for p in inside if not p.name.startswith(".")):
            yield from _read_file(file, each_channel)
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        yield from _cuts(path)
    elif path.exists():
        yield from _read_file(path, each_channel)
    else:
        matches = sorted(glob.glob(argument, recursive=True))
        if not matches:
            raise DataError(
                f"{argument}: no such file or folder, and no file matches it as a pattern"
            )
        for match in matches:
            yield from _expand(match, each_channel)


def _read_file(path: Path, each_channel: bool) -> Iterator[AudioInput]:
    yield from _split_channels(str(path), lambda: path, each_channel)


def _split_channels(
    name: str, file: Callable[[], Path | BytesIO], each_channel: bool
) -> Iterator[AudioInput]:
    def reader(channel: int | None) -> Reader:
        return lambda: audio.read(file(), name, channel)

    try:
        count = audio.header(file(), name).channels if each_channel else 1
    except DataError:
        count = 1  # the error is reported when the file is read
    if count == 1:
        yield AudioInput(name, name, None, False, reader(None))
        return
    for channel in range(count):
        yield AudioInput(f"{name}#{channel + 1}", name, channel, False, reader(channel))


def _data_dir(path: Path) -> Iterator[AudioInput]:
    """Yield the utterances of a Kaldi data dir, as given by ``segments`` if it exists."""
    recordings = datadir.read_table(path / "wav.scp")
    if not (path / "segments").is_file():
        for name, source in recordings.items():
            yield AudioInput(name, source, None, True, _file_reader(source))
        return
    for name, line in datadir.read_table(path / "segments").items():
        try:
            recording, begin, end = line.split()
            interval = float(begin), float(end)
        except ValueError:
            raise DataError(f"{path}/segments: {name}: expected recording, begin, end") from None
        if recording not in recordings:
            raise DataError(f"{path}/segments: {name}: no recording {recording} in wav.scp")
        source = recordings[recording]
        yield AudioInput(
            name, source, None, True, _segment_reader(_file_reader(source), *interval, name)
        )


def _cuts(path: Path) -> Iterator[AudioInput]:
    """Yield the cuts of a lhotse manifest, each as one turn.

    Only sources of type "file" are accepted, because lhotse can also run commands.
    """
    from lhotse.cut import MonoCut

    for number, item in enumerate(_read_json_lines(path), 1):
        try:
            item.pop("type", None)
            cut = MonoCut.from_dict(item)
            (source,) = cut.recording.sources
        except Exception as error:  # a damaged line may raise anything in lhotse
            raise DataError(f"{path}:{number}: not a cut of one recording ({error})") from None
        if source.type != "file":
            raise DataError(
                f"{path}: cut {cut.id}: its audio is a {source.type}; only files are read"
            )
        channel = None if cut.recording.num_channels == 1 else int(cut.channel)
        name = str(source.source)
        reader = _segment_reader(_file_reader(name, channel), cut.start, cut.end, cut.id)
        yield AudioInput(cut.id, name, channel, True, reader)


def _read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".gz":
        yield from jsonl.read(path)
        return
    for number, line in enumerate(files.read_text(path).splitlines(), 1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: not JSON ({error})") from None


def _file_reader(source: str, channel: int | None = None) -> Reader:
    """Return a reader of an audio file or of an archive entry."""
    wav_scp.check_source(wav_scp.split(source)[0], source)
    return lambda: _read_cached(source, channel)


@lru_cache(maxsize=1)
def _read_cached(source: str, channel: int | None) -> np.ndarray:
    """Read a recording. The last one is cached: utterances are usually sorted by recording."""
    path, offset = wav_scp.split(source)
    if offset is None:
        return audio.read(Path(path), source, channel)
    return wav_scp.read(source).astype(np.float32) / np.float32(wav_scp.FULL_SCALE)


def _segment_reader(read_recording: Reader, begin: float, end: float, name: str) -> Reader:
    """Return a reader of a recording from ``begin`` to ``end`` seconds."""

    def read() -> np.ndarray:
        wave = read_recording()[round(begin * RATE) : round(end * RATE)]
        if not len(wave):
            raise DataError(f"{name}: no audio from {begin} to {end} s")
        return wave

    return read
