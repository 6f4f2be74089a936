"""Masks of padded batches."""

from collections.abc import Sequence

import torch
from torch import Tensor

from jointasr.utils.transfer import copy_to_device


def valid_mask(lengths: Sequence[int] | Tensor, size: int, device: torch.device) -> Tensor:
    """Return a mask (N, size) on ``device``, true at positions below the lengths (N,)."""
    positions = torch.arange(size, device=device)
    return positions < copy_to_device(lengths, device).unsqueeze(1)
