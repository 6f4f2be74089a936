"""Floating-point operations of a model, counted in a forward pass.

Matrix products are counted: linear layers, convolutions and the two products of self-attention,
with two operations per multiply-add. Norms, activations and softmax are negligible and not counted,
as usual for model FLOPs utilisation (Chowdhery et al. 2022, PaLM, appendix B).

torch.utils.flop_counter is not used: it counts hardware FLOPs, including the recomputation of
gradient checkpointing, misses the fused attention of CPUs, and does not exist in torch 1.13. A test
compares both where they count the same.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from jointasr.utils.timer import synchronize

BACKWARD = 2
"""operations of a backward pass of trained layers, divided by those of the forward pass: a product
for the gradient of the inputs, and one for that of the weights"""


class FlopCount:
    """Floating-point operations of forward passes and of the corresponding backward passes."""

    def __init__(self) -> None:
        self.forward, self.backward = 0.0, 0.0

    def add(self, module: nn.Module, operations: float) -> None:
        """Add the forward pass of a module and, if it is trained, its backward pass."""
        self.forward += operations
        if any(p.requires_grad for p in module.parameters()):
            self.backward += BACKWARD * operations


@contextmanager
def counting(model: nn.Module) -> Iterator[FlopCount]:
    """Count the operations of ``model`` inside the context."""
    count = FlopCount()
    hooks = [
        module.register_forward_hook(lambda m, i, output: count.add(m, _operations(m, output)))
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.Conv1d) or _is_attention_core(module)
    ]
    try:
        yield count
    finally:
        for hook in hooks:
            hook.remove()


def peak(device: torch.device, dtype: torch.dtype, size: int = 0, seconds: float = 2.0) -> float:
    """Return the FLOP/s of the fastest matrix product, repeated for ``seconds``.

    ``size``: rows of the square matrices; 0: 8192 on a GPU, 1536 on a CPU (larger ones are not
    faster).
    """
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


def _is_attention_core(module: nn.Module) -> bool:
    """Return whether a module computes self-attention itself, not in a submodule."""
    inner = (m for m in module.modules() if m is not module)
    return _is_attention(module) and not any(map(_is_attention, inner))


def _is_attention(module: nn.Module) -> bool:
    return type(module).__name__.endswith("Attention")


def _operations(module: nn.Module, output: Any) -> float:
    """Return the operations of a forward pass with this output."""
    shape = (output if isinstance(output, Tensor) else output[0]).shape
    if isinstance(module, nn.Linear):
        return 2.0 * shape.numel() * module.in_features
    if isinstance(module, nn.Conv1d):
        return 2.0 * shape.numel() * module.in_channels / module.groups * module.kernel_size[0]
    rows, positions, width = shape
    return 4.0 * rows * positions**2 * width
