"""Asynchronous copies between host and GPU."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def copy_to_device(values: Sequence[Any] | Tensor, device: torch.device) -> Tensor:
    """Return host values as a tensor on ``device`` without waiting for the copy."""
    tensor = values if isinstance(values, Tensor) else torch.tensor(values)
    return tensor.to(device, non_blocking=True)


class CopyToHost:
    """A copy of a tensor to the host that runs while the GPU continues."""

    def __init__(self, tensor: Tensor) -> None:
        self._copy = tensor.to("cpu", non_blocking=True)
        self._event: Any = None
        if tensor.is_cuda:
            self._event = torch.cuda.Event()
            self._event.record()

    def wait(self) -> Tensor:
        """Return the tensor once the copy is complete."""
        if self._event is not None:
            self._event.synchronize()
        return self._copy
