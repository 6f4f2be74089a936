"""Strict reader of the audio in wav.scp: a file or ``archive.ark:offset``.

All audio is mono 16-bit PCM at 16 kHz. Anything else is an error that names the file, because
resampling, mixing or padding would hide that a corpus is not as expected.
"""

import os
import struct
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import numpy as np
import soundfile

from jointasr.utils.errors import DataError

RATE = 16000
"""sample rate of the pretrained encoders, Hz"""
FULL_SCALE = 32768.0
"""int16 samples are values in [-1, 1) times this"""
UNKNOWN_SIZE = 0x7FFFFF00
"""sizes from here on mean "unknown" in headers of streams"""
PCM = 1
"""format tag of the RIFF specification"""
FMT = struct.Struct("<HHIIHH")
"""format tag, channels, rate, bytes per second, bytes per frame, bits"""


@dataclass(frozen=True)
class AudioHeader:
    """Contents of an audio header: sample rate in Hz, channels, samples per channel."""

    rate: int
    channels: int
    frames: int

    @property
    def duration(self) -> float:
        """Duration in seconds, frames / rate."""
        return self.frames / self.rate


def split(source: str) -> tuple[str, int | None]:
    """Split ``a/wav.1.ark:123`` into ``("a/wav.1.ark", 123)``; a plain file has offset None."""
    path, colon, offset = source.rpartition(":")
    if colon and path.endswith(".ark") and offset.isascii() and offset.isdigit():
        return path, int(offset)
    return source, None


def check_source(path: str, source: str) -> None:
    """Raise DataError for a pipe, which would run a program, or a path out of the recipe folder.

    Absolute paths are allowed.
    """
    if source.rstrip().endswith("|") or source.lstrip().startswith("|"):
        raise DataError(f"{source}: pipes are not executed; convert the audio to files first")
    if os.path.normpath(path).split(os.sep)[0] == os.pardir:
        raise DataError(
            f"{source}: is outside the recipe folder; use an absolute path if this is intended"
        )


def header(source: str) -> AudioHeader:
    """Return the header of ``source``. Samples are not read, but must be complete.

    Raises DataError naming ``source`` if it is missing, truncated or not audio.
    """
    path, offset = split(source)
    check_source(path, source)
    if offset is None:
        with _open_sound(path) as sound:
            audio = AudioHeader(sound.samplerate, sound.channels, sound.frames)
        check_complete(path)
        return audio
    with _open(path, source) as file:
        return _entry_header(file, offset, source)


def read(source: str, first: int = 0, frames: int | None = None) -> np.ndarray:
    """Return samples ``first`` to ``first + frames`` (default: all) as int16 (frames,), writable.

    Raises DataError naming ``source`` if it is missing, damaged, empty, not mono, not 16-bit, not
    sampled at 16 kHz, or shorter than requested.
    """
    path, offset = split(source)
    check_source(path, source)
    if offset is None:
        return _read_file(path, first, frames)
    with _open(path, source) as file:
        audio = _entry_header(file, offset, source)
        count = _sample_count(audio, source, first, frames)
        if first:
            file.seek(2 * first, 1)
        data = bytearray(2 * count)  # writable, so that the samples need no copy
        size_read = file.readinto(data)
    if size_read != len(data):
        raise DataError(f"{source}: truncated, {size_read // 2} of {count} samples")
    return np.frombuffer(data, dtype="<i2").astype(np.int16, copy=False)


def check_format(audio: AudioHeader, source: str, rate: int = RATE) -> None:
    """Raise DataError naming ``source`` unless it is non-empty mono audio at ``rate`` Hz."""
    if audio.channels != 1:
        raise DataError(f"{source}: {audio.channels} channels; expected mono, split it first")
    if audio.rate != rate:
        raise DataError(f"{source}: {audio.rate} Hz; expected {rate} Hz, resample it first")
    if audio.frames == 0:
        raise DataError(f"{source}: no samples")


def _open_sound(path: str) -> soundfile.SoundFile:
    if not Path(path).is_file():
        raise DataError(f"{path}: no such audio file")
    try:
        return soundfile.SoundFile(path)
    except soundfile.LibsndfileError as error:
        why = error.error_string if Path(path).stat().st_size else "an empty file"
        raise DataError(f"{path}: not readable as audio ({why})") from error


def check_complete(path: str) -> None:
    """Raise DataError if a RIFF file is shorter than its header declares.

    libsndfile does not check this and would read a truncated file as a shorter one. Sizes that mean
    "unknown", written by streams, are not checked.
    """
    with _open(path, path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        if file.read(12)[:4] != b"RIFF":
            return
        while len(head := file.read(8)) == 8:
            name, length = head[:4], int.from_bytes(head[4:], "little")
            if name == b"data":
                available = size - file.tell()
                if available < length < UNKNOWN_SIZE:
                    raise DataError(f"{path}: truncated, {available} of {length} bytes of samples")
                return
            file.seek(length + length % 2, 1)


def _read_file(path: str, first: int, frames: int | None) -> np.ndarray:
    with _open_sound(path) as sound:
        audio = AudioHeader(sound.samplerate, sound.channels, sound.frames)
        count = _sample_count(audio, path, first, frames)
        if sound.subtype != "PCM_16":
            raise DataError(f"{path}: {sound.subtype} samples; convert it to 16-bit PCM first")
        sound.seek(first)
        samples = sound.read(count, dtype="int16")
    if len(samples) != count:
        raise DataError(f"{path}: truncated, {len(samples)} of {count} samples")
    return samples


def _sample_count(audio: AudioHeader, source: str, first: int, frames: int | None) -> int:
    """Return the number of samples to read. Raises DataError for unsupported audio."""
    check_format(audio, source)
    count = audio.frames - first if frames is None else frames
    if first < 0 or count < 0 or first + count > audio.frames:
        raise DataError(
            f"{source}: {audio.frames} samples; {first} to {first + count} were requested"
        )
    return count


def _open(path: str, source: str) -> BufferedReader:
    try:
        return open(path, "rb")
    except OSError as error:
        raise DataError(f"{source}: {error.strerror or error}") from error


def _entry_header(file: BufferedReader, offset: int, source: str) -> AudioHeader:
    """Return the header of the RIFF entry at ``offset``; leave ``file`` at the first sample.

    The declared size is compared with the size of the file, because a truncated entry would
    otherwise look like a short utterance.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(offset)
    riff = file.read(12)
    if len(riff) < 12 or riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
        raise DataError(f"{source}: no RIFF/WAVE entry at this offset; the archive is damaged")
    fmt = None
    while len(head := file.read(8)) == 8:
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name == b"data":
            return _parse_header(fmt, length, size - file.tell(), source)
        body = file.read(length + length % 2)
        if name == b"fmt " and len(body) >= FMT.size:
            fmt = FMT.unpack_from(body)
    raise DataError(f"{source}: the entry has no samples; the archive is truncated or damaged")


def _parse_header(
    fmt: tuple[int, int, int, int, int, int] | None, length: int, available: int, source: str
) -> AudioHeader:
    """Return the header of an entry with ``length`` bytes of samples declared."""
    if fmt is None or fmt[0] != PCM or fmt[5] != 16 or fmt[1] == 0:
        raise DataError(f"{source}: not 16-bit PCM; the archive is damaged")
    if length > available:
        raise DataError(f"{source}: truncated, {max(0, available)} of {length} bytes of samples")
    return AudioHeader(rate=fmt[2], channels=fmt[1], frames=length // (2 * fmt[1]))
