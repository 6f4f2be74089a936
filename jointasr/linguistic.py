"""The linguistic branch: a BERT-like encoder over transcripts, averaged over tokens."""

import os
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from jointasr import hub

NAMES = ("BERT", "--bert")
# fast tokenizers warn at each fork of a process that used their threads; texts here are short
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class Linguistic(nn.Module):
    """Texts in, one embedding (dim,) each out: the mean over the text's tokens.

    ``truncated`` counts texts longer than the model's positions.
    """

    def __init__(self, model: Any, tokenizer: Any, freeze: bool) -> None:
        super().__init__()
        self.model, self.tokenizer, self.freeze = model, tokenizer, freeze
        config = model.config
        self.dim: int = config.hidden_size
        self.positions: int = min(config.max_position_embeddings, tokenizer.model_max_length)
        self.truncated = 0
        if freeze:
            model.requires_grad_(False)

    def train(self, mode: bool = True) -> "Linguistic":
        """As usual, but a frozen model stays in eval mode."""
        super().train(mode)
        if self.freeze:
            self.model.eval()
        return self

    def forward(self, texts: list[str]) -> Tensor:
        """Embeddings (N, dim) of N texts; an empty one is represented by the special tokens."""
        texts = [text.lower() for text in texts]  # ours are upper case, which cased models spell
        full = self.tokenizer(texts, truncation=False, verbose=False)["input_ids"]
        self.truncated += sum(len(ids) > self.positions for ids in full)
        tokens = self.tokenizer(
            texts,
            padding=True,
            truncation=True,
            max_length=self.positions,
            return_tensors="pt",
        ).to(next(self.model.parameters()).device)
        hidden = self.model(**tokens).last_hidden_state
        mask = tokens["attention_mask"][..., None].to(hidden.dtype)
        return (hidden * mask).sum(1) / mask.sum(1)

    def save_config(self, folder: Path) -> None:
        """Write what ``from_config`` needs: architecture and tokenizer, no weights."""
        self.model.config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load(model: str, freeze: bool = False) -> Linguistic:
    """The pretrained model of that hub id or folder. Raises DataError where there is none."""
    network = hub.weights(AutoModel, model, hub.config(model, *NAMES), *NAMES)
    tokenizer = hub.tokenizer(model, *NAMES)
    return Linguistic(network, tokenizer, freeze)


def from_config(folder: Path, freeze: bool = False) -> Linguistic:
    """A model of the architecture that ``save_config`` wrote, its weights still random."""
    network = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    return Linguistic(network, AutoTokenizer.from_pretrained(folder), freeze)
