"""Kaldi archives: int16 waveforms and compressed feature matrices, written by kaldiio.

Entries of an scp file, ``utt data/clean/archives/wav.1.ark:123``, can be read by Kaldi, kaldiio
and lhotse. Importing this module registers an audio backend with lhotse that loads such entries,
also in forked and spawned workers, which import it with the dataset they unpickle. Every read opens
and closes the file. kaldiio's cache of open files must not be used: forked workers share the file
position and would silently get each other's audio.
"""

import warnings
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import kaldiio
import lhotse
import numpy as np
from lhotse.audio.backend import (
    AudioBackend,
    CompositeAudioBackend,
    LibsndfileCompatibleAudioInfo,
    get_current_audio_backend,
    get_default_audio_backend,
    set_current_audio_backend,
)
from lhotse.utils import compute_num_samples

from jointasr.data import datadir, wav_scp
from jointasr.utils import files
from jointasr.utils.errors import DataError

CM2 = 3
"""Kaldi's kTwoByteAuto: 65,536 steps between minimum and maximum of a matrix"""


def write_wav(
    utterances: Iterable[tuple[str, np.ndarray]], ark: Path, scp: Path
) -> dict[str, tuple[int, int]]:
    """Write int16 waveforms (frames,) at 16 kHz and return ``{utt: (frames, crc32)}``.

    The archive is written to a temporary file, read back entry by entry, compared and renamed; then
    ``scp`` is written. Memory does not grow with the archive. Raises DataError naming an utterance
    that is empty or occurs twice.
    """
    written: dict[str, tuple[int, int]] = {}
    entries: dict[str, int] = {}
    with files.replacing(ark) as temporary:
        with temporary.open("wb") as file:
            for utterance, samples in utterances:
                assert samples.dtype == np.int16 and samples.ndim == 1, utterance
                if not len(samples):
                    raise DataError(f"{ark}: the utterance {utterance} has no samples")
                entries[utterance] = _data_offset(file.tell(), utterance, entries, ark)
                kaldiio.save_ark(file, {utterance: (wav_scp.RATE, samples)})
                written[utterance] = len(samples), fingerprint(samples)
        for utterance, offset in entries.items():
            back = wav_scp.read(f"{temporary}:{offset}")
            if (len(back), fingerprint(back)) != written[utterance]:
                raise OSError(f"{ark}: {utterance} differs when read back; check the disk")
    datadir.write_table(scp, {utt: f"{ark}:{offset}" for utt, offset in entries.items()})
    return written


def read_wav(source: str) -> np.ndarray:
    """Return the int16 samples (frames,) of ``wav.1.ark:123`` or a wav file.

    Raises DataError as :func:`wav_scp.read` does.
    """
    return wav_scp.read(source)


def fingerprint(samples: np.ndarray) -> int:
    """Return the CRC-32 of int16 samples in little-endian order."""
    return zlib.crc32(samples.astype("<i2", copy=False).tobytes())


def write_feats(utterances: Iterable[tuple[str, np.ndarray]], ark: Path, scp: Path) -> None:
    """Write float32 matrices (frames, dim) in Kaldi's CM2 format.

    The error of an element is at most (max - min) / 65535 of its matrix. The file is written, read
    back and renamed as in :func:`write_wav`. Raises DataError naming an utterance that is empty,
    occurs twice or has a non-finite value.
    """
    entries: dict[str, int] = {}
    with files.replacing(ark) as temporary, temporary.open("wb+") as file:
        for utterance, matrix in utterances:
            assert matrix.dtype == np.float32 and matrix.ndim == 2, utterance
            if not matrix.size or not np.isfinite(matrix).all():
                raise DataError(f"{ark}: features of {utterance} are empty or not finite")
            entries[utterance] = _data_offset(file.tell(), utterance, entries, ark)
            kaldiio.save_ark(file, {utterance: matrix}, compression_method=CM2)
            file.flush()
            back = read_feats(f"{temporary}:{entries[utterance]}")
            step = (float(matrix.max()) - float(matrix.min())) / 65535 or 1.0
            if back.shape != matrix.shape or np.abs(back - matrix).max() > 1.01 * step:
                raise OSError(f"{ark}: {utterance} differs when read back; check the disk")
    datadir.write_table(scp, {utt: f"{ark}:{offset}" for utt, offset in entries.items()})


def read_feats(source: str) -> np.ndarray:
    """Return the float32 matrix (frames, dim), writable, of ``feats.1.ark:123``.

    Raises DataError naming ``source`` if it is missing, truncated, not a matrix, or not an archive
    entry (kaldiio would execute a pipe).
    """
    path, offset = wav_scp.split(source)
    wav_scp.check_source(path, source)
    if offset is None:
        raise DataError(f"{source}: expected an archive entry such as feats.1.ark:123")
    try:
        matrix = kaldiio.load_mat(source)
    except (OSError, ValueError, AssertionError, EOFError, UnicodeDecodeError) as error:
        raise DataError(f"{source}: not readable as a Kaldi matrix ({error})") from error
    except Exception as error:  # struct.error and others, for damaged headers
        raise DataError(f"{source}: damaged Kaldi matrix ({error!r})") from error
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise DataError(
            f"{source}: not a matrix of finite numbers; the archive is damaged, recreate it"
        )
    return np.array(matrix, dtype=np.float32)


class ArkBackend(AudioBackend):
    """lhotse audio backend for ``*.ark:<offset>``; other sources use the default backends."""

    def handles_special_case(self, path_or_fd: Any) -> bool:
        return isinstance(path_or_fd, str | Path) and wav_scp.split(str(path_or_fd))[1] is not None

    def is_applicable(self, path_or_fd: Any) -> bool:
        return self.handles_special_case(path_or_fd)

    def supports_info(self) -> bool:
        return True

    def info(
        self, path_or_fd: Any, force_opus_sampling_rate: int | None = None
    ) -> LibsndfileCompatibleAudioInfo:
        header = wav_scp.header(str(path_or_fd))
        return LibsndfileCompatibleAudioInfo(
            header.channels, header.frames, header.rate, header.duration
        )

    def read_audio(
        self,
        path_or_fd: Any,
        offset: float = 0.0,
        duration: float | None = None,
        force_opus_sampling_rate: int | None = None,
    ) -> tuple[np.ndarray, int]:
        """Return float32 samples (1, frames) in [-1, 1), exactly int16 / 32768, and the rate."""
        samples = wav_scp.read(str(path_or_fd))
        first = compute_num_samples(offset, wav_scp.RATE) if offset else 0
        last = None if duration is None else first + compute_num_samples(duration, wav_scp.RATE)
        scaled = np.multiply(samples[None, first:last], 1 / wav_scp.FULL_SCALE, dtype=np.float32)
        return scaled, wav_scp.RATE


def _register() -> ArkBackend:
    """Put the backend first in lhotse's default and current chains, and set an exact tolerance.

    By default lhotse pads a recording that is up to 25 ms shorter than in its manifest with
    mirrored samples. The tolerance is set to just below one sample, the minimum that still allows
    its speed perturbation, whose length is estimated to within one sample.
    """
    backend = ArkBackend()
    current = get_current_audio_backend()
    default = get_default_audio_backend()
    assert isinstance(default, CompositeAudioBackend)
    default.backends.insert(0, backend)
    if current is not default:  # chosen by the user, e.g. with LHOTSE_AUDIO_BACKEND
        set_current_audio_backend(CompositeAudioBackend([backend, current]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # lhotse warns about low values; see above
        lhotse.set_audio_duration_mismatch_tolerance(0.9 / wav_scp.RATE)
    return backend


def _data_offset(position: int, utterance: str, entries: dict[str, int], ark: Path) -> int:
    """Return the offset of the data of the next entry, after its id and a blank."""
    if utterance in entries:
        raise DataError(f"{ark}: the utterance {utterance} occurs twice")
    return position + len(f"{utterance} ".encode())


BACKEND = _register()
