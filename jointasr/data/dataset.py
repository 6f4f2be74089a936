"""Cuts to batches of tensors."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from lhotse import CutSet, MonoCut
from lhotse.audio.utils import AudioLoadingError, DurationMismatchError
from torch.utils.data import DataLoader, Dataset

from jointasr.config.schema import Config
from jointasr.data.batch import UNKNOWN_EMOTION, Batch, pad
from jointasr.data.sampler import TrainingSampler, pack_batches
from jointasr.text.lang import Units, check_characters
from jointasr.utils import processes
from jointasr.utils.distributed import SINGLE_PROCESS, ProcessGroup
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)


class SpeechDataset(Dataset[Batch]):
    """Map-style dataset in lhotse's manner: indexed by a CutSet, which becomes a batch.

    Without ``load`` the audio stays on disk: ``waves`` is empty, ``lengths`` are the cuts'.
    A process of several takes the cuts of its rank, which may be none.
    """

    def __init__(
        self,
        units: Units,
        labels: list[str],
        load: bool = True,
        world: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.units, self.load, self.world = units, load, world
        self.classes = {label: index for index, label in enumerate(labels)}

    def __getitem__(self, batch: CutSet) -> Batch:
        cuts = list(batch)[self.world.rank :: self.world.size]
        waves = [load_audio(cut) if self.load else np.zeros(0) for cut in cuts]
        lengths = [len(wave) for wave in waves] if self.load else [cut.num_samples for cut in cuts]
        texts = [cut.supervisions[0].text for cut in cuts]
        return Batch(
            [cut.id for cut in cuts],
            pad(waves),
            torch.tensor(lengths),
            texts,
            [self.units.encode(text or "") for text in texts],
            torch.tensor([self._emotion(cut) for cut in cuts]),
            len(batch),
        )

    def check(self, cuts: CutSet, shortest: float) -> None:
        """See to it, before work starts, that every cut can become part of a batch.

        Raises DataError naming the utterance whose text has characters that no unit spells, whose
        emotion is unknown or that has fewer than ``shortest`` samples.
        """
        for cut in cuts:
            text = cut.supervisions[0].text or ""
            check_characters(text, self.units.letters, f"utterance {cut.id}")
            self._emotion(cut)
            if cut.num_samples < shortest:
                raise DataError(
                    f"utterance {cut.id}: {cut.num_samples} samples, too few for one frame of the "
                    f"encoder ({shortest:.0f}); take it out of the data"
                )

    def _emotion(self, cut: MonoCut) -> int:
        emotion = cut.supervisions[0].custom.get("emotion")
        if emotion is None:
            return UNKNOWN_EMOTION
        if emotion not in self.classes:
            known = " ".join(self.classes)
            raise DataError(f"utterance {cut.id}: emotion {emotion} is none of {known}")
        return self.classes[emotion]


def trainable_cuts(cuts: CutSet, conf: Config, source: str) -> CutSet:
    """The cuts that a system can learn from: those with a transcript, for ``asr``, with an emotion,
    for ``ser``, with either, for ``joint``.

    Raises DataError, naming the data's ``source``, where there is none.
    """

    def taught(cut: MonoCut) -> bool:
        (supervision,) = cut.supervisions
        written = conf.has_ctc and supervision.text is not None
        return written or (conf.has_emotion and bool(supervision.custom.get("emotion")))

    found = cuts.filter(taught).to_eager()
    if not len(found):
        what = {"asr": "transcript", "ser": "emotion"}.get(conf.system, "transcript or emotion")
        raise DataError(f"{source}: no utterance has a {what} for system {conf.system} to learn")
    if len(found) < len(cuts):
        counts = len(found), len(cuts)
        log.info("%s: %d of %d utterances teach %s something", source, *counts, conf.system)
    return found


class TrainingDataset(Dataset[Batch]):
    """The batches of a training; an item is an epoch and the places of a batch's cuts."""

    def __init__(self, plan: TrainingSampler, utterances: SpeechDataset) -> None:
        self.plan, self.utterances = plan, utterances

    def __getitem__(self, item: tuple[int, list[int]]) -> Batch:
        return self.utterances[self.plan.batch(*item)]


def training_batches(
    plan: TrainingSampler, utterances: SpeechDataset, workers: int, epochs: range, first: int = 0
) -> Iterator[Batch]:
    """The batches of all these epochs, one after the other, so that those of the next are read
    while dev is scored. Begins with the batch at the place ``first`` of the first epoch."""

    def items() -> Iterator[tuple[int, list[int]]]:
        for epoch in epochs:
            for places in plan.epoch(epoch)[first if epoch == epochs.start else 0 :]:
                yield epoch, places

    dataset = TrainingDataset(plan, utterances)
    return _load(DataLoader(dataset, sampler=items(), batch_size=None, **_reading(workers)))


def evaluation_batches(
    cuts: CutSet, dataset: SpeechDataset, seconds: float, workers: int
) -> Iterator[Batch]:
    """Every utterance once, longest first; ``seconds`` limits a batch, padding included."""
    ordered = sorted(cuts, key=lambda cut: (-cut.duration, cut.id))
    packed = pack_batches([cut.duration for cut in ordered], range(len(ordered)), seconds)
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


def load_audio(cut: MonoCut) -> np.ndarray:
    """Samples (T,) of a cut, float32; DataError naming the utterance that cannot be read."""
    try:
        return np.asarray(cut.load_audio()[0])
    except (AudioLoadingError, DurationMismatchError) as error:
        reason = str(error).splitlines()[0].split("'>: ")[-1]  # the first line of lhotse's details
        raise DataError(f"utterance {cut.id}: its audio cannot be read: {reason}") from None


def _load(loader: DataLoader[Batch]) -> Iterator[Batch]:
    """The batches; a user's error in a worker without the worker's traceback before it."""
    try:
        with explain_dead_reader():
            yield from loader
    except DataError as error:
        last = str(error).strip().splitlines()[-1]
        raise DataError(last.removeprefix(f"{DataError.__module__}.DataError: ")) from None


@contextmanager
def explain_dead_reader() -> Iterator[None]:
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
