"""Fusion of acoustic and linguistic embeddings (the paper, section 3.2)."""

import torch
from torch import Tensor, nn


def average(hidden: Tensor, frames: Tensor) -> Tensor:
    """Average pooling over valid frames: hidden (N, F, D), frames (N,) -> (N, D)."""
    mask = torch.arange(hidden.shape[1], device=hidden.device) < frames[:, None]
    weights = mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(1) / weights.sum(1)


class SkipMlp(nn.Module):
    """Projection to ``dim``, then LayerNorm-Linear-ReLU-Linear added to its own input."""

    def __init__(self, inputs: int, dim: int, skip: bool, dropout: float) -> None:
        super().__init__()
        self.project, self.skip = nn.Linear(inputs, dim), skip
        self.layers = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dim, dim),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) -> (N, dim)."""
        x = self.project(x)
        y = self.layers(x)
        return x + y if self.skip else y


class Fusion(nn.Module):
    """Each modality through its own SkipMlp; their concatenation through the classifier."""

    def __init__(
        self, acoustic: int, linguistic: int, dim: int, classes: int, skip: bool, dropout: float
    ) -> None:
        super().__init__()
        self.acoustic = SkipMlp(acoustic, dim, skip, dropout)
        self.linguistic = SkipMlp(linguistic, dim, skip, dropout)
        self.classify = nn.Linear(2 * dim, classes)

    def forward(self, acoustic: Tensor, linguistic: Tensor) -> Tensor:
        """Embeddings (N, acoustic), (N, linguistic) -> logits (N, classes)."""
        both = torch.cat([self.acoustic(acoustic), self.linguistic(linguistic)], dim=-1)
        return self.classify(both)
