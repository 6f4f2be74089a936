"""The initial models of the mini recipe: an untrained encoder and a small BERT.

The encoder is a wav2vec2 with two convolutions instead of seven, which take a quarter of the time
on a CPU; the first one is initialised as a mel filter bank. Stage 6 pretrains it on other voices.
The BERT has random weights and a vocabulary of words, and of letters for unknown words.
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor
from transformers import BertConfig, BertModel, BertTokenizerFast, Wav2Vec2Config, Wav2Vec2Model

from jointasr.models.encoder import PREPROCESSOR, RATE

BANDS, PHASES, WINDOW, HOP = 32, 4, 400, 160


def make_encoder(folder: Path, seed: int) -> None:
    """Write an encoder whose first layer is a filter bank; other weights are random."""
    torch.manual_seed(seed)
    config = Wav2Vec2Config(
        hidden_size=128,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=512,
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        conv_bias=True,
        conv_dim=(BANDS * PHASES, BANDS * PHASES),
        conv_kernel=(WINDOW, 3),
        conv_stride=(HOP, 2),
        num_feat_extract_layers=2,
        num_conv_pos_embeddings=32,
        num_conv_pos_embedding_groups=8,
    )
    model = Wav2Vec2Model(config)
    first, second = (layer.conv for layer in model.feature_extractor.conv_layers)
    with torch.no_grad():
        first.weight.copy_(filter_bank()[:, None])
        first.bias.zero_()
        second.weight.copy_(phase_sums() + 0.02 * torch.randn(second.weight.shape))
        second.bias.zero_()
    model.save_pretrained(folder)
    text = json.dumps({"do_normalize": True, "sampling_rate": RATE})
    (folder / PREPROCESSOR).write_text(text + "\n", encoding="utf-8")


def filter_bank() -> Tensor:
    """Return Gaussian-windowed cosines (BANDS * PHASES, WINDOW): mel-spaced, four phases each."""
    top, bottom = (2595 * math.log10(1 + hertz / 700) for hertz in (7600, 60))
    mels = bottom + (top - bottom) * torch.linspace(0, 1, BANDS)
    centres = 700 * (10 ** (mels / 2595) - 1)
    time = (torch.arange(WINDOW) - (WINDOW - 1) / 2) / RATE
    width = torch.clamp(2.0 / (0.25 * centres + 60), max=WINDOW / RATE / 4)
    phases = 2 * math.pi * torch.arange(PHASES) / PHASES
    angle = 2 * math.pi * centres[:, None, None] * time + phases[:, None]
    waves = torch.cos(angle) * torch.exp(-0.5 * (time / width[:, None, None]) ** 2)
    return (waves / waves.norm(dim=-1, keepdim=True)).reshape(BANDS * PHASES, WINDOW)


def phase_sums() -> Tensor:
    """Return weights (BANDS * PHASES, BANDS * PHASES, 3) that sum over the phases of each band.

    Of the four outputs of a band, three have the sums of one frame each, the last of all three.
    """
    weight = torch.zeros(BANDS, PHASES, BANDS, PHASES, 3)
    for band in range(BANDS):
        for tap in range(3):
            weight[band, tap, band, :, tap] = 0.5
        weight[band, 3, band] = 0.2
    return weight.reshape(BANDS * PHASES, BANDS * PHASES, 3)


def make_bert(folder: Path, words: Iterable[str], seed: int) -> None:
    """Write a BERT with two layers of size 64 and random weights, and its vocabulary."""
    torch.manual_seed(seed)
    letters = ["'", *"abcdefghijklmnopqrstuvwxyz"]
    full_words = sorted({word.lower() for word in words} - set(letters))
    pieces = [*letters, *(f"##{letter}" for letter in letters), *full_words]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", encoding="utf-8")
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=128)
    tokenizer.save_pretrained(folder)
