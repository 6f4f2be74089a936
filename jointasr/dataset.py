"""Cuts to batches of tensors."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from lhotse import CutSet, MonoCut
from lhotse.audio.utils import AudioLoadingError, DurationMismatchError
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from jointasr import encoder, processes
from jointasr.batching import Plan, pack
from jointasr.errors import DataError
from jointasr.lang import Units, check_characters
from jointasr.parallel import ALONE, World


class Batch(NamedTuple):
    """N utterances."""

    ids: list[str]
    waves: Tensor
    """(N, T) float32 in [-1, 1], zero-padded"""
    lengths: Tensor
    """samples (N,), always on the host"""
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


class Planned(Dataset[Batch]):
    """The batches of a training; an item is an epoch and the places of a batch's cuts."""

    def __init__(self, plan: Plan, utterances: Utterances) -> None:
        self.plan, self.utterances = plan, utterances

    def __getitem__(self, item: tuple[int, list[int]]) -> Batch:
        return self.utterances[self.plan.batch(*item)]


def training_batches(
    plan: Plan, utterances: Utterances, workers: int, epochs: range, first: int = 0
) -> Iterator[Batch]:
    """The batches of all these epochs, one after the other, so that those of the next are read
    while dev is scored. Begins with the batch at the place ``first`` of the first epoch."""

    def items() -> Iterator[tuple[int, list[int]]]:
        for epoch in epochs:
            for places in plan.epoch(epoch)[first if epoch == epochs.start else 0 :]:
                yield epoch, places

    dataset = Planned(plan, utterances)
    return _load(DataLoader(dataset, sampler=items(), batch_size=None, **_reading(workers)))


def evaluation_batches(
    cuts: CutSet, dataset: Utterances, seconds: float, workers: int
) -> Iterator[Batch]:
    """Every utterance once, longest first; ``seconds`` limits a batch, padding included."""
    ordered = sorted(cuts, key=lambda cut: (-cut.duration, cut.id))
    packed = pack([cut.duration for cut in ordered], range(len(ordered)), seconds)
    batches = [CutSet.from_cuts(ordered[place] for place in batch) for batch in packed]
    return _load(DataLoader(dataset, sampler=batches, batch_size=None, **_reading(workers)))


def _reading(workers: int) -> dict[str, Any]:
    """A loader's settings. Pinned memory lets a copy to the card go on beside computing."""
    return {
        "num_workers": workers,
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": partial(_begin, os.getpid()),
    }


def _begin(parent: int, worker: int) -> None:
    """A reader begins."""
    processes.end_with(parent)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with its waves and emotions on ``device``."""
    return batch._replace(
        waves=batch.waves.to(device, non_blocking=True),
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
        with alive_readers():
            yield from loader
    except DataError as error:
        last = str(error).strip().splitlines()[-1]
        raise DataError(last.removeprefix("jointasr.errors.DataError: ")) from None


@contextmanager
def alive_readers() -> Iterator[None]:
    """A worker's death as the user's error: torch tells it to whatever the process is just doing,
    by a signal."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise DataError(
            f"{str(error).splitlines()[0]}: a process that reads audio was ended from outside, "
            "often for want of memory; run the same again (what was saved is gone on with), with "
            "fewer batch.workers if it recurs"
        ) from None
