"""Datasets and data loaders: from cuts to batches of tensors."""

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
    """Map-style dataset as in lhotse: the index is a CutSet, the item is a batch.

    Without ``load`` no audio is read: ``waves`` is empty and ``lengths`` come from the cuts. In
    data-parallel training each process takes every ``world.size``-th cut, possibly none.
    """

    def __init__(
        self,
        units: Units,
        labels: list[str],
        load: bool = True,
        world: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.units, self.load, self.world = units, load, world
        self.class_indices = {label: index for index, label in enumerate(labels)}

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

    def check(self, cuts: CutSet, min_samples: float) -> None:
        """Check that all cuts can be used, before the work starts.

        Raises DataError naming an utterance with unknown characters, with an unknown emotion, or
        with fewer than ``min_samples`` samples.
        """
        for cut in cuts:
            text = cut.supervisions[0].text or ""
            check_characters(text, self.units.letters, f"utterance {cut.id}")
            self._emotion(cut)
            if cut.num_samples < min_samples:
                raise DataError(
                    f"utterance {cut.id}: {cut.num_samples} samples, too few for one frame of the "
                    f"encoder ({min_samples:.0f}); remove it from the data"
                )

    def _emotion(self, cut: MonoCut) -> int:
        emotion = cut.supervisions[0].custom.get("emotion")
        if emotion is None:
            return UNKNOWN_EMOTION
        if emotion not in self.class_indices:
            labels = " ".join(self.class_indices)
            raise DataError(f"utterance {cut.id}: emotion {emotion} is none of {labels}")
        return self.class_indices[emotion]


def trainable_cuts(cuts: CutSet, conf: Config, source: str) -> CutSet:
    """Return the cuts with a label that the system learns from.

    These are cuts with a transcript for ``asr``, with an emotion for ``ser``, with either for
    ``joint``. Raises DataError naming the data's ``source`` if there is none.
    """

    def is_labelled(cut: MonoCut) -> bool:
        (supervision,) = cut.supervisions
        has_text = conf.has_ctc and supervision.text is not None
        return has_text or (conf.has_emotion and bool(supervision.custom.get("emotion")))

    labelled = cuts.filter(is_labelled).to_eager()
    kind = {"asr": "transcript", "ser": "emotion"}.get(conf.system, "transcript or emotion")
    if not len(labelled):
        raise DataError(f"{source}: no utterance has a {kind}, which system {conf.system} needs")
    if len(labelled) < len(cuts):
        log.info("%s: %d of %d utterances have a %s", source, len(labelled), len(cuts), kind)
    return labelled


class TrainingDataset(Dataset[Batch]):
    """Training batches; the index is an epoch and the indices of the cuts of a batch."""

    def __init__(self, sampler: TrainingSampler, utterances: SpeechDataset) -> None:
        self.sampler, self.utterances = sampler, utterances

    def __getitem__(self, item: tuple[int, list[int]]) -> Batch:
        return self.utterances[self.sampler.batch(*item)]


def training_batches(
    sampler: TrainingSampler, utterances: SpeechDataset, workers: int, epochs: range, first: int = 0
) -> Iterator[Batch]:
    """Yield the batches of ``epochs``, starting at batch ``first`` of the first epoch.

    One loader serves all epochs, so that workers read the next epoch during validation.
    """

    def items() -> Iterator[tuple[int, list[int]]]:
        for epoch in epochs:
            for indices in sampler.epoch(epoch)[first if epoch == epochs.start else 0 :]:
                yield epoch, indices

    dataset = TrainingDataset(sampler, utterances)
    return _iterate(
        DataLoader(dataset, sampler=items(), batch_size=None, **_loader_options(workers))
    )


def evaluation_batches(
    cuts: CutSet, dataset: SpeechDataset, seconds: float, workers: int
) -> Iterator[Batch]:
    """Yield each utterance once, longest first, in batches of ``seconds`` including padding."""
    ordered = sorted(cuts, key=lambda cut: (-cut.duration, cut.id))
    packed = pack_batches([cut.duration for cut in ordered], range(len(ordered)), seconds)
    batches = [CutSet.from_cuts(ordered[index] for index in batch) for batch in packed]
    return _iterate(
        DataLoader(dataset, sampler=batches, batch_size=None, **_loader_options(workers))
    )


def _loader_options(workers: int) -> dict[str, Any]:
    """Return DataLoader options. Pinned memory lets copies to the GPU overlap with computation."""
    return {
        "num_workers": workers,
        "pin_memory": torch.cuda.is_available(),
        "worker_init_fn": partial(_init_worker, os.getpid()),
    }


def _init_worker(parent: int, worker: int) -> None:
    processes.exit_with_parent(parent)


def load_audio(cut: MonoCut) -> np.ndarray:
    """Return the samples (T,) float32 of a cut. Raises DataError if they cannot be read."""
    try:
        return np.asarray(cut.load_audio()[0])
    except (AudioLoadingError, DurationMismatchError) as error:
        summary = str(error).splitlines()[0]  # the other lines are details of lhotse
        reason = summary.split("'>: ")[-1]
        raise DataError(f"utterance {cut.id}: its audio cannot be read: {reason}") from None


def _iterate(loader: DataLoader[Batch]) -> Iterator[Batch]:
    """Yield batches; raise a DataError of a worker without the worker's traceback."""
    try:
        with explain_worker_death():
            yield from loader
    except DataError as error:
        last = str(error).strip().splitlines()[-1]
        raise DataError(last.removeprefix(f"{DataError.__module__}.DataError: ")) from None


@contextmanager
def explain_worker_death() -> Iterator[None]:
    """Turn the RuntimeError of a killed DataLoader worker into a DataError.

    torch raises it from a signal handler, wherever the main process is at that moment.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise DataError(
            f"{str(error).splitlines()[0]}: a process that reads audio was killed, often because "
            "the machine is out of memory; run the same command again (training resumes from the "
            "last saved state), with fewer batch.workers if it recurs"
        ) from None
