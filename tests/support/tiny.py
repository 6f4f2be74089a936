"""Tiny models in the hub's file layout, and a small corpus of tones that they can learn.

A letter is a tone of 60 ms; an emotion is a low tone during the entire utterance. Seeds are fixed.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data_fixtures import RATE, cut_of, write_wav
from lhotse import CutSet, MonoCut
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizerFast,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
)

from jointasr.config import conf_files, schema
from jointasr.data import manifest
from jointasr.data.batch import Batch, pad
from jointasr.models import checkpoint, systems
from jointasr.text.lang import Units, write_labels

LABELS = ["ang", "hap", "neu", "sad"]
LETTERS = "ABDEGLMOR"
WORDS = ("BAD", "GOOD", "ROAD", "GAME", "LAMB", "OLD", "MEAL", "DREAM")
LETTER, PAUSE = 960, 640  # samples
# the real head's order: our blank is its <pad>, our space its |
VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", "|", *"ETAONIHSRDLUMWCFGYPBVK'XJQZ"]
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "conv_dim": (32, 32),
    "conv_kernel": (400, 3),
    "conv_stride": (160, 2),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


def make_wav2vec2(folder: Path, norm: str, vocabulary: list[str] = VOCABULARY) -> Path:
    """Write a wav2vec2 with a CTC head, like facebook/wav2vec2-large-960h-lv60-self or -base-960h.

    Its first layer is a filter bank, so that frozen convolutions distinguish tones.
    """
    torch.manual_seed(0)
    sizes = {**SIZES, "feat_extract_norm": norm, "vocab_size": len(vocabulary), "pad_token_id": 0}
    stable = norm == "layer"
    model = Wav2Vec2ForCTC(
        Wav2Vec2Config(**sizes, do_stable_layer_norm=stable, conv_bias=stable, mask_time_prob=0.05)
    )
    with torch.no_grad():
        first = model.wav2vec2.feature_extractor.conv_layers[0].conv
        first.weight.copy_(filter_bank(32, 400)[:, None])
    return save(model, folder, normalise=stable, vocabulary=vocabulary)


def save(model: Any, folder: Path, normalise: bool, vocabulary: list[str] | None = None) -> Path:
    """Write a checkpoint in the hub's format."""
    model.eval().save_pretrained(folder)
    text = json.dumps({"do_normalize": normalise, "sampling_rate": RATE})
    (folder / "preprocessor_config.json").write_text(text)
    if vocabulary is not None:
        numbered = {symbol: index for index, symbol in enumerate(vocabulary)}
        (folder / "vocab.json").write_text(json.dumps(numbered))
    return folder


def filter_bank(bands: int, width: int) -> torch.Tensor:
    """Windowed cosines (bands, width) between 100 and 3500 Hz."""
    hertz = torch.logspace(math.log10(100), math.log10(3500), bands)
    time = torch.arange(width) / RATE
    waves = torch.cos(2 * math.pi * hertz[:, None] * time) * torch.hann_window(width)
    return waves / waves.norm(dim=1, keepdim=True)


def make_bert(folder: Path) -> Path:
    """Write a BERT of one layer whose vocabulary is the letters."""
    torch.manual_seed(1)
    letters = "'abcdefghijklmnopqrstuvwxyz"
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = [*special, *letters, *(f"##{letter}" for letter in letters)]
    folder.mkdir(parents=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    BertModel(
        BertConfig(
            vocab_size=len(vocabulary),
            intermediate_size=64,
            max_position_embeddings=64,
            **sizes,
        )
    ).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    return folder


def conf(models: Path, name: str = "joint.yaml", *overrides: str, norm: str = "layer") -> Any:
    """A shipped configuration with tiny models and the torch engine."""
    return conf_files.load(name, Path(), [*settings(models, norm), *overrides])


def settings(models: Path, norm: str = "layer") -> list[str]:
    """Overrides that make any configuration tiny."""
    return [
        f"encoder.model={models / norm}",
        f"bert.model={models / 'bert'}",
        "ctc=torch",
        "emotion.dim=16",
        "batch.workers=0",
        "batch.max_duration=6",
    ]


def build_model(conf: schema.Config, units: Units | None = None) -> checkpoint.TrainedModel:
    """An untrained system, always the same; its units are characters by default."""
    torch.manual_seed(0)
    return checkpoint.initial(conf, units or Units.char(), LABELS)


def batch(units: Units) -> Batch:
    """Four utterances of very different lengths."""
    texts, emotions = ["GOOD ROAD", "A", "OLD DREAM GAME", "MEAL"], ["hap", "sad", "ang", "neu"]
    waves = [
        tones(text, emotion, seed).astype("float32") / 32768
        for seed, (text, emotion) in enumerate(zip(texts, emotions, strict=True))
    ]
    return Batch(
        [f"utterance-{row}" for row in range(len(texts))],
        pad(waves),
        torch.tensor([len(wave) for wave in waves]),
        texts,
        [units.encode(text) for text in texts],
        torch.tensor([LABELS.index(emotion) for emotion in emotions]),
        len(texts),
    )


def forward(model: checkpoint.TrainedModel, data: Batch) -> systems.Output:
    """The system's outputs for a batch."""
    return systems.forward(model.system, data.waves, data.lengths, data.texts)


def tones(text: str, emotion: str, seed: int, stretch: float = 1.0) -> np.ndarray:
    """An utterance of ``text``, int16."""
    generator = np.random.default_rng(seed)
    letter, pause = int(LETTER * stretch), int(PAUSE * stretch)
    parts = [np.zeros(pause)]
    for character in text:
        if character == " ":
            parts.append(np.zeros(2 * pause))
            continue
        hertz = 400 * 1.24 ** LETTERS.index(character)
        parts.append(np.sin(2 * np.pi * hertz * np.arange(letter) / RATE) * np.hanning(letter))
        parts.append(np.zeros(pause // 2))
    wave = np.concatenate([*parts, np.zeros(pause)])
    low = 110 * 1.3 ** LABELS.index(emotion)
    wave += 0.5 * np.sin(2 * np.pi * low * np.arange(len(wave)) / RATE)
    wave += 0.02 * generator.standard_normal(len(wave))
    return np.asarray(np.rint(wave * 6000), np.int16)


def utterances(folder: Path, count: int, seed: int, words: int = 2) -> CutSet:
    """Write ``count`` utterances of 1 to ``words`` words below ``folder``; return their cuts."""
    generator = np.random.default_rng(seed)
    cuts: list[MonoCut] = []
    for number in range(count):
        text = " ".join(generator.choice(WORDS, 1 + number % words))
        emotion = LABELS[int(generator.integers(4))]
        name = f"Ses01F-Ses01F_impro{seed:02d}_F{number:03d}"
        wave = tones(text, emotion, 1000 * seed + number, 0.9 + 0.2 * float(generator.random()))
        path = write_wav(folder / f"{name}.wav", wave)
        cuts.append(cut_of(path, name, len(wave), text=text, emotion=emotion))
    return CutSet.from_cuts(cuts)


def make_fold(folder: Path, train: int = 24, dev: int = 8) -> Path:
    """Write a fold: train_clean, dev_clean, test_clean, test_noise_snr5 and lang_char."""
    sizes = {"train_clean": train, "dev_clean": dev, "test_clean": 6, "test_noise_snr5": 5}
    for seed, (name, count) in enumerate(sizes.items(), 1):
        cuts = utterances(folder / "wavs" / name, count, seed)
        manifest.write(cuts, folder / name, parts=False)
        (folder / name / ".done").write_text("{}\n")
    Units.char().save(folder / "lang_char")
    write_labels(folder / "lang_char", LABELS)
    (folder / "lang_char" / ".done").write_text("{}\n")
    return folder
