"""Archives of what the frozen convolutional part of an encoder says about archived sets."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jointasr.config import layout
from jointasr.data import archive, datadir, wav_scp
from jointasr.models import encoder
from jointasr.prep import mixtures
from jointasr.utils.distributed import device
from jointasr.utils.errors import DataError

FEATS = "feats.scp"


class Extractor:
    """The convolutional part of a checkpoint, on the GPU when there is one."""

    def __init__(self, model: str) -> None:
        self._encoder = encoder.load(model).eval()
        self.digest = self._encoder.digest()[:8]
        """names the weights: the features of other weights are kept apart"""
        self._encoder.to(device())

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """float32 features, shape (frames, dim), of one utterance's int16 samples."""
        wave = samples.astype(np.float32) / np.float32(wav_scp.FULL_SCALE)
        return self._encoder.conv_features([wave])[0]


def write_share(extractor: Extractor, archived: Path, job: int, jobs: int) -> None:
    """Write a job's share of the set ``archived`` as ``conv_<digest>/feats.<job>.{ark,scp}``."""
    sources = datadir.read_table(archived / "wav.scp")
    folder = layout.conv_dir(archived, extractor.digest)

    def features() -> Iterator[tuple[str, np.ndarray]]:
        for utterance in mixtures.share(list(sources), job, jobs):
            try:
                yield utterance, extractor(archive.read_wav(sources[utterance]))
            except RuntimeError as error:  # shorter than one frame, out of memory, ...
                raise DataError(f"{utterance}: no features ({error})") from error

    archive.write_feats(features(), folder / f"feats.{job}.ark", folder / f"feats.{job}.scp")


def combine(archived: Path, digest: str, jobs: int) -> None:
    """Join the jobs' tables into ``conv_<digest>/feats.scp``; every utterance must be there."""
    folder = layout.conv_dir(archived, digest)
    feats: dict[str, str] = {}
    for job in range(1, jobs + 1):
        feats |= datadir.read_table(folder / f"feats.{job}.scp")
    if feats.keys() != datadir.read_table(archived / "wav.scp").keys():
        raise DataError(f"{folder}: not the utterances of {archived}; make the features again")
    datadir.write_table(folder / FEATS, feats)
    for job in range(1, jobs + 1):
        (folder / f"feats.{job}.scp").unlink()
