"""Reports of a training: log, table of epochs, TensorBoard scalars."""

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
    """Logs a training; in the main process (``enabled``) it also writes files to ``out``."""

    def __init__(self, out: Path, conf: schema.Config, enabled: bool) -> None:
        self.out, self.conf, self.enabled = out, conf, enabled
        self.progress = Progress()
        self.board: SummaryWriter | None = None

    def start(self, system: System, train: CutSet, dev: CutSet, steps: int) -> None:
        """Log the sizes of model and data; open TensorBoard.

        Scalars that a killed run wrote after step ``steps`` are hidden.
        """
        if self.enabled:
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

    def plot_step(self, steps: int, result: StepResult, rates: Mapping[str, float]) -> None:
        """Write the scalars of step ``steps``, counted from 0, to TensorBoard."""
        self._add_scalar("train/loss", result.stats.mean_loss, steps)
        self._add_scalar("train/gradient_norm", result.gradient_norm, steps)
        for name, rate in rates.items():
            self._add_scalar(f"rate/{name}", rate, steps)

    def log_step(self, epoch: int, steps: int, loss: float, progress: float) -> None:
        """Log every ``train.log_every`` steps; ``progress``: completed fraction (0..1)."""
        if steps % self.conf.train.log_every == 0:
            where = f"epoch {epoch + 1}/{self.conf.train.epochs}, step {steps}"
            log.info("%s: loss %.4f, %s", where, loss, self.progress(progress))

    def log_epoch(
        self, number: int, steps: int, stats: EpochStats, skipped: int, scores: DevScores
    ) -> str:
        """Log an epoch, counted from 1, and its dev scores; return its line of the table."""
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
                self._add_scalar(f"dev/{name}", value, steps)
        row = [number, steps, stats.mean_loss, scores.loss, scores.wer, scores.wa]
        return "\t".join("-" if value is None else f"{value:.6g}" for value in row)

    def write_history(self, lines: list[str]) -> None:
        """Write the table of epochs (epochs.tsv)."""
        if self.enabled:
            files.write_text(self.out / layout.HISTORY, "\n".join(lines) + "\n")

    def _add_scalar(self, name: str, value: float, step: int) -> None:
        """Write a scalar to TensorBoard."""
        if self.board is not None:
            self.board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close TensorBoard's event file."""
        if self.board is not None:
            self.board.close()
