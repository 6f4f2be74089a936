"""Cuts to batches: lhotse's samplers decide what goes together, this module collates it."""

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from lhotse import CutSet, MonoCut
from lhotse.audio.utils import AudioLoadingError, DurationMismatchError
from lhotse.dataset import DynamicBucketingSampler, SimpleCutSampler
from lhotse.dataset.sampling.dynamic_bucketing import estimate_duration_buckets
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from jointasr import encoder, rng, schema
from jointasr.errors import DataError
from jointasr.lang import Units, check_characters
from jointasr.parallel import ALONE, World


class Batch(NamedTuple):
    """N utterances."""

    ids: list[str]
    waves: Tensor
    """(N, T) float32 in [-1, 1], zero-padded"""
    lengths: Tensor
    """samples (N,)"""
    texts: list[str]
    targets: list[list[int]]
    """unit ids, for CTC"""
    emotions: Tensor
    """class indices (N,)"""
    of: int
    """utterances of the whole batch, where several processes share it"""

    @property
    def seconds(self) -> float:
        """Seconds of audio, without padding."""
        return float(self.lengths.sum()) / encoder.RATE


class Utterances(Dataset[Batch]):
    """Map-style dataset in lhotse's manner: indexed by a CutSet, which becomes a batch.

    Without ``load`` the audio stays on disk: ``waves`` is empty, ``lengths`` are the cuts'.
    A process of several takes the cuts of its rank, which may be none.
    """

    def __init__(
        self, units: Units, labels: list[str], load: bool = True, world: World = ALONE
    ) -> None:
        self.units, self.load, self.world = units, load, world
        self.classes = {label: index for index, label in enumerate(labels)}

    def __getitem__(self, batch: CutSet) -> Batch:
        cuts = list(batch)[self.world.rank :: self.world.size]
        waves = [audio(cut) if self.load else np.zeros(0) for cut in cuts]
        lengths = [len(wave) for wave in waves] if self.load else [cut.num_samples for cut in cuts]
        texts = [cut.supervisions[0].text or "" for cut in cuts]
        return Batch(
            [cut.id for cut in cuts],
            encoder.pad(waves),
            torch.tensor(lengths),
            texts,
            [self.units.encode(text) for text in texts],
            torch.tensor([self._emotion(cut) for cut in cuts]),
            len(batch),
        )

    def check(self, cuts: CutSet, shortest: float) -> None:
        """See to it, before work starts, that every cut can become part of a batch.

        Raises DataError naming the utterance whose text has characters that no unit spells, whose
        emotion is unknown or that has fewer than ``shortest`` samples.
        """
        for cut in cuts:
            check_characters(cut.supervisions[0].text or "", f"utterance {cut.id}")
            self._emotion(cut)
            if cut.num_samples < shortest:
                raise DataError(
                    f"utterance {cut.id}: {cut.num_samples} samples, too few for one frame of the "
                    f"encoder ({shortest:.0f}); take it out of the data"
                )

    def _emotion(self, cut: MonoCut) -> int:
        emotion = cut.supervisions[0].custom["emotion"]
        if emotion not in self.classes:
            known = " ".join(self.classes)
            raise DataError(f"utterance {cut.id}: emotion {emotion} is none of {known}")
        return self.classes[emotion]


def training_batches(
    cuts: CutSet,
    dataset: Utterances,
    batch: schema.Batch,
    speed: Callable[[str], float],
    seed: int,
    epoch: int,
    first: int = 0,
) -> Iterator[Batch]:
    """One epoch in random order: batches of similar lengths, order = f(seed, epoch, cuts).

    Begins with the batch at the place ``first``.

    ``speed`` gives an utterance's speed factor; it is applied before bucketing, so that batches
    are formed by the durations that are computed.
    """
    order = batches(cuts, batch, speed, seed, epoch)[first:]
    # a list is a sampler, too: items of what it yields index the dataset
    return _load(DataLoader(dataset, sampler=order, batch_size=None, num_workers=batch.workers))


def batches(
    cuts: CutSet, batch: schema.Batch, speed: Callable[[str], float], seed: int, epoch: int
) -> list[CutSet]:
    """The batches of one epoch, in their order; a batch's place in the list is its position.

    lhotse's sampler chooses buckets in the same order in every epoch and leaves what does not
    fill a batch to the end, so its batches are shuffled once more.
    """
    faster = [_at_speed(cut, speed(cut.id)) for cut in cuts]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are using DynamicBucketingSampler with an eagerly")
        sampler = DynamicBucketingSampler(
            CutSet.from_cuts(faster),
            max_duration=batch.max_duration,
            max_cuts=batch.max_utterances,
            duration_bins=_bins(faster, min(batch.buckets, len(faster) // 8)),
            shuffle=True,
            drop_last=False,
            seed=rng.derive(seed, "batches", epoch) % (1 << 31),
            world_size=1,
            rank=0,
        )
        found = list(sampler)
    places = rng.stream(seed, "order", epoch).permutation(len(found))
    return [found[place] for place in places]


def _bins(cuts: list[MonoCut], buckets: int) -> list[float]:
    """Durations that part the buckets, each of about the same sum of durations."""
    longest = max(cut.duration for cut in cuts)
    bins = estimate_duration_buckets(cuts, buckets) if buckets > 1 else []
    return bins or [longest]


def evaluation_batches(
    cuts: CutSet, dataset: Utterances, max_duration: float, workers: int
) -> Iterator[Batch]:
    """Every utterance once, longest first."""
    ordered = CutSet.from_cuts(sorted(cuts, key=lambda cut: (-cut.duration, cut.id)))
    sampler = SimpleCutSampler(ordered, max_duration=max_duration, world_size=1, rank=0)
    return _load(DataLoader(dataset, sampler=sampler, batch_size=None, num_workers=workers))


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on ``device``."""
    return batch._replace(
        waves=batch.waves.to(device, non_blocking=True),
        lengths=batch.lengths.to(device, non_blocking=True),
        emotions=batch.emotions.to(device, non_blocking=True),
    )


def audio(cut: MonoCut) -> np.ndarray:
    """Samples (T,) of a cut, float32; DataError naming the utterance that cannot be read."""
    try:
        return np.asarray(cut.load_audio()[0])
    except (AudioLoadingError, DurationMismatchError) as error:
        reason = str(error).splitlines()[0].split("'>: ")[-1]  # the first line of lhotse's details
        raise DataError(f"utterance {cut.id}: its audio cannot be read: {reason}") from None


def _load(loader: DataLoader[Batch]) -> Iterator[Batch]:
    """The batches; a user's error in a worker without the worker's traceback before it."""
    try:
        yield from loader
    except DataError as error:
        last = str(error).strip().splitlines()[-1]
        raise DataError(last.removeprefix("jointasr.errors.DataError: ")) from None
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise DataError(
            f"{str(error).splitlines()[0]}: a process that reads audio was ended from outside, "
            "often for want of memory; run the same again (what was saved is gone on with), with "
            "fewer batch.workers if it recurs"
        ) from None


def _at_speed(cut: MonoCut, factor: float) -> MonoCut:
    return cut if np.isclose(factor, 1.0) else cut.perturb_speed(factor, affix_id=False)
