"""Training: epochs of steps, dev after each, the best model kept."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lhotse import CutSet
from torch.utils.tensorboard import SummaryWriter

from jointasr import (
    checkpoint,
    dataset,
    experiment,
    files,
    metrics,
    objective,
    perturb,
    rng,
    search,
    systems,
)
from jointasr.dataset import Batch
from jointasr.errors import DataError
from jointasr.optim import NewBob, Optimisers, grad_scaler, parts, warmup_decay
from jointasr.progress import Progress
from jointasr.schema import Config
from jointasr.snapshots import Snapshots, Stop
from jointasr.tally import NOTHING, Choice, Epoch, Scores

log = logging.getLogger(__name__)


class Trainer:
    """Fits a model to training cuts and keeps, in ``out/best``, the one that does best on dev."""

    def __init__(
        self,
        model: checkpoint.Model,
        train: CutSet,
        dev: CutSet,
        out: Path,
        seed: int,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        """``identity``: what decides the result; a killed training is gone on with where it is the
        same. Raises DataError naming an utterance that cannot be trained on."""
        self.model, self.conf, self.out, self.seed = model, model.conf, out, seed
        self.train, self.dev = train, dev
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.precision = precision(self.conf, self.device)
        self.system = model.system.to(self.device)
        self.data = dataset.Utterances(model.units, model.labels)
        self._check()
        self.optimisers = Optimisers(self.system, self.conf.optim)
        self.scaler = grad_scaler(self.precision is torch.float16)
        self.newbob = NewBob(self.conf.schedule.newbob_threshold)
        self.progress = Progress()
        self.snapshots = Snapshots(out / experiment.RESUME, identity or {})
        self.stop, self.saved = Stop(), time.monotonic()
        self.steps = 0
        self.history = [experiment.HISTORY_HEADER]
        self.best: Choice | None = None
        self.place = self._restore()
        # hides what a killed run drew after its last state
        self.board = SummaryWriter(out / "tb", purge_step=self.steps + 1)

    def fit(self) -> Choice:
        """Train all epochs; returns which one was best on dev.

        Raises DataError when the model diverges, naming the batch that showed it.
        """
        self._describe()
        self.stop.listen()
        start, position, done = self.place
        for epoch in range(start, self.conf.train.epochs):
            done = self._epoch(epoch, position, done)
            scores = self.evaluate(self.dev)
            self._report(epoch, done, scores)
            if self.best is None or scores.better(self.best.scores):
                self.best = Choice(epoch + 1, scores)
                checkpoint.save(self.out / "best", self.model)
                log.info("epoch %d: best so far, saved", epoch + 1)
            if self.conf.schedule.name == "newbob" and self.newbob.stalls(scores.loss):
                self.optimisers.anneal()
            position, done = 0, NOTHING
            self._save(epoch + 1, position, done)
        self.board.close()
        assert self.best is not None
        log.info("best on dev: epoch %d, %s", self.best.epoch, self.best.scores)
        return self.best

    def _epoch(self, epoch: int, position: int = 0, done: Epoch = NOTHING) -> Epoch:
        """The sums over an epoch whose first ``position`` steps are done, with sums ``done``."""
        self.system.train()
        speed = partial(self._speed, epoch=epoch)
        accumulate = self.conf.batch.accumulate
        batches = dataset.training_batches(
            self.train, self.data, self.conf.batch, speed, self.seed, epoch, position * accumulate
        )
        for number, group in enumerate(_groups(batches, accumulate), position):
            count = sum(len(batch.ids) for batch in group)
            self._set_rates(self._share(epoch, done.utterances + count / 2))
            step = self._step(group, epoch, number * accumulate)
            done = done.plus(step)
            self.steps += 1
            if self.steps % self.conf.train.log_every == 0:
                self._log_step(epoch, self._share(epoch, done.utterances), step)
            self._save_in_time(epoch, number + 1, done)
        assert done.utterances == len(self.train), (done.utterances, len(self.train))
        return done

    def _step(self, group: list[Batch], epoch: int, first: int) -> Epoch:
        """One step of the optimisers: the mean loss over all utterances of the group's batches.

        ``first`` is the place in the epoch of the group's first batch. Dropout is drawn anew for
        each batch: systems that draw more or fewer numbers see the same dropout in the encoder.
        """
        total, done = sum(len(batch.ids) for batch in group), Epoch()
        for place, batch in enumerate(group, first):
            self.progress.add(batch.seconds)
            lengths = batch.lengths.tolist()
            draws = self._draws(batch, lengths, epoch)
            on_device = dataset.to_device(batch, self.device)
            on_device = on_device._replace(waves=perturb.apply(on_device.waves, lengths, draws))
            torch.manual_seed(rng.derive(self.seed, "dropout", epoch, place))
            with _naming(batch):
                part = objective.losses(self.conf, self._forward(on_device), on_device)
            self.scaler.scale(part.total / total).backward()
            whole, loss = sum(draw.left_out for draw in draws), float(part.total.detach())
            done = done.plus(Epoch(len(batch.ids), loss, part.impossible, whole))
        rates = self.optimisers.rates
        norm = self.optimisers.step(self.scaler)
        self.board.add_scalar("train/loss", done.loss / total, self.steps)
        self.board.add_scalar("train/gradient_norm", norm, self.steps)
        for name, rate in rates.items():
            self.board.add_scalar(f"rate/{name}", rate, self.steps)
        return done

    def _save_in_time(self, epoch: int, position: int, done: Epoch) -> None:
        """Save a state now and then, and before obeying a signal to stop."""
        waited = time.monotonic() - self.saved
        if self.stop.asked or waited >= 60 * self.conf.train.save_minutes:
            self._save(epoch, position, done)

    def _save(self, epoch: int, position: int, done: Epoch) -> None:
        """Save the state before step ``position`` of an epoch; ends the run if it was asked to.

        Random numbers need no saving: each is drawn from the seed and what it is for.
        """
        best = None if self.best is None else [self.best.epoch, list(self.best.scores)]
        state = {
            "place": [epoch, position, self.steps],
            "done": list(done),
            "best": best,
            "history": self.history,
            "newbob": self.newbob.last,
            "system": self.system.state_dict(),
            "optimisers": self.optimisers.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        self.snapshots.save(self.steps, state)
        self.saved = time.monotonic()
        self.stop.obey()

    def _restore(self) -> tuple[int, int, Epoch]:
        """Take up the last state: epoch, steps done of it, sums over these; at first all zero."""
        state = self.snapshots.load()
        if state is None:
            return 0, 0, NOTHING
        epoch, position, self.steps = state["place"]
        self.history, self.newbob.last = state["history"], state["newbob"]
        if state["best"] is not None:
            self.best = Choice(state["best"][0], Scores(*state["best"][1]))
        self.system.load_state_dict(state["system"])
        self.optimisers.load_state_dict(state["optimisers"])
        self.scaler.load_state_dict(state["scaler"])
        log.info("going on in epoch %d after step %d", epoch + 1, self.steps)
        return epoch, position, Epoch(*state["done"])

    def _share(self, epoch: int, utterances: float) -> float:
        """Share (0..1) of all training that is done after so many utterances of an epoch."""
        return (epoch + utterances / len(self.train)) / self.conf.train.epochs

    def _forward(self, batch: Batch) -> systems.Output:
        mixed = self.precision is not None
        with torch.autocast(self.device.type, self.precision) if mixed else nullcontext():
            return systems.forward(self.system, batch.waves, batch.lengths, batch.texts)

    def _speed(self, utterance: str, epoch: int) -> float:
        """An utterance's speed factor, drawn from nothing but its name and the epoch."""
        augment = self.conf.augment
        return perturb.speed_factor(
            self.seed, utterance, epoch, augment.speeds, augment.speed_semantics
        )

    def _draws(self, batch: Batch, lengths: list[int], epoch: int) -> list[perturb.Draw]:
        """Each utterance's notches and zeroed chunks; ``lengths`` are the batch's, on the host."""
        conf = self.conf.augment
        return [
            perturb.draw(
                self.seed, name, epoch, length, conf.max_bands, conf.max_chunks, conf.chunk_samples
            )
            for name, length in zip(batch.ids, lengths, strict=True)
        ]

    @torch.no_grad()
    def evaluate(self, cuts: CutSet) -> Scores:
        """Scores of the present model on ``cuts``, without augmentation."""
        self.system.eval()
        conf, loss = self.conf, 0.0
        references: list[str] = []
        hypotheses: list[str] = []
        emotions: list[tuple[str, str]] = []
        batches = dataset.evaluation_batches(
            cuts, self.data, conf.batch.max_duration, conf.batch.workers
        )
        for batch in batches:
            batch = dataset.to_device(batch, self.device)
            with _naming(batch):
                output = systems.forward(self.system, batch.waves, batch.lengths, batch.texts)
                loss += float(objective.losses(conf, output, batch).total)
            if output.log_probs is not None:
                found = search.greedy(output.log_probs, output.frames)
                hypotheses += map(self.model.units.decode, found)
                references += batch.texts
            if output.emotions is not None:
                truth = [self.model.labels[i] for i in batch.emotions.tolist()]
                guess = [self.model.labels[i] for i in output.emotions.argmax(-1).tolist()]
                emotions += zip(truth, guess, strict=True)
        counts = map(metrics.count, metrics.align(references, hypotheses))
        wer = sum(counts, metrics.WordCounts()).wer if conf.has_ctc else None
        wa = metrics.confuse(emotions, self.model.labels).wa if conf.has_emotion else None
        return Scores(loss / len(cuts), wer, wa)

    def _set_rates(self, share: float) -> None:
        scale = 1.0
        if self.conf.schedule.name == "warmup_decay":
            scale = warmup_decay(share, self.conf.schedule)
        self.optimisers.set_scale(scale)

    def _check(self) -> None:
        shortest = self.system.encoder.shortest
        fastest = max(
            perturb.speed_factor(0, "", 0, [speed], self.conf.augment.speed_semantics)
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

    def _log_step(self, epoch: int, share: float, step: Epoch) -> None:
        loss = step.loss / step.utterances
        where = f"epoch {epoch + 1}/{self.conf.train.epochs}, step {self.steps}"
        log.info("%s: loss %.4f, %s", where, loss, self.progress(share))

    def _report(self, epoch: int, done: Epoch, scores: Scores) -> None:
        if done.impossible == done.utterances:
            raise DataError(
                "no transcript fits into its frames: is the encoder's stride that of its "
                "configuration, are these the units you meant?"
            )
        loss = done.loss / done.utterances
        log.info("epoch %d: train loss %.4f; dev %s", epoch + 1, loss, scores)
        counts = {
            "transcripts longer than their frames gave no CTC loss": done.impossible,
            "chunks were not dropped, to leave half of a short utterance": done.whole,
            "steps were left out, their gradient not being finite": self.optimisers.skipped,
        }
        bert = self.system.bert if isinstance(self.system, systems.Joint) else None
        if bert is not None:
            counts["transcripts were cut to BERT's positions"] = bert.truncated
            bert.truncated = 0
        self.optimisers.skipped = 0
        for what, count in counts.items():
            if count:
                log.warning("epoch %d: %d %s", epoch + 1, count, what)
        self._record(epoch, loss, scores)
        for name, value in scores._asdict().items():
            if value is not None:
                self.board.add_scalar(f"dev/{name}", value, epoch + 1)

    def _record(self, epoch: int, loss: float, scores: Scores) -> None:
        """One more line in the table of epochs; TensorBoard's curves, for the report."""
        row = [epoch + 1, self.steps, loss, scores.loss, scores.wer, scores.wa]
        self.history.append("\t".join("-" if value is None else f"{value:.6g}" for value in row))
        files.write_text(self.out / experiment.HISTORY, "\n".join(self.history) + "\n")


def precision(conf: Config, device: torch.device) -> torch.dtype | None:
    """What autocast computes in; None: everything in float32 (always so on a CPU)."""
    wanted = conf.train.precision
    if device.type == "cpu":
        if wanted not in ("auto", "fp32"):
            log.warning("precision %s is for GPUs: training in fp32 on this CPU", wanted)
        return None
    if wanted == "auto":  # older GPUs say that they support bf16, and emulate it slowly
        wanted = "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[wanted]


@contextmanager
def _naming(batch: Batch) -> Iterator[None]:
    """Divergence as the user's error: what happened, on which utterances, what to do."""
    try:
        yield
    except FloatingPointError as error:
        names = " ".join(batch.ids)
        raise DataError(f"{error} (batch of {names}); lower the learning rates") from None


def _groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """Batches in lists of ``size``; the last may be shorter."""
    iterator = iter(batches)
    while group := list(islice(iterator, size)):
        yield group
