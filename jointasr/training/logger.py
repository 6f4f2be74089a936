"""What a training leaves for its reader: a table of epochs, curves in TensorBoard."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from jointasr.config import layout
from jointasr.training.epoch import DevScores
from jointasr.utils import files


class TrainingLogger:
    """Writes into a training's folder ``out``; nothing where another process does."""

    def __init__(self, out: Path, writes: bool) -> None:
        self.out, self.writes = out, writes
        self.history = [layout.HISTORY_HEADER]
        self.board: SummaryWriter | None = None

    def open(self, steps: int) -> None:
        """Begin after so many steps; hides what a killed run drew after them."""
        if self.writes:
            self.board = SummaryWriter(self.out / "tb", purge_step=steps + 1)

    def curve(self, name: str, value: float, step: int) -> None:
        """A point of a curve in TensorBoard."""
        if self.board is not None:
            self.board.add_scalar(name, value, step)

    def epoch(self, number: int, steps: int, loss: float, scores: DevScores) -> None:
        """One more line in the table of epochs, from 1, and the dev scores as curves."""
        row = [number, steps, loss, scores.loss, scores.wer, scores.wa]
        self.history.append("\t".join("-" if value is None else f"{value:.6g}" for value in row))
        if self.writes:
            files.write_text(self.out / layout.HISTORY, "\n".join(self.history) + "\n")
        for name, value in scores._asdict().items():
            if value is not None:
                self.curve(f"dev/{name}", value, steps)

    def close(self) -> None:
        """At the end."""
        if self.board is not None:
            self.board.close()
