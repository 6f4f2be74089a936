"""Training loop: steps, evaluation on dev after each epoch, selection of the best epoch."""

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lhotse import CutSet

from jointasr.config import layout
from jointasr.data import augmentation, dataset
from jointasr.data.batch import Batch
from jointasr.data.sampler import TrainingSampler, largest_batches
from jointasr.models import failures
from jointasr.models.checkpoint import TrainedModel
from jointasr.training import bad_batch, optim, validation
from jointasr.training.epoch import BestEpoch, DevScores, EpochStats
from jointasr.training.logger import TrainingLogger
from jointasr.training.snapshots import Snapshots
from jointasr.training.state import StateSaver, TrainingState
from jointasr.training.train_step import TrainStep
from jointasr.utils.distributed import SINGLE_PROCESS, ProcessGroup, device
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)


class Trainer:
    """Trains a model; writes the weights of the epoch with the best dev scores to ``out/best``."""

    def __init__(
        self,
        model: TrainedModel,
        train: CutSet,
        dev: CutSet,
        out: Path,
        seed: int,
        identity: Mapping[str, Any] | None = None,
        world: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        """Prepare a training; nothing is read from or written to ``out`` yet.

        ``identity``: what determines the result (options, inputs, code); a killed training is
        resumed only if it is equal. ``world``: the data-parallel processes; their number does not
        change the batches. Raises DataError naming an utterance that cannot be used.
        """
        conf = model.conf
        self.model, self.conf, self.out, self.world = model, conf, out, world
        self.train, self.dev = train, dev
        self.device = device(world)
        self.system = model.system.to(self.device)
        self.data = dataset.SpeechDataset(model.units, model.labels, world=world)
        speeds, semantics = conf.augment.speeds, conf.augment.speed_semantics
        speed = partial(augmentation.speed_factor, seed, speeds=speeds, semantics=semantics)
        self.sampler = TrainingSampler(train, conf.batch, speed, seed)
        self._check_lengths()
        self.optimisers = optim.Optimisers(self.system, conf.optim)
        dtype = optim.autocast_dtype(conf.train.precision, self.device)
        scaler = optim.grad_scaler(dtype is torch.float16)
        self.newbob = optim.NewBob(conf.schedule.newbob_threshold)
        self.train_step = TrainStep(model, self.optimisers, scaler, dtype, seed, world)
        self.state = TrainingState(model, self.optimisers, scaler, self.newbob)
        snapshots = Snapshots(out / layout.RESUME, identity or {})
        self.saver = StateSaver(self.state, snapshots, out, conf.train.save_minutes, world)
        self.logger = TrainingLogger(out, conf, world.is_main)

    @dataset.explain_worker_death()
    def fit(self) -> BestEpoch:
        """Train to the last epoch, resuming from the last saved state; return the best epoch.

        Raises DataError if the training diverges, memory is exhausted or a data loader worker dies.
        """
        state, conf = self.state, self.conf
        self.saver.restore()
        self.saver.stop.install()
        self.logger.start(self.system, self.train, self.dev, state.steps)
        epochs = range(state.epoch, conf.train.epochs)
        if epochs:
            self.try_largest_batches(state.epoch)
        batches = self.batches(epochs, state.epoch_steps * conf.batch.accumulate)
        for epoch in epochs:
            self.train_epoch(batches)
            scores = self.evaluate(self.dev)
            self._report_epoch(scores)
            if state.best is None or scores.is_better_than(state.best.scores):
                state.best = BestEpoch(epoch + 1, scores)
                self.saver.keep_best_weights()
                log.info("epoch %d: best so far", epoch + 1)
            if conf.schedule.name == "newbob" and self.newbob.should_anneal(scores.loss):
                self.optimisers.anneal()
            state.next_epoch()
            self.saver.save_if_due()
        self.saver.write_best()
        self.logger.close()
        assert state.best is not None
        log.info("best on dev: epoch %d, %s", state.best.epoch, state.best.scores)
        return state.best

    def batches(self, epochs: range, first: int = 0) -> Iterator[Batch]:
        """Yield the batches of ``epochs``, starting at batch ``first`` of the first epoch."""
        workers = self.conf.batch.workers
        return dataset.training_batches(self.sampler, self.data, workers, epochs, first)

    def evaluate(self, cuts: CutSet) -> DevScores:
        """Return the scores of the current model on ``cuts``, without augmentation."""
        return validation.evaluate(self.model, cuts, self.data, self.world)

    def try_largest_batches(self, epoch: int) -> None:
        """Compute the batches of an epoch that need most memory, without updating the model.

        Raises DataError naming the batch that does not fit and the options to change.
        """
        self.system.train()
        order = [self.sampler.batch(epoch, indices) for indices in self.sampler.epoch(epoch)]
        # reserve memory for Adam's two moments, which do not exist before the first step; ones,
        # because on a CPU empty or zero tensors take none
        parameters = [] if self.state.steps else self.optimisers.parameters
        moments = [torch.ones_like(p) for p in (*parameters, *parameters)]
        for cuts in largest_batches(order):
            batch = self.data[cuts]
            if batch.ids:
                with failures.explain_out_of_memory(batch, self.conf.batch.seconds):
                    with suppress(FloatingPointError):  # handled by the training step
                        self.train_step.forward_backward(batch, epoch, 0, batch.global_size)
                    self.optimisers.zero_grad()
        del moments

    def train_epoch(self, batches: Iterator[Batch]) -> EpochStats:
        """Train the rest of the current epoch; return the sums over all its steps."""
        self.system.train()
        state, accumulate = self.state, self.conf.batch.accumulate
        remaining = len(self.sampler.epoch(state.epoch)) - state.epoch_steps * accumulate
        for group in _groups(islice(batches, max(0, remaining)), accumulate):
            utterances = sum(batch.global_size for batch in group)
            self._set_rates(self._progress(utterances / 2))
            stats = self.step(group, state.epoch, state.epoch_steps * accumulate)
            state.epoch_stats = state.epoch_stats.plus(stats)
            state.epoch_steps += 1
            self.logger.log_step(state.epoch, state.steps, stats.mean_loss, self._progress())
            self.saver.save_if_due()
        stats = state.epoch_stats
        assert stats.utterances == len(self.train), (stats.utterances, len(self.train))
        return stats

    def step(self, group: list[Batch], epoch: int, first: int) -> EpochStats:
        """Train one step on the batches of ``group``; ``first``: index of its first in the epoch.

        Raises DataError after ``train.max_skipped`` skipped steps in a row.
        """
        for batch in group:
            self.logger.progress.add(batch.seconds)
        rates = self.optimisers.rates
        result = self.train_step.update(group, epoch, first)
        skipped = self.optimisers.skipped_in_row
        if skipped >= self.conf.train.max_skipped:
            bad_batch.save_and_raise(self.out, group, skipped, self.world.rank)
        self.logger.plot_step(self.state.steps, result, rates)
        self.state.steps += 1
        return result.stats

    def _progress(self, utterances: float = 0.0) -> float:
        """Return the completed fraction (0..1) of the training after ``utterances`` more."""
        done = self.state.epoch_stats.utterances + utterances
        return (self.state.epoch + done / len(self.train)) / self.conf.train.epochs

    def _set_rates(self, progress: float) -> None:
        scale = 1.0
        if self.conf.schedule.name == "warmup_decay":
            scale = optim.warmup_decay(progress, self.conf.schedule)
        self.optimisers.scale_rates(scale)

    def _check_lengths(self) -> None:
        """Check that each utterance has labels and is long enough at the highest speed."""
        min_samples = self.system.encoder.min_samples
        fastest = max(
            augmentation.speed_factor(0, "", 0, [speed], self.conf.augment.speed_semantics)
            for speed in self.conf.augment.speeds
        )
        self.data.check(self.train, fastest * (min_samples + 1))  # resampling rounds lengths
        self.data.check(self.dev, min_samples)

    def _report_epoch(self, scores: DevScores) -> None:
        """Log the current epoch. Raises DataError if every transcript was infeasible."""
        state = self.state
        if state.epoch_stats.infeasible == state.epoch_stats.utterances:
            raise DataError(
                "every transcript needs more frames than there are: check that the encoder's "
                "stride is that of its configuration, and the units"
            )
        skipped, self.optimisers.skipped = self.optimisers.skipped, 0
        line = self.logger.log_epoch(
            state.epoch + 1, state.steps, state.epoch_stats, skipped, scores
        )
        state.history.append(line)
        self.logger.write_history(state.history)


def _groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Yield batches in lists of ``size``; the last may be shorter."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group
