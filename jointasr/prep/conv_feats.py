"""Archive the features of the frozen convolutional layers of an encoder for archived sets."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jointasr.config import layout
from jointasr.data import archive, datadir, wav_scp
from jointasr.models import encoder
from jointasr.prep import mixture_plans
from jointasr.utils.distributed import device
from jointasr.utils.errors import DataError


class Extractor:
    """The convolutional layers of an encoder, on the GPU if there is one."""

    def __init__(self, model: str) -> None:
        """Load the encoder ``model``, a folder or hub id."""
        self._encoder = encoder.load(model).eval()
        self.digest = self._encoder.digest()[:8]
        """hexadecimal digest of the weights, part of the folder's name"""
        self._encoder.to(device())

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Compute float32 features, shape (frames, dim), from int16 samples of one utterance."""
        wave = samples.astype(np.float32) / np.float32(wav_scp.FULL_SCALE)
        return self._encoder.conv_features([wave])[0]


def write_share(extractor: Extractor, archived: Path, job: int, jobs: int) -> None:
    """Write a job's share of the archived set to ``conv_<digest>/feats.<job>.{ark,scp}``."""
    sources = datadir.read_table(archived / "wav.scp")
    folder = layout.conv_dir(archived, extractor.digest)

    def features() -> Iterator[tuple[str, np.ndarray]]:
        for utterance in mixture_plans.share(list(sources), job, jobs):
            try:
                yield utterance, extractor(archive.read_wav(sources[utterance]))
            except RuntimeError as error:  # shorter than one frame, out of memory, ...
                raise DataError(f"{utterance}: feature extraction failed ({error})") from error

    archive.write_feats(features(), folder / f"feats.{job}.ark", folder / f"feats.{job}.scp")


def combine(archived: Path, digest: str, jobs: int) -> None:
    """Join the tables of all jobs into ``conv_<digest>/feats.scp``.

    Raises DataError if the utterances are not those of ``archived``.
    """
    folder = layout.conv_dir(archived, digest)
    feats: dict[str, str] = {}
    for job in range(1, jobs + 1):
        feats |= datadir.read_table(folder / f"feats.{job}.scp")
    if feats.keys() != datadir.read_table(archived / "wav.scp").keys():
        raise DataError(
            f"{folder}: the utterances are not those of {archived}; run stage 6 again with "
            "--feats conv"
        )
    datadir.write_table(folder / layout.FEATS, feats)
    for job in range(1, jobs + 1):
        (folder / f"feats.{job}.scp").unlink()
