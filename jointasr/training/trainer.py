"""Training: epochs of steps, dev after each, the best model kept."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lhotse import CutSet
from torch import Tensor

from jointasr.config import layout
from jointasr.data import augmentation, dataset
from jointasr.data.batch import Batch, to_device
from jointasr.data.sampler import TrainingSampler, largest_batches
from jointasr.models import checkpoint, failures
from jointasr.models.fusion import States
from jointasr.training import bad_batch, losses, validation
from jointasr.training.epoch import NO_STATS, BestEpoch, DevScores, EpochStats
from jointasr.training.logger import TrainingLogger
from jointasr.training.optim import NewBob, Optimisers, grad_scaler, parts, precision, warmup_decay
from jointasr.training.snapshots import Snapshots, StopSignal
from jointasr.utils import rng
from jointasr.utils.distributed import SINGLE_PROCESS, ProcessGroup, device
from jointasr.utils.errors import DataError
from jointasr.utils.progress import Progress
from jointasr.utils.timer import StepTimer

log = logging.getLogger(__name__)


class Trainer:
    """Fits a model to training cuts and keeps, in ``out/best``, the one that does best on dev."""

    def __init__(
        self,
        model: checkpoint.TrainedModel,
        train: CutSet,
        dev: CutSet,
        out: Path,
        seed: int,
        identity: Mapping[str, Any] | None = None,
        world: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        """``identity``: what decides the result; a killed training is gone on with where it is the
        same. ``world``: the processes that train together; the batches are the same however many
        there are. Raises DataError naming an utterance that cannot be trained on."""
        self.model, self.conf, self.out, self.seed = model, model.conf, out, seed
        self.train, self.dev, self.world = train, dev, world
        self.device = device(world)
        self.precision = precision(self.conf.train.precision, self.device)
        self.system = model.system.to(self.device)
        self.data = dataset.SpeechDataset(model.units, model.labels, world=world)
        augment = self.conf.augment
        speeds, semantics = augment.speeds, augment.speed_semantics
        speed = partial(augmentation.speed_factor, seed, speeds=speeds, semantics=semantics)
        self.plan = TrainingSampler(train, self.conf.batch, speed, seed)
        self._check()
        self.optimisers = Optimisers(self.system, self.conf.optim)
        self.scaler = grad_scaler(self.precision is torch.float16)
        self.newbob = NewBob(self.conf.schedule.newbob_threshold)
        self.progress = Progress()
        self.snapshots = Snapshots(out / layout.RESUME, identity or {})
        self.stop, self.saved = StopSignal(), time.monotonic()
        self.steps, self.clock = 0, StepTimer()
        self.journal = TrainingLogger(out, world.is_main)
        self.best: BestEpoch | None = None
        self.kept: dict[str, Tensor] = {}
        if world.is_main:  # it may have states to clear away
            self.place = self._restore()
        world.barrier()
        if not world.is_main:
            self.place = self._restore()
        self.journal.open(self.steps)

    @dataset.explain_dead_reader()
    def fit(self) -> BestEpoch:
        """Train all epochs; returns which one was best on dev.

        Raises DataError when the model diverges, naming the batch that showed it, and when a
        process that reads audio dies.
        """
        self._describe()
        self.stop.install()
        start, position, done = self.place
        epochs = range(start, self.conf.train.epochs)
        if epochs:
            self._try_largest(start)
        batches = self.batches(epochs, position * self.conf.batch.accumulate)
        for epoch in epochs:
            done = self._epoch(batches, epoch, position, done)
            scores = self.evaluate(self.dev)
            self._report(epoch, done, scores)
            if self.best is None or scores.better(self.best.scores):
                self.best = BestEpoch(epoch + 1, scores)
                if self.world.is_main:
                    self.kept = checkpoint.copy_weights(self.system)
                log.info("epoch %d: best so far, kept", epoch + 1)
            if self.conf.schedule.name == "newbob" and self.newbob.stalls(scores.loss):
                self.optimisers.anneal()
            position, done = 0, NO_STATS
            self._save_in_time(epoch + 1, position, done)
        self._write_best()
        self.journal.close()
        assert self.best is not None
        log.info("best on dev: epoch %d, %s", self.best.epoch, self.best.scores)
        return self.best

    def batches(self, epochs: range, first: int = 0) -> Iterator[Batch]:
        """Those of these epochs, from the place ``first`` in the first of them."""
        workers = self.conf.batch.workers
        return dataset.training_batches(self.plan, self.data, workers, epochs, first)

    def evaluate(self, cuts: CutSet) -> DevScores:
        """Scores of the present model on ``cuts``, without augmentation."""
        return validation.evaluate(self.model, cuts, self.data, self.world)

    def _try_largest(self, epoch: int) -> None:
        """See to it that the batches of an epoch that need most memory fit, before hours are spent.

        Raises DataError naming the batch and the knobs to turn.
        """
        self.system.train()
        order = [self.plan.batch(epoch, places) for places in self.plan.epoch(epoch)]
        moments = [] if self.steps else [torch.empty_like(p) for p in self.optimisers.parameters]
        moments += [value.clone() for value in moments]  # Adam's two, which are not there yet
        for cuts in largest_batches(order):
            batch = self.data[cuts]
            if batch.ids:
                with failures.explain_out_of_memory(batch, self.conf.batch.seconds):
                    with suppress(FloatingPointError):  # the steps will tell
                        self._backward(batch, epoch, 0, batch.global_size)
                    self.optimisers.clear()

    def _epoch(
        self, batches: Iterator[Batch], epoch: int, position: int = 0, done: EpochStats = NO_STATS
    ) -> EpochStats:
        """The sums over an epoch whose first ``position`` steps are done, with sums ``done``."""
        self.system.train()
        accumulate = self.conf.batch.accumulate
        left = max(0, len(self.plan.epoch(epoch)) - position * accumulate)
        for number, group in enumerate(_groups(islice(batches, left), accumulate), position):
            count = sum(batch.global_size for batch in group)
            self._set_rates(self._share(epoch, done.utterances + count / 2))
            step = self._step(group, epoch, number * accumulate)
            done = done.plus(step)
            self.steps += 1
            if self.steps % self.conf.train.log_every == 0:
                self._log_step(epoch, self._share(epoch, done.utterances), step)
            self._save_in_time(epoch, number + 1, done)
        assert done.utterances == len(self.train), (done.utterances, len(self.train))
        return done

    def _step(self, group: list[Batch], epoch: int, first: int) -> EpochStats:
        """One step of the optimisers: the mean loss over all utterances of the group's batches.

        ``first`` is the place in the epoch of the group's first batch. A step whose loss or
        gradient is not finite is left out. Returns the sums over all processes.
        """
        total, own = sum(batch.global_size for batch in group), NO_STATS
        for place, batch in enumerate(group, first):
            self.progress.add(batch.seconds)
            if not batch.ids:
                continue  # fewer utterances than processes
            try:
                with failures.explain_out_of_memory(batch, self.conf.batch.seconds):
                    own = own.plus(self._backward(batch, epoch, place, total))
            except FloatingPointError as error:
                log.warning("%s (batch of %s): step left out", error, " ".join(batch.ids))
                own = own.plus(EpochStats(len(batch.ids), lost=len(batch.ids)))
        done, norm, rates = own.over(self.world), float("nan"), self.optimisers.rates
        if done.lost:
            self.optimisers.leave_out()
        else:
            self.world.all_reduce_gradients(self.optimisers.parameters)
            with self.clock("optimiser"):
                norm = self.optimisers.step(self.scaler)
        if self.optimisers.in_row >= self.conf.train.max_skipped:
            bad_batch.save_and_raise(self.out, group, self.optimisers.in_row, self.world.rank)
        self.journal.curve("train/loss", done.mean_loss, self.steps)
        self.journal.curve("train/gradient_norm", norm, self.steps)
        for name, rate in rates.items():
            self.journal.curve(f"rate/{name}", rate, self.steps)
        return done

    def _backward(self, batch: Batch, epoch: int, place: int, total: int) -> EpochStats:
        """Add the gradient of a batch, its ``place`` in the epoch, to that of a step of ``total``
        utterances.

        Dropout is drawn anew for each batch: systems that draw more or fewer numbers see the same
        dropout in the encoder. Raises FloatingPointError where the loss is not finite.
        """
        lengths = batch.lengths.tolist()
        with self.clock("augmentation"):
            draws = self._draws(batch, lengths, epoch)
            batch = to_device(batch, self.device)
            batch = batch._replace(waves=augmentation.apply(batch.waves, lengths, draws))
        others = [self.world.rank] if self.world.rank else []  # each draws its own
        torch.manual_seed(rng.derive(self.seed, "dropout", epoch, place, *others))
        with self.clock("encoder"), self._autocast():
            states = States(*self.system.encoder(batch.waves, batch.lengths))
        loss, impossible, truncated = self._loss(states, batch)
        with self.clock("backward"):
            self.scaler.scale(loss / total).backward()
        left_out = sum(draw.left_out for draw in draws)
        sums = (losses.value(loss), impossible, left_out, truncated)
        return EpochStats(len(batch.ids), *sums)

    def _loss(self, states: States, batch: Batch) -> tuple[Tensor, int, int]:
        """The loss, and how many transcripts are impossible. The CTC loss is computed while the
        transcript that BERT reads is on its way to the host."""
        with self.clock("head"), self._autocast():
            ctc = self.system.ctc_output(states)
        with self.clock("ctc"):
            asr = losses.asr(self.conf, ctc, batch)
        with self.clock("emotion"), self._autocast():  # BERT and all around it
            emotion = self.system.emotion_output(ctc, batch.texts)
        ser = losses.ser(emotion.logits, batch)
        loss = losses.both(self.conf, asr, ser)
        return loss, losses.impossible(ctc, batch), emotion.truncated

    def _save_in_time(self, epoch: int, position: int, done: EpochStats) -> None:
        """Save a state now and then, and before obeying a signal to stop."""
        waited = time.monotonic() - self.saved
        due = self.world.is_main and waited >= 60 * self.conf.train.save_minutes
        if self.world.any_process(bool(self.stop.requested) or due):
            self._save(epoch, position, done)

    def _save(self, epoch: int, position: int, done: EpochStats) -> None:
        """Save the state before step ``position`` of an epoch; ends the run if it was asked to.

        Random numbers need no saving: each is drawn from the seed and what it is for.
        """
        if self.world.is_main:
            self._write_best()
            self.snapshots.save(self.steps, self._state(epoch, position, done))
            self.saved = time.monotonic()
        if self.world.any_process(bool(self.stop.requested)):  # only when the state is there
            self.stop.exit()

    def _write_best(self) -> None:
        """Write the best weights, where they are not on disk yet.

        They are kept in memory until a state is saved: what is on disk must be what the state
        says, also where a card computes the epochs since then a little differently.
        """
        if self.kept:
            checkpoint.save(self.out / layout.BEST, self.model, self.kept)
            self.kept = {}

    def _state(self, epoch: int, position: int, done: EpochStats) -> dict[str, Any]:
        """All that the rest of the training depends on."""
        best = None if self.best is None else [self.best.epoch, list(self.best.scores)]
        return {
            "place": [epoch, position, self.steps],
            "done": list(done),
            "best": best,
            "history": self.journal.history,
            "newbob": self.newbob.last,
            "system": self.system.state_dict(),
            "optimisers": self.optimisers.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def _restore(self) -> tuple[int, int, EpochStats]:
        """Take up the last state: epoch, steps done of it, sums over these; at first all zero."""
        state = self.snapshots.load()
        if state is None:
            return 0, 0, NO_STATS
        epoch, position, self.steps = state["place"]
        self.journal.history, self.newbob.last = state["history"], state["newbob"]
        if state["best"] is not None:
            self.best = BestEpoch(state["best"][0], DevScores(*state["best"][1]))
        self.system.load_state_dict(state["system"])
        self.optimisers.load_state_dict(state["optimisers"])
        self.scaler.load_state_dict(state["scaler"])
        log.info("going on in epoch %d after step %d", epoch + 1, self.steps)
        return epoch, position, EpochStats(*state["done"])

    def _share(self, epoch: int, utterances: float) -> float:
        """Share (0..1) of all training that is done after so many utterances of an epoch."""
        return (epoch + utterances / len(self.train)) / self.conf.train.epochs

    def _autocast(self) -> AbstractContextManager[Any]:
        """Inside, the model computes in the precision that was chosen."""
        mixed = self.precision is not None
        return torch.autocast(self.device.type, self.precision) if mixed else nullcontext()

    def _draws(self, batch: Batch, lengths: list[int], epoch: int) -> list[augmentation.Draw]:
        """Each utterance's notches and zeroed chunks; ``lengths`` are the batch's, on the host."""
        conf = self.conf.augment
        return [
            augmentation.draw(
                self.seed, name, epoch, length, conf.max_bands, conf.max_chunks, conf.chunk_samples
            )
            for name, length in zip(batch.ids, lengths, strict=True)
        ]

    def _set_rates(self, share: float) -> None:
        scale = 1.0
        if self.conf.schedule.name == "warmup_decay":
            scale = warmup_decay(share, self.conf.schedule)
        self.optimisers.set_scale(scale)

    def _check(self) -> None:
        shortest = self.system.encoder.min_samples
        fastest = max(
            augmentation.speed_factor(0, "", 0, [speed], self.conf.augment.speed_semantics)
            for speed in self.conf.augment.speeds
        )
        self.data.check(self.train, fastest * (shortest + 1))  # lengths after speed: within one
        self.data.check(self.dev, shortest)

    def _describe(self) -> None:
        sizes = {name: sum(p.numel() for p in ps) for name, ps in parts(self.system).items()}
        counted = ", ".join(f"{name} {size:,}" for name, size in sizes.items() if size)
        hours = [sum(cut.duration for cut in cuts) / 3600 for cuts in (self.train, self.dev)]
        log.info("%s on %s; trainable parameters: %s", self.conf.system, self.device, counted)
        log.info(
            "train: %d utterances, %.2f h; dev: %d utterances, %.2f h",
            *(len(self.train), hours[0], len(self.dev), hours[1]),
        )

    def _log_step(self, epoch: int, share: float, step: EpochStats) -> None:
        where = f"epoch {epoch + 1}/{self.conf.train.epochs}, step {self.steps}"
        log.info("%s: loss %.4f, %s", where, step.mean_loss, self.progress(share))

    def _report(self, epoch: int, done: EpochStats, scores: DevScores) -> None:
        if done.impossible == done.utterances:
            raise DataError(
                "no transcript fits into its frames: is the encoder's stride that of its "
                "configuration, are these the units you meant?"
            )
        log.info("epoch %d: train loss %.4f; dev %s", epoch + 1, done.mean_loss, scores)
        counts = {
            "transcripts longer than their frames gave no CTC loss": done.impossible,
            "chunks were not dropped, to leave half of a short utterance": done.whole,
            "transcripts were truncated to BERT's maximum length": done.truncated,
            "steps were left out, loss or gradient not being finite": self.optimisers.skipped,
        }
        self.optimisers.skipped = 0
        for what, count in counts.items():
            if count:
                log.warning("epoch %d: %d %s", epoch + 1, count, what)
        self.journal.epoch(epoch + 1, self.steps, done.mean_loss, scores)


def _groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Batches in lists of ``size``; the last may be shorter."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group
