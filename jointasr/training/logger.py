"""Output of a training for its user: log, table of epochs, TensorBoard curves."""

import logging
from collections.abc import Mapping
from pathlib import Path

from lhotse import CutSet
from torch.utils.tensorboard import SummaryWriter

from jointasr.config import layout, schema
from jointasr.models.systems import System
from jointasr.training.epoch import DevScores, EpochStats
from jointasr.training.optim import parts
from jointasr.training.train_step import StepResult
from jointasr.utils import files
from jointasr.utils.progress import Progress

log = logging.getLogger(__name__)


class TrainingLogger:
    """Writes to the log and, if ``writes``, into the training's folder ``out``."""

    def __init__(self, out: Path, conf: schema.Config, writes: bool) -> None:
        self.out, self.conf, self.writes = out, conf, writes
        self.progress = Progress()
        self.board: SummaryWriter | None = None

    def start(self, system: System, train: CutSet, dev: CutSet, steps: int) -> None:
        """Log sizes; open TensorBoard and hide what a killed run wrote after step ``steps``."""
        if self.writes:
            self.board = SummaryWriter(self.out / "tb", purge_step=steps + 1)
        sizes = {name: sum(p.numel() for p in ps) for name, ps in parts(system).items()}
        listed = ", ".join(f"{name} {size:,}" for name, size in sizes.items() if size)
        device = next(system.parameters()).device
        log.info("%s on %s; trainable parameters: %s", self.conf.system, device, listed)
        hours = [sum(cut.duration for cut in cuts) / 3600 for cuts in (train, dev)]
        log.info(
            "train: %d utterances, %.2f h; dev: %d utterances, %.2f h",
            *(len(train), hours[0], len(dev), hours[1]),
        )
        self.progress = Progress()

    def draw_step(self, steps: int, result: StepResult, rates: Mapping[str, float]) -> None:
        """Draw the curves of step ``steps``, counted from 0."""
        self.curve("train/loss", result.stats.mean_loss, steps)
        self.curve("train/gradient_norm", result.gradient_norm, steps)
        for name, rate in rates.items():
            self.curve(f"rate/{name}", rate, steps)

    def log_step(self, epoch: int, steps: int, loss: float, share: float) -> None:
        """Log every ``train.log_every`` steps; ``share`` (0..1) of the training is done."""
        if steps % self.conf.train.log_every == 0:
            where = f"epoch {epoch + 1}/{self.conf.train.epochs}, step {steps}"
            log.info("%s: loss %.4f, %s", where, loss, self.progress(share))

    def log_epoch(
        self, number: int, steps: int, stats: EpochStats, skipped: int, scores: DevScores
    ) -> str:
        """Log an epoch, counted from 1, and draw its dev scores; return its line of the table."""
        log.info("epoch %d: train loss %.4f; dev %s", number, stats.mean_loss, scores)
        counts = {
            "transcripts need more frames than there are and gave no CTC loss": stats.infeasible,
            "chunks were not dropped, to leave half of a short utterance": stats.undropped_chunks,
            "transcripts were truncated to BERT's maximum length": stats.truncated,
            "steps were skipped: their loss or gradient is not finite": skipped,
        }
        for message, count in counts.items():
            if count:
                log.warning("epoch %d: %d %s", number, count, message)
        for name, value in scores._asdict().items():
            if value is not None:
                self.curve(f"dev/{name}", value, steps)
        row = [number, steps, stats.mean_loss, scores.loss, scores.wer, scores.wa]
        return "\t".join("-" if value is None else f"{value:.6g}" for value in row)

    def write_history(self, lines: list[str]) -> None:
        """Write the table of epochs."""
        if self.writes:
            files.write_text(self.out / layout.HISTORY, "\n".join(lines) + "\n")

    def curve(self, name: str, value: float, step: int) -> None:
        """Add a point to a curve in TensorBoard."""
        if self.board is not None:
            self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close TensorBoard's file."""
        if self.board is not None:
            self.board.close()
