"""What users have recognised: files, folders, patterns, lhotse cuts, Kaldi data dirs, stdin."""

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
FORMATS = {*soundfile.available_formats(), "AIF", "OGA", "OPUS", "SPH"} - {"RAW"}  # has no header
SUFFIXES = {f".{name.lower()}" for name in FORMATS}
"""of files that are taken from a folder"""
STDIN = "-"


class Source(NamedTuple):
    """A recording, or a channel of it, or an utterance in it."""

    id: str
    name: str
    """for people: the path"""
    channel: int | None
    turn: bool
    """whether it is one turn, because the user says so"""
    read: Callable[[], np.ndarray]
    """gives samples (T,) float32 at 16 kHz; raises DataError"""


def find(given: Sequence[str], each_channel: bool) -> list[Source]:
    """The sources of the arguments of a command, in their order, without those given twice.

    ``each_channel``: one for each channel instead of their mean. Files are known by their path.
    Raises DataError for an argument that is nothing of the kind or gives no audio, and where two
    utterances have the same id. A file that cannot be read raises when it is read.
    """
    found: dict[str, Source] = {}
    for argument in given:
        sources = list(_of(argument, each_channel))
        if not sources:
            raise DataError(f"{argument}: no audio file in it")
        for source in sources:
            if found.setdefault(source.id, source).name != source.name:
                raise DataError(f"{argument}: the id {source.id} occurs twice; give them apart")
    return list(found.values())


def _of(argument: str, each_channel: bool) -> Iterator[Source]:
    path = Path(argument)
    if argument == STDIN:
        data = sys.stdin.buffer.read()
        yield from _channels("stdin", lambda: BytesIO(data), each_channel)
    elif path.is_dir() and (path / "wav.scp").is_file():
        yield from _data_dir(path)
    elif path.is_dir():
        inside = (p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        for file in sorted(p for p in inside if not p.name.startswith(".")):
            yield from _file(file, each_channel)
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        yield from _cuts(path)
    elif path.exists():
        yield from _file(path, each_channel)
    else:
        matches = sorted(glob.glob(argument, recursive=True))
        if not matches:
            raise DataError(f"{argument}: no such file or folder, nor does the pattern match any")
        for match in matches:
            yield from _of(match, each_channel)


def _file(path: Path, each_channel: bool) -> Iterator[Source]:
    yield from _channels(str(path), lambda: path, each_channel)


def _channels(name: str, file: Callable[[], Path | BytesIO], each: bool) -> Iterator[Source]:
    def reader(channel: int | None) -> Callable[[], np.ndarray]:
        return lambda: audio.read(file(), name, channel)

    try:
        count = audio.header(file(), name).channels if each else 1
    except DataError:
        count = 1  # it is told when it is read
    if count == 1:
        yield Source(name, name, None, False, reader(None))
        return
    for channel in range(count):
        yield Source(f"{name}#{channel + 1}", name, channel, False, reader(channel))


def _data_dir(path: Path) -> Iterator[Source]:
    """The utterances of a Kaldi data dir: those of ``segments`` where there is one."""
    recordings = datadir.read_table(path / "wav.scp")
    if not (path / "segments").is_file():
        for name, source in recordings.items():
            yield Source(name, source, None, True, _whole(source))
        return
    for name, line in datadir.read_table(path / "segments").items():
        try:
            recording, begin, end = line.split()
            stretch = float(begin), float(end)
        except ValueError:
            raise DataError(f"{path}/segments: {name}: expected recording, begin, end") from None
        if recording not in recordings:
            raise DataError(f"{path}/segments: {name}: no recording {recording} in wav.scp")
        source = recordings[recording]
        yield Source(name, source, None, True, _part(_whole(source), *stretch, name))


def _cuts(path: Path) -> Iterator[Source]:
    """A lhotse cut manifest: each cut is a turn. Its audio is files, for of the other types of
    source one is a command."""
    from lhotse.cut import MonoCut

    for number, item in enumerate(_items(path), 1):
        try:
            item.pop("type", None)
            cut = MonoCut.from_dict(item)
            (source,) = cut.recording.sources
        except Exception as error:  # whatever a damaged line leads to in there
            raise DataError(f"{path}:{number}: not a cut of one recording ({error})") from None
        if source.type != "file":
            raise DataError(f"{path}: cut {cut.id}: its audio is a {source.type}; give files")
        channel = None if cut.recording.num_channels == 1 else int(cut.channel)
        name = str(source.source)
        reader = _part(_whole(name, channel), cut.start, cut.end, cut.id)
        yield Source(cut.id, name, channel, True, reader)


def _items(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".gz":
        yield from jsonl.read(path)
        return
    for number, line in enumerate(files.read_text(path).splitlines(), 1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}:{number}: not JSON ({error})") from None


def _whole(source: str, channel: int | None = None) -> Callable[[], np.ndarray]:
    """A reader of a file of any format, or an entry of an archive."""
    wav_scp.refuse(wav_scp.split(source)[0], source)
    return lambda: _samples(source, channel)


@lru_cache(maxsize=1)
def _samples(source: str, channel: int | None) -> np.ndarray:
    """Kept until another is read: utterances of a recording follow each other."""
    path, offset = wav_scp.split(source)
    if offset is None:
        return audio.read(Path(path), source, channel)
    return wav_scp.read(source).astype(np.float32) / np.float32(wav_scp.FULL_SCALE)


def _part(
    whole: Callable[[], np.ndarray], begin: float, end: float, name: str
) -> Callable[[], np.ndarray]:
    def read() -> np.ndarray:
        wave = whole()[round(begin * RATE) : round(end * RATE)]
        if not len(wave):
            raise DataError(f"{name}: no audio from {begin} to {end} s")
        return wave

    return read
