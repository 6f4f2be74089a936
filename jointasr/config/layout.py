"""Names in exp/: trained models, what their model.json says, and their decode folders."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointasr.utils import files
from jointasr.utils.errors import DataError

DEFAULT_METHOD = "default"
HAS_WORDS = ("asr", "joint")  # kinds of systems
HAS_EMOTIONS = ("ser", "joint")
HISTORY = "epochs.tsv"
RESUME = "resume"  # folder of an unfinished training's states, in its own
HISTORY_HEADER = "epoch\tsteps\ttrain_loss\tdev_loss\tdev_wer\tdev_wa"


@dataclass(frozen=True)
class ModelDescription:
    """One trained model, as its model.json describes it (paths relative to the recipe)."""

    system: str
    kind: str
    conf: str
    seed: int
    train: str
    fold: str
    engine: str
    stack: str
    lang: str
    data: str
    commit: str
    budget: dict[str, int]
    """epochs, steps of the optimiser, utterances and dev_utterances of the data dirs, and how many
    of the former are useful, having what the system learns from"""
    selected: dict[str, Any]
    """the model kept: ``on`` which dev dir, ``epoch`` (from 1), its ``loss``, ``wer``, ``wa`` there
    and ``error``, which no other epoch had less of"""


def read_model(home: Path) -> ModelDescription:
    """Read fold_<fold>/model.json; DataError when it is not about this folder."""
    path = home / "model.json"
    try:
        model = ModelDescription(**json.loads(files.read_text(path)))
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: not a model's description ({error}); train it again") from None
    if (home.parent.name, home.name) != (f"{model.system}_{model.train}", f"fold_{model.fold}"):
        raise DataError(
            f"{path}: describes {model.system}_{model.train}/fold_{model.fold}; moved by hand?"
        )
    return model


def decode_name(test: str, method: str) -> str:
    """Name of the folder that holds the hypotheses."""
    return f"decode_{test}" + _ending(method)


def model_name(order: int) -> str:
    """Name of the folder of a fold's n-gram model."""
    return f"lm_{order}gram"


def align_name(test: str, of: str, method: str) -> str:
    """Name of the folder that holds alignments of references ("ref") or hypotheses ("hyp")."""
    return f"align_{test}_ref" if of == "ref" else f"align_{test}_hyp" + _ending(method)


def _ending(method: str) -> str:
    return "" if method == DEFAULT_METHOD else f"_{method}"
