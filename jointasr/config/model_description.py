"""``model.json``: what a trained model is and what it was trained on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointasr.config import layout
from jointasr.utils import files
from jointasr.utils.errors import DataError

HAS_WORDS = ("asr", "joint")
"""kinds of systems that output transcripts"""
HAS_EMOTIONS = ("ser", "joint")
"""kinds of systems that output emotions"""


@dataclass(frozen=True)
class ModelDescription:
    """One trained model; paths are relative to the recipe."""

    system: str
    """name: the conf file's stem, with ``-s<k>`` for seed k > 0"""
    kind: str
    """asr, ser or joint"""
    conf: str
    """conf file"""
    seed: int
    train: str
    """training condition: clean or noisy"""
    fold: str
    engine: str
    """of CTC: k2 or torch"""
    stack: str
    """software stack: k2, k2-pypi or torch"""
    lang: str
    """lang folder"""
    data: str
    """fold folder"""
    commit: str
    """of the project, at the time of training"""
    budget: dict[str, int]
    """epochs, optimizer steps, utterances and dev_utterances of the data dirs, and useful: training
    utterances with a label that the system learns from"""
    selected: dict[str, Any]
    """the best epoch: ``on`` which dev dir, ``epoch`` (from 1), its ``loss``, ``wer``, ``wa`` there
    and ``error``, the criterion that it minimizes"""


def read_model(model_dir: Path) -> ModelDescription:
    """Read ``model_dir/model.json``.

    Raises DataError if it is damaged or describes the model of another folder.
    """
    path = model_dir / layout.MODEL_JSON
    try:
        model = ModelDescription(**json.loads(files.read_text(path)))
    except (TypeError, ValueError) as error:
        raise DataError(f"{path}: not a model description ({error}); train it again") from None
    expected = layout.model_dir(layout.system_dir(Path(), model.system, model.train), model.fold)
    if (model_dir.parent.name, model_dir.name) != (expected.parent.name, expected.name):
        raise DataError(f"{path}: describes {expected}, not this folder; was it moved?")
    return model
