"""A model that recognizes the tones of tiny.py untrained, and a recipe with such a model packed."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from data_fixtures import RATE
from toy_training import initial_model

from jointasr.inference import packing
from jointasr.models import checkpoint, systems
from jointasr.text.lang import Units
from jointasr.utils import files

CHARACTERS = Units.char().symbols


def forward(
    system: Any, waves: torch.Tensor, lengths: torch.Tensor, texts: object = None
) -> systems.Output:
    """Replacement of ``systems.forward``: what a model that has learned the tones would output.

    The letter of a frame is its loudest tone, a longer pause between letters is a space, and the
    low tone is the emotion.
    """
    frames = system.encoder.frames(lengths)
    log_probs = torch.full((len(waves), int(frames.max()), len(CHARACTERS)), 0.001)
    emotions = torch.zeros(len(waves), len(tiny.LABELS))
    for row, wave in enumerate(waves.numpy()):
        labels = _frame_labels(wave[: int(lengths[row])], int(frames[row]))
        log_probs[row, torch.arange(len(labels)), torch.tensor(labels)] = 0.97
        low = 110 * 1.3 ** np.arange(len(tiny.LABELS))
        emotions[row] = torch.from_numpy(5 * _amplitudes(wave[: int(lengths[row])], low))
    return systems.Output(frames, log_probs.log(), emotions)


def _amplitudes(wave: np.ndarray, hertz: np.ndarray) -> np.ndarray:
    """Mean amplitudes of tones in a windowed segment, at most 1."""
    window = np.hanning(len(wave) + 2)[1:-1]
    tones = np.exp(2j * np.pi * hertz[:, None] * np.arange(len(wave)) / RATE)
    return np.asarray(np.abs(tones @ (wave * window)) / window.sum())


def _frame_labels(wave: np.ndarray, frames: int) -> list[int]:
    hertz = 400 * 1.24 ** np.arange(len(tiny.LETTERS))
    padded = np.pad(wave, (160, 800))
    labels = []
    for frame in range(frames):
        loudness = _amplitudes(padded[320 * frame : 320 * frame + 640], hertz)
        letter = tiny.LETTERS[int(loudness.argmax())]
        labels.append(CHARACTERS.index(letter) if loudness.max() > 0.02 else 0)
    voiced = [frame for frame, label in enumerate(labels) if label]
    for before, after in pairwise(voiced):
        if after - before > 4:
            labels[(before + after) // 2] = CHARACTERS.index("|")
    return labels


@pytest.fixture
def oracle_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model recognizes tones; without this fixture models are untrained."""
    monkeypatch.setattr(systems, "forward", forward)


@pytest.fixture(scope="module")
def packed_recipe(toy_recipe: Path, models: Path) -> Path:
    """``toy_recipe`` with a joint model, packed to ``model`` while it recognizes tones."""
    out = toy_recipe / "exp/joint_clean/fold_Ses01F"
    checkpoint.save(out / "best", initial_model(models, "joint.yaml"))
    meta = dict.fromkeys(("system", "kind", "conf", "stack", "commit"), "joint")
    meta |= {"seed": 0, "train": "clean", "fold": "Ses01F", "engine": "torch"}
    meta |= {"budget": {"utterances": 24, "epochs": 3, "dev_utterances": 8, "steps": 9}}
    meta |= {"selected": {"on": "data/folds/speaker/Ses01F/dev_clean"}}
    meta |= {"lang": "data/folds/speaker/Ses01F/lang_char", "data": "data/folds/speaker/Ses01F"}
    files.write_json(out / "model.json", meta)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(toy_recipe)
        patch.setattr(systems, "forward", forward)
        packing.pack(out, Path("model"), "default", torch.device("cpu"))
    return toy_recipe
