"""Numbers between the host and a card, without making either wait for the other."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def copy_to_device(values: Sequence[Any] | Tensor, device: torch.device) -> Tensor:
    """A tensor of host values on ``device``; the host does not wait for it to arrive."""
    tensor = values if isinstance(values, Tensor) else torch.tensor(values)
    return tensor.to(device, non_blocking=True)


class CopyToHost:
    """A tensor on its way to the host; the card goes on with what it is given meanwhile."""

    def __init__(self, tensor: Tensor) -> None:
        self._there = tensor.to("cpu", non_blocking=True)
        self._event: Any = None
        if tensor.is_cuda:
            self._event = torch.cuda.Event()
            self._event.record()

    def wait(self) -> Tensor:
        """The tensor, as soon as it has arrived."""
        if self._event is not None:
            self._event.synchronize()
        return self._there
