"""Training step: augmentation, forward and backward pass of its batches, parameter update."""

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from jointasr.data import augmentation
from jointasr.data.batch import Batch, to_device
from jointasr.models import failures
from jointasr.models.checkpoint import TrainedModel
from jointasr.models.fusion import States
from jointasr.training import losses
from jointasr.training.epoch import EpochStats
from jointasr.training.optim import Optimisers
from jointasr.utils import rng
from jointasr.utils.distributed import ProcessGroup
from jointasr.utils.timer import StepTimer

log = logging.getLogger(__name__)


class StepResult(NamedTuple):
    """Result of a training step."""

    stats: EpochStats
    """sums over all processes"""
    gradient_norm: float
    """before clipping; nan if the step was skipped"""


class TrainStep:
    """Computes training steps of a model.

    ``dtype``: type of autocast, None for float32. ``timer`` measures the parts of a step.
    """

    def __init__(
        self,
        model: TrainedModel,
        optimisers: Optimisers,
        scaler: Any,
        dtype: torch.dtype | None,
        seed: int,
        world: ProcessGroup,
    ) -> None:
        self.conf, self.system = model.conf, model.system
        self.optimisers, self.scaler, self.dtype = optimisers, scaler, dtype
        self.seed, self.world = seed, world
        self.device = next(model.system.parameters()).device
        self.timer = StepTimer()

    def update(self, group: Sequence[Batch], epoch: int, first: int) -> StepResult:
        """Update the model with the gradient of the mean loss over the utterances of ``group``.

        ``first``: index in the epoch of the group's first batch. A step with a non-finite loss or
        gradient is skipped and counted.
        """
        step_size = sum(batch.global_size for batch in group)
        stats = EpochStats()
        for index, batch in enumerate(group, first):
            if batch.ids:  # else there are fewer utterances than processes
                stats = stats.plus(self._accumulate(batch, epoch, index, step_size))
        stats, gradient_norm = stats.all_reduce(self.world), float("nan")
        if stats.nonfinite:
            self.optimisers.skip_step()
        else:
            self.world.all_reduce_gradients(self.optimisers.parameters)
            with self.timer("optimiser"):
                gradient_norm = self.optimisers.step(self.scaler)
        return StepResult(stats, gradient_norm)

    def _accumulate(self, batch: Batch, epoch: int, index: int, step_size: int) -> EpochStats:
        """Accumulate the gradient of a batch; a batch with a non-finite loss is only counted."""
        try:
            with failures.explain_out_of_memory(batch, self.conf.batch.seconds):
                return self.forward_backward(batch, epoch, index, step_size)
        except FloatingPointError as error:
            log.warning("%s (batch of %s): step skipped", error, " ".join(batch.ids))
            return EpochStats(len(batch.ids), nonfinite=len(batch.ids))

    def forward_backward(self, batch: Batch, epoch: int, index: int, step_size: int) -> EpochStats:
        """Accumulate the gradient of a batch's loss divided by ``step_size``.

        ``index``: of the batch in the epoch. ``step_size``: utterances of the step, over all
        batches and processes. The dropout generator is seeded for each batch, so
        that the encoder has the same dropout in all systems. Raises
        FloatingPointError if the loss is not finite.
        """
        lengths = batch.lengths.tolist()
        with self.timer("augmentation"):
            draws = self._draws(batch, lengths, epoch)
            batch = to_device(batch, self.device)
            batch = batch._replace(waves=augmentation.apply(batch.waves, lengths, draws))
        rank = [self.world.rank] if self.world.rank else []
        torch.manual_seed(rng.derive(self.seed, "dropout", epoch, index, *rank))
        with self.timer("encoder"), self._autocast():
            states = States(*self.system.encoder(batch.waves, batch.lengths))
        loss, infeasible, truncated = self._loss(states, batch)
        with self.timer("backward"):
            self.scaler.scale(loss / step_size).backward()
        undropped = sum(draw.skipped_chunks for draw in draws)
        value = losses.finite_value(loss)
        return EpochStats(len(batch.ids), value, infeasible, undropped, truncated)

    def _loss(self, states: States, batch: Batch) -> tuple[Tensor, int, int]:
        """Return the loss and the numbers of infeasible and of truncated transcripts.

        The CTC loss is computed while the greedy transcript is copied to the host for BERT.
        """
        with self.timer("head"), self._autocast():
            ctc = self.system.ctc_output(states)
        with self.timer("ctc"):
            asr = losses.asr_loss(self.conf, ctc, batch)
        with self.timer("emotion"), self._autocast():
            emotion = self.system.emotion_output(ctc, batch.texts)
        loss = losses.combine(self.conf, asr, losses.ser_loss(emotion.logits, batch))
        return loss, losses.count_infeasible(ctc, batch), emotion.truncated

    def _draws(self, batch: Batch, lengths: list[int], epoch: int) -> list[augmentation.Draw]:
        """Draw the augmentation of each utterance; ``lengths``: samples, on the host."""
        conf = self.conf.augment
        return [
            augmentation.draw(
                self.seed, name, epoch, length, conf.max_bands, conf.max_chunks, conf.chunk_samples
            )
            for name, length in zip(batch.ids, lengths, strict=True)
        ]

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)
