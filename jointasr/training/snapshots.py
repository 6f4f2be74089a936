"""Snapshots of a training on disk: atomic, with checksums, at most two."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from jointasr.utils import done, files
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)
MAX_SNAPSHOTS = 2


class Snapshots:
    """Training states in ``folder``, named by their number of optimiser steps.

    ``identity``: options, inputs and code of the training. The state of a training with another
    identity is refused.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder, self.identity = folder, dict(identity)

    def save(self, steps: int, state: dict[str, Any]) -> None:
        """Write a state of tensors and plain values; remove all but the last two.

        The record with the checksum is written after the tensors, each atomically: after a kill in
        between the previous state is valid.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, Tensor] = {}
        values = _flatten(state, tensors)
        path = self.folder / f"{steps}.safetensors"
        files.write_tensors(path, tensors)
        record = {"sha256": files.sha256(path), "identity": self.identity, "state": values}
        files.write_json(path.with_suffix(".json"), record)
        for old in self._steps()[:-MAX_SNAPSHOTS]:
            for suffix in (".json", ".safetensors"):  # the record first: it makes a state valid
                (self.folder / f"{old}{suffix}").unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """Return the last valid state, tensors on the CPU; None if there is none.

        Damaged states are reported and skipped. A state of another training raises DataError,
        unless ``JOINTASR_ON_CHANGE`` is force (all states are removed) or accept-code (a change of
        the code alone is accepted).
        """
        for steps in reversed(self._steps()):
            path = self.folder / f"{steps}.safetensors"
            try:
                record = files.read_json(path.with_suffix(".json"))
                valid = path.is_file() and files.sha256(path) == record["sha256"]
            except (DataError, KeyError):
                valid = False
            if not valid:
                log.warning("%s is damaged: trying the previous state", path)
                continue
            changed = [k for k, v in self.identity.items() if record["identity"].get(k) != v]
            policy = done.policy()
            if changed and policy == "force":
                self.clear()
                return None
            if changed and (policy, changed) != ("accept-code", ["code"]):
                raise DataError(
                    f"{self.folder}: the unfinished training has other {', '.join(changed)}; "
                    "continue with its settings, start over with --force true, or use another "
                    "conf name"
                )
            state = _unflatten(record["state"], load_file(path))
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
        """Return the steps of all states with a record, ascending."""
        return sorted(int(path.stem) for path in self.folder.glob("[0-9]*.json"))


def _flatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return ``value`` as JSON, with tensors replaced by their number and added to ``tensors``."""
    if isinstance(value, Tensor):
        tensors[str(len(tensors))] = value.detach().cpu().contiguous()
        return {"tensor": str(len(tensors) - 1)}
    if isinstance(value, dict):  # as pairs, because JSON keys are always strings
        return {"pairs": [[key, _flatten(item, tensors)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_flatten(item, tensors) for item in value]
    return value


def _unflatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return the inverse of ``_flatten``, except that tuples become lists."""
    if isinstance(value, dict):
        if "tensor" in value:
            return tensors[value["tensor"]]
        return {key: _unflatten(item, tensors) for key, item in value["pairs"]}
    if isinstance(value, list):
        return [_unflatten(item, tensors) for item in value]
    return value
