"""State of a training: contents, saving, resuming and graceful exit on a signal."""

import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

from torch import Tensor

from jointasr.config import layout
from jointasr.models import checkpoint
from jointasr.training.epoch import BestEpoch, DevScores, EpochStats
from jointasr.training.optim import NewBob, Optimisers
from jointasr.training.snapshots import Snapshots
from jointasr.utils.distributed import ProcessGroup

log = logging.getLogger(__name__)


class TrainingState:
    """Everything that changes during a training and determines the rest of it.

    Random numbers need no state: each is drawn from the seed and its purpose (``utils/rng.py``).
    """

    def __init__(
        self, model: checkpoint.TrainedModel, optimisers: Optimisers, scaler: Any, newbob: NewBob
    ) -> None:
        self.model, self.optimisers, self.scaler, self.newbob = model, optimisers, scaler, newbob
        self.epoch = 0
        """current epoch, from 0"""
        self.epoch_steps = 0
        """steps done in this epoch"""
        self.epoch_stats = EpochStats()
        """sums over these steps"""
        self.steps = 0
        """steps done in all epochs"""
        self.best: BestEpoch | None = None
        self.history = [layout.HISTORY_HEADER]
        """lines of the table of epochs"""

    def next_epoch(self) -> None:
        """Move to the start of the next epoch."""
        self.epoch, self.epoch_steps, self.epoch_stats = self.epoch + 1, 0, EpochStats()

    def state_dict(self) -> dict[str, Any]:
        """Return the state as a dictionary of tensors and plain values."""
        best = None if self.best is None else [self.best.epoch, list(self.best.scores)]
        return {
            "place": [self.epoch, self.epoch_steps, self.steps],
            "done": list(self.epoch_stats),
            "best": best,
            "history": self.history,
            "newbob": self.newbob.last_loss,
            "system": self.model.system.state_dict(),
            "optimisers": self.optimisers.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that ``state_dict`` returned."""
        self.epoch, self.epoch_steps, self.steps = state["place"]
        self.epoch_stats = EpochStats(*state["done"])
        if state["best"] is not None:
            self.best = BestEpoch(state["best"][0], DevScores(*state["best"][1]))
        self.history, self.newbob.last_loss = state["history"], state["newbob"]
        self.model.system.load_state_dict(state["system"])
        self.optimisers.load_state_dict(state["optimisers"])
        self.scaler.load_state_dict(state["scaler"])


class StopSignal:
    """Turns SIGTERM and SIGUSR1 into a request to save the training state and exit."""

    def __init__(self) -> None:
        self.requested = 0

    def install(self) -> None:
        """Install the signal handlers."""
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._request)

    def _request(self, number: int, frame: object) -> None:
        self.requested = number

    def exit(self) -> None:
        """Exit with code 128 + signal (SIGTERM if another process received the signal)."""
        number = signal.Signals(self.requested or signal.SIGTERM)
        log.info("%s: state saved, exiting", number.name)
        sys.exit(128 + number)


class StateSaver:
    """Saves a training's state and best model below ``out``; restores the last state."""

    def __init__(
        self,
        state: TrainingState,
        snapshots: Snapshots,
        out: Path,
        save_minutes: float,
        world: ProcessGroup,
    ) -> None:
        self.state, self.snapshots, self.out, self.world = state, snapshots, out, world
        self.save_minutes, self.last_save = save_minutes, time.monotonic()
        self.stop = StopSignal()
        self.best_weights: dict[str, Tensor] = {}

    def restore(self) -> None:
        """Load the last state, if there is one, in all processes."""
        if self.world.is_main:  # first: it may have to remove old states
            self._load()
        self.world.barrier()
        if not self.world.is_main:
            self._load()

    def keep_best_weights(self) -> None:
        """Copy the current weights as those of the best epoch, in the main process.

        They stay in memory until the next state is saved, so that the best model on disk always
        belongs to the saved state: on a GPU, recomputed epochs differ slightly.
        """
        if self.world.is_main:
            self.best_weights = checkpoint.copy_weights(self.state.model.system)

    def write_best(self) -> None:
        """Write the best model if it has changed since it was last written."""
        if self.best_weights:
            checkpoint.save(self.out / layout.BEST, self.state.model, self.best_weights)
            self.best_weights = {}

    def save_if_due(self) -> None:
        """Save the state every ``save_minutes``; save it and exit if any process has to stop.

        Blocks until all processes have called this.
        """
        minutes = (time.monotonic() - self.last_save) / 60
        due = self.world.is_main and minutes >= self.save_minutes
        if self.world.any_process(bool(self.stop.requested) or due):
            self._save()

    def _save(self) -> None:
        if self.world.is_main:
            self.write_best()
            self.snapshots.save(self.state.steps, self.state.state_dict())
            self.last_save = time.monotonic()
        if self.world.any_process(bool(self.stop.requested)):  # after the state has been written
            self.stop.exit()

    def _load(self) -> None:
        state = self.snapshots.load()
        if state is not None:
            self.state.load_state_dict(state)
            log.info("resuming in epoch %d after step %d", self.state.epoch + 1, self.state.steps)
