"""Fusion of acoustic and linguistic sequences for emotion classification (paper, section 3.2)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from jointasr.config.schema import Emotion
from jointasr.utils.masks import valid_mask


class States(NamedTuple):
    """Hidden states of N sequences: frames of an utterance or tokens of a text."""

    hidden: Tensor
    """(N, L, D), padded at the end"""
    lengths: Tensor
    """valid positions (N,), on the host"""

    @property
    def mask(self) -> Tensor:
        """Mask (N, L), true for valid positions."""
        return valid_mask(self.lengths, self.hidden.shape[1], self.hidden.device)


def average(states: States) -> Tensor:
    """Return the mean (N, D) of the hidden states over valid positions."""
    weights = states.mask[..., None].to(states.hidden.dtype)
    return (states.hidden * weights).sum(1) / weights.sum(1)


def output_mlp(inputs: int, conf: Emotion, classes: int) -> nn.Sequential:
    """Return the classifier of the SER baseline (paper, section 3.1), with one hidden layer."""
    return nn.Sequential(
        nn.Linear(inputs, conf.dim),
        nn.ReLU(),
        nn.Dropout(conf.dropout),
        nn.Linear(conf.dim, classes),
    )


class SkipMlp(nn.Module):
    """MLP with a skip connection (paper, section 3.2).

    With x the projection of the input to ``dim``: x + Linear(ReLU(Linear(LayerNorm(x)))); without
    ``skip``, the second term only.
    """

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
        """Map (N, inputs) to (N, dim)."""
        x = self.project(x)
        y = self.layers(x)
        return x + y if self.skip else y


class MlpFusion(nn.Module):
    """Fusion of the paper (section 3.2).

    Each modality is averaged and transformed by its own SkipMlp; a linear layer classifies the
    concatenation.
    """

    def __init__(self, inputs: Sequence[int], conf: Emotion, classes: int) -> None:
        super().__init__()
        self.modalities = nn.ModuleList(
            SkipMlp(size, conf.dim, conf.skip, conf.dropout) for size in inputs
        )
        self.classify = nn.Linear(len(inputs) * conf.dim, classes)

    def forward(self, *modalities: States) -> Tensor:
        """Return logits (N, classes)."""
        pairs = zip(self.modalities, modalities, strict=True)
        return self.classify(torch.cat([layers(average(states)) for layers, states in pairs], -1))


class ConcatFusion(nn.Module):
    """The classifier of the SER baseline on the concatenated averages of all modalities."""

    def __init__(self, inputs: Sequence[int], conf: Emotion, classes: int) -> None:
        super().__init__()
        self.classify = output_mlp(sum(inputs), conf, classes)

    def forward(self, *modalities: States) -> Tensor:
        """Return logits (N, classes)."""
        return self.classify(torch.cat([average(states) for states in modalities], -1))


class CoAttention(nn.Module):
    """Co-attention of frames and tokens; both results are averaged and classified.

    Li, Bell and Lai, "Fusing ASR outputs in joint training for speech emotion recognition" (ICASSP
    2022), reference [2] of the paper: the queries come from one modality, the keys and values from
    the other; the result is added to the queries and normalised. Their third input, from the
    encoder of a separate recogniser, is omitted: here the encoder is shared.
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
        """Return logits (N, classes)."""
        pair = [
            states._replace(hidden=project(states.hidden))
            for project, states in zip(self.project, (acoustic, linguistic), strict=True)
        ]
        pooled = []
        for i, (attend, norm) in enumerate(zip(self.attend, self.norm, strict=True)):
            own, other = pair[i], pair[1 - i]
            attended, _ = attend(
                own.hidden,
                other.hidden,
                other.hidden,
                key_padding_mask=~other.mask,
                need_weights=False,
            )
            pooled.append(average(own._replace(hidden=norm(own.hidden + attended))))
        return self.classify(torch.cat(pooled, -1))


FUSIONS = {"mlp": MlpFusion, "concat": ConcatFusion, "co_attention": CoAttention}


def build(inputs: Sequence[int], conf: Emotion, classes: int) -> nn.Module:
    """Build the fusion module of ``conf``; ``inputs``: dimension of each modality."""
    return FUSIONS[conf.fusion](inputs, conf, classes)
