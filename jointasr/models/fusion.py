"""Fusion of acoustic and linguistic sequences into one of the emotions (the paper, section 3.2)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from jointasr.config.schema import Emotion
from jointasr.utils.transfer import copy_to_device


class States(NamedTuple):
    """A batch of N sequences of embeddings: an encoder's frames, or a text's tokens."""

    hidden: Tensor
    """(N, L, D), padded at the end"""
    lengths: Tensor
    """valid positions (N,), on the host"""

    @property
    def mask(self) -> Tensor:
        """(N, L), true where valid."""
        places = torch.arange(self.hidden.shape[1], device=self.hidden.device)
        return places < copy_to_device(self.lengths, places.device)[:, None]


def average(states: States) -> Tensor:
    """Average pooling over valid positions: (N, D)."""
    weights = states.mask[..., None].to(states.hidden.dtype)
    return (states.hidden * weights).sum(1) / weights.sum(1)


def output_mlp(inputs: int, conf: Emotion, classes: int) -> nn.Sequential:
    """The SER baseline's classifier (the paper, section 3.1): one hidden layer."""
    return nn.Sequential(
        nn.Linear(inputs, conf.dim),
        nn.ReLU(),
        nn.Dropout(conf.dropout),
        nn.Linear(conf.dim, classes),
    )


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


class MlpFusion(nn.Module):
    """Each modality averaged and through its own SkipMlp; their concatenation classified."""

    def __init__(self, inputs: Sequence[int], conf: Emotion, classes: int) -> None:
        super().__init__()
        self.modalities = nn.ModuleList(
            SkipMlp(size, conf.dim, conf.skip, conf.dropout) for size in inputs
        )
        self.classify = nn.Linear(len(inputs) * conf.dim, classes)

    def forward(self, *modalities: States) -> Tensor:
        """Logits (N, classes)."""
        pairs = zip(self.modalities, modalities, strict=True)
        return self.classify(torch.cat([layers(average(states)) for layers, states in pairs], -1))


class ConcatFusion(nn.Module):
    """The averages of all modalities, concatenated, through the SER baseline's classifier."""

    def __init__(self, inputs: Sequence[int], conf: Emotion, classes: int) -> None:
        super().__init__()
        self.classify = output_mlp(sum(inputs), conf, classes)

    def forward(self, *modalities: States) -> Tensor:
        """Logits (N, classes)."""
        return self.classify(torch.cat([average(states) for states in modalities], -1))


class CoAttention(nn.Module):
    """Frames attend to tokens and tokens to frames; both results averaged, then classified.

    The co-attention of Li, Bell and Lai (ICASSP 2022), the paper's reference [2]: queries from one
    modality, keys and values from the other, added to the queries and normalised. There, a
    recogniser of its own gives a third input; here its encoder is the shared one.
    """

    def __init__(self, inputs: Sequence[int], conf: Emotion, classes: int) -> None:
        super().__init__()
        dim = conf.dim
        self.project = nn.ModuleList(nn.Linear(size, dim) for size in inputs)
        self.attend = nn.ModuleList(
            nn.MultiheadAttention(dim, conf.heads, conf.dropout, batch_first=True) for _ in inputs
        )
        self.norm = nn.ModuleList(nn.LayerNorm(dim) for _ in inputs)
        self.classify = nn.Linear(len(inputs) * dim, classes)

    def forward(self, acoustic: States, linguistic: States) -> Tensor:
        """Logits (N, classes)."""
        pair = [
            states._replace(hidden=project(states.hidden))
            for project, states in zip(self.project, (acoustic, linguistic), strict=True)
        ]
        pooled = []
        for i, (attend, norm) in enumerate(zip(self.attend, self.norm, strict=True)):
            own, other = pair[i], pair[1 - i]
            found, _ = attend(
                own.hidden,
                other.hidden,
                other.hidden,
                key_padding_mask=~other.mask,
                need_weights=False,
            )
            pooled.append(average(own._replace(hidden=norm(own.hidden + found))))
        return self.classify(torch.cat(pooled, -1))


KINDS = {"mlp": MlpFusion, "concat": ConcatFusion, "co_attention": CoAttention}


def build(inputs: Sequence[int], conf: Emotion, classes: int) -> nn.Module:
    """The conf's fusion of modalities whose embeddings have these sizes."""
    return KINDS[conf.fusion](inputs, conf, classes)
