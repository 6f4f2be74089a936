"""Text encoder: a pretrained BERT-like model of transformers."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from jointasr.models import hub
from jointasr.models.fusion import States
from jointasr.utils.errors import DataError
from jointasr.utils.transfer import copy_to_device

ROLE = ("BERT", "--bert")
# avoids a warning of fast tokenizers in each forked process; texts here are short
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class EncodedTexts(NamedTuple):
    """Output of a text encoder for N texts."""

    states: States
    """hidden states of their tokens"""
    truncated: int
    """texts longer than the model's maximum length"""


class TextEncoder(nn.Module):
    """Encodes texts as hidden states of their tokens."""

    def __init__(self, model: Any, tokenizer: Any, freeze: bool) -> None:
        super().__init__()
        self.model, self.tokenizer, self.freeze = model, tokenizer, freeze
        config = model.config
        self.dim: int = config.hidden_size
        self.max_tokens: int = min(config.max_position_embeddings, tokenizer.model_max_length)
        if freeze:
            model.requires_grad_(False)

    def train(self, mode: bool = True) -> "TextEncoder":
        """Set the mode; a frozen model stays in eval mode."""
        super().train(mode)
        if self.freeze:
            self.model.eval()
        return self

    def forward(
        self, texts: list[str], word_posteriors: list[Tensor] | None = None
    ) -> EncodedTexts:
        """Encode N texts; an empty text has only the special tokens.

        ``word_posteriors``: for each text a tensor (words,) in 0..1. A word's input embedding is
        interpolated between that of [MASK] (0) and its own (1); gradients pass through the weight.
        """
        # Cased models cannot spell words in capitals. Texts of mixed case are unchanged.
        texts = [text.lower() if text.isupper() else text for text in texts]
        inputs: dict[str, Any] = {"text": texts}
        if word_posteriors is not None:
            inputs = {"text": [text.split() for text in texts], "is_split_into_words": True}
        ids = self.tokenizer(**inputs, truncation=False, verbose=False)["input_ids"]
        truncated = sum(len(row) > self.max_tokens for row in ids)
        tokens = self.tokenizer(
            **inputs,
            padding=True,
            truncation=True,
            max_length=self.max_tokens,
            return_tensors="pt",
        )
        device = next(self.model.parameters()).device
        lengths = tokens["attention_mask"].sum(1)
        tensors = {name: copy_to_device(values, device) for name, values in tokens.items()}
        if word_posteriors is not None:
            words = [tokens.word_ids(row) for row in range(len(texts))]
            ids = tensors.pop("input_ids")
            tensors["inputs_embeds"] = self._soft_embeddings(ids, words, word_posteriors)
        return EncodedTexts(States(self.model(**tensors).last_hidden_state, lengths), truncated)

    def _soft_embeddings(
        self, ids: Tensor, words: list[list[int | None]], word_posteriors: list[Tensor]
    ) -> Tensor:
        """Return embeddings (N, L, D) of token ids, interpolated with that of [MASK].

        ``words``: index of each token's word; None for special tokens and padding, which keep their
        own embedding.
        """
        embed = self.model.get_input_embeddings()
        if self.tokenizer.mask_token_id is None:
            raise DataError("emotion.transcript soft needs a text model that has a mask token")
        certain = word_posteriors[0].new_ones(1)
        weights = torch.stack(
            [
                torch.cat([certain, probs])[[0 if word is None else word + 1 for word in row]]
                for row, probs in zip(words, word_posteriors, strict=True)
            ]
        )[..., None]
        mask = embed(torch.full_like(ids[:1, :1], self.tokenizer.mask_token_id))
        return weights * embed(ids) + (1 - weights) * mask

    def save_config(self, folder: Path) -> None:
        """Write the architecture and the tokenizer, without weights, for ``from_config``."""
        self.model.config.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)


def load(model: str, freeze: bool = False) -> TextEncoder:
    """Load a pretrained model by hub id or folder. Raises DataError if it is not available."""
    network = hub.load_weights(AutoModel, model, hub.load_config(model, *ROLE), *ROLE)
    return TextEncoder(network, hub.load_tokenizer(model, *ROLE), freeze)


def from_config(folder: Path, freeze: bool = False) -> TextEncoder:
    """Build a model with random weights from the files that ``save_config`` wrote."""
    network = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    return TextEncoder(network, AutoTokenizer.from_pretrained(folder), freeze)
