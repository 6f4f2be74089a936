"""The state of an unfinished training on disk: whole or not at all, checked, the last two kept."""

import hashlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from jointasr.data import datadir
from jointasr.utils import files
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)
KEPT = 2


class Snapshots:
    """States by the number of steps done, below ``folder``.

    ``identity`` is what the training is about (options, inputs, code): a state of another training
    is not gone on with.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder, self.identity = folder, dict(identity)

    def save(self, steps: int, state: dict[str, Any]) -> None:
        """Write a state of tensors and plain values; older ones but the last are removed.

        The record with the checksum comes after the tensors, each by rename: a kill in between
        leaves the state before.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, Tensor] = {}
        plain = _part(state, tensors)
        path = self.folder / f"{steps}.safetensors"
        files.write_tensors(path, tensors)
        record = {"sha256": _digest(path), "identity": self.identity, "state": plain}
        files.write_json(path.with_suffix(".json"), record)
        for old in self._steps()[:-KEPT]:
            for suffix in (".json", ".safetensors"):  # without its record a state does not count
                (self.folder / f"{old}{suffix}").unlink(missing_ok=True)  # it may be the damage

    def load(self) -> dict[str, Any] | None:
        """The last sound state, tensors on the CPU; None where there is none.

        One that is damaged is said to be and passed over for the one before. Raises DataError for
        a state of another training, unless the user's choice is to start over or accept its code.
        """
        for steps in reversed(self._steps()):
            path = self.folder / f"{steps}.safetensors"
            try:
                record = datadir.read_json(path.with_suffix(".json"))
                sound = path.is_file() and _digest(path) == record["sha256"]
            except (DataError, KeyError):
                sound = False
            if not sound:
                log.warning("%s is damaged: going back to the state before it", path)
                continue
            changed = [k for k, v in self.identity.items() if record["identity"].get(k) != v]
            policy = os.environ.get("JOINTASR_ON_CHANGE", "stop")  # as in jointasr/utils/done.py
            if changed and policy == "force":
                self.clear()
                return None
            if changed and (policy, changed) != ("accept-code", ["code"]):
                raise DataError(
                    f"{self.folder}: an unfinished training with other {', '.join(changed)}; go on "
                    "with its settings, start over with --force true, or use another conf name"
                )
            state = _join(record["state"], load_file(path))
            assert isinstance(state, dict)
            return state
        return None

    def clear(self) -> None:
        """Remove all states."""
        for path in self.folder.glob("*"):
            path.unlink()
        if self.folder.is_dir():
            self.folder.rmdir()

    def _steps(self) -> list[int]:
        """Steps of the recorded states, rising."""
        return sorted(int(path.stem) for path in self.folder.glob("[0-9]*.json"))


class StopSignal:
    """TERM and USR1 ask a training to save its state and end; whoever started it runs it again."""

    def __init__(self) -> None:
        self.requested = 0

    def install(self) -> None:
        """From now on."""
        for number in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        self.requested = number

    def exit(self) -> None:
        """End here with the shells' exit code; a process beside this one may have been asked."""
        number = signal.Signals(self.requested or signal.SIGTERM)
        log.info("%s: state saved, ending", number.name)
        sys.exit(128 + number)


def _part(value: Any, tensors: dict[str, Tensor]) -> Any:
    """``value`` as JSON can hold it: tensors go into ``tensors``, named by their number."""
    if isinstance(value, Tensor):
        tensors[str(len(tensors))] = value.detach().cpu().contiguous()
        return {"tensor": str(len(tensors) - 1)}
    if isinstance(value, dict):  # as pairs, for keys may be numbers
        return {"pairs": [[key, _part(inner, tensors)] for key, inner in value.items()]}
    if isinstance(value, list | tuple):
        return [_part(inner, tensors) for inner in value]
    return value


def _join(value: Any, tensors: dict[str, Tensor]) -> Any:
    """What ``_part`` took apart; tuples have become lists."""
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _join(inner, tensors) for key, inner in value["pairs"]}
    if isinstance(value, list):
        return [_join(inner, tensors) for inner in value]
    return value


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
