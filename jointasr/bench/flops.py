"""Floating-point operations that a model's layers need, counted while it runs.

Counted are matrix products: linear layers, convolutions and the two products of self-attention,
two operations for each multiply-add. What else there is (norms, activations, softmax) is small and
not counted, as is usual for model FLOPs utilisation (Chowdhery et al. 2022, PaLM, appendix B).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

BACKWARD = 2
"""operations of a backward pass through what is trained, in those of its forward pass: one product
for the gradient of the inputs, one for that of the weights"""


class Count:
    """Operations of forward passes, and of the backward passes that belong to them."""

    def __init__(self) -> None:
        self.forward, self.backward = 0.0, 0.0

    def add(self, module: nn.Module, operations: float) -> None:
        """Count a module's forward pass and, where it is trained, its backward pass."""
        self.forward += operations
        if any(p.requires_grad for p in module.parameters()):
            self.backward += BACKWARD * operations


@contextmanager
def counting(model: nn.Module) -> Iterator[Count]:
    """Count what runs through ``model`` inside."""
    count = Count()
    hooks = [
        module.register_forward_hook(lambda m, i, output: count.add(m, _operations(m, output)))
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.Conv1d) or _attends(module)
    ]
    try:
        yield count
    finally:
        for hook in hooks:
            hook.remove()


def peak(device: torch.device, dtype: torch.dtype, size: int = 0, seconds: float = 2.0) -> float:
    """Operations per second of the best product of two square matrices seen within ``seconds``.

    ``size``: rows of the matrices; 0: 8192 on a card, 1536 on a CPU, where more is no faster.
    """
    import time

    from jointasr.utils.timer import synchronize

    size = size or (8192 if device.type == "cuda" else 1536)
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        synchronize()
        start = time.perf_counter()
        a @ b
        synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def _attends(module: nn.Module) -> bool:
    """Whether it is the part of a transformer's layer that multiplies queries, keys and values."""
    inner = (m for m in module.modules() if m is not module)
    return _named(module) and not any(map(_named, inner))


def _named(module: nn.Module) -> bool:
    return type(module).__name__.endswith("Attention")


def _operations(module: nn.Module, output: Any) -> float:
    shape = (output if isinstance(output, Tensor) else output[0]).shape
    if isinstance(module, nn.Linear):
        return 2.0 * shape.numel() * module.in_features
    if isinstance(module, nn.Conv1d):
        return 2.0 * shape.numel() * module.in_channels / module.groups * module.kernel_size[0]
    rows, positions, width = shape
    return 4.0 * rows * positions**2 * width
