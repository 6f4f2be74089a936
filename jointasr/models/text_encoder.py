"""The linguistic branch: a BERT-like encoder over transcripts."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from jointasr.models import hub
from jointasr.models.fusion import States
from jointasr.utils.errors import DataError
from jointasr.utils.transfer import copy_to_device

NAMES = ("BERT", "--bert")
# fast tokenizers warn at each fork of a process that used their threads; texts here are short
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class TextEncoder(nn.Module):
    """Texts in, the hidden states of their tokens out.

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

    def train(self, mode: bool = True) -> "TextEncoder":
        """As usual, but a frozen model stays in eval mode."""
        super().train(mode)
        if self.freeze:
            self.model.eval()
        return self

    def forward(self, texts: list[str], certainty: list[Tensor] | None = None) -> States:
        """States of N texts' tokens; an empty text has the special tokens only.

        ``certainty``: of each text's words, 0 to 1, each (words,). A word's embedding is
        interpolated between [MASK]'s (0) and its own (1), and gradients pass into it.
        """
        # capitals throughout, which cased models spell; alphabets of both cases are left alone
        texts = [text.lower() if text.isupper() else text for text in texts]
        read: dict[str, Any] = {"text": texts}
        if certainty is not None:
            read = {"text": [text.split() for text in texts], "is_split_into_words": True}
        full = self.tokenizer(**read, truncation=False, verbose=False)["input_ids"]
        self.truncated += sum(len(ids) > self.positions for ids in full)
        tokens = self.tokenizer(
            **read,
            padding=True,
            truncation=True,
            max_length=self.positions,
            return_tensors="pt",
        )
        device = next(self.model.parameters()).device
        counts = tokens["attention_mask"].sum(1)
        inputs = {name: copy_to_device(values, device) for name, values in tokens.items()}
        if certainty is not None:
            rows = [tokens.word_ids(row) for row in range(len(texts))]
            inputs["inputs_embeds"] = self._faded(inputs.pop("input_ids"), rows, certainty)
        hidden = self.model(**inputs).last_hidden_state
        return States(hidden, counts)

    def _faded(self, ids: Tensor, words: list[list[int | None]], certainty: list[Tensor]) -> Tensor:
        """Embeddings (N, L, D) of token ids, faded into [MASK] where their word is uncertain."""
        embed = self.model.get_input_embeddings()
        if self.tokenizer.mask_token_id is None:
            raise DataError("emotion.transcript soft needs a text model that has a mask token")
        sure = certainty[0].new_ones(1)  # special tokens and padding are what they are
        weights = torch.stack(
            [
                torch.cat([sure, each])[[0 if word is None else word + 1 for word in row]]
                for row, each in zip(words, certainty, strict=True)
            ]
        )[..., None]
        mask = embed(torch.full_like(ids[:1, :1], self.tokenizer.mask_token_id))
        return weights * embed(ids) + (1 - weights) * mask

    def save_config(self, folder: Path) -> None:
        """Write what ``from_config`` needs: architecture and tokenizer, no weights."""
        self.model.config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load(model: str, freeze: bool = False) -> TextEncoder:
    """The pretrained model of that hub id or folder. Raises DataError where there is none."""
    network = hub.weights(AutoModel, model, hub.config(model, *NAMES), *NAMES)
    tokenizer = hub.tokenizer(model, *NAMES)
    return TextEncoder(network, tokenizer, freeze)


def from_config(folder: Path, freeze: bool = False) -> TextEncoder:
    """A model of the architecture that ``save_config`` wrote, its weights still random."""
    network = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    return TextEncoder(network, AutoTokenizer.from_pretrained(folder), freeze)
