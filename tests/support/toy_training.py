"""A recipe folder with one fold of tones, and trainings of tiny models in it.

The fixtures are listed in conftest.py; the functions are imported from here.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny
from lhotse import CutSet

from jointasr.bin import decode as decode_bin
from jointasr.bin import train as train_bin
from jointasr.data import manifest
from jointasr.models import checkpoint

FOLD = "data/folds/speaker/Ses01F"
ENGINE = "k2" if find_spec("k2") else "torch"
FAST = [
    "optim.encoder.lr=3e-3",
    "optim.head.lr=5e-3",
    "optim.bert.lr=3e-3",
    "encoder.dropout=0",
    "encoder.layerdrop=0",
    "augment.max_chunks=0",
    "train.log_every=5",
]


@pytest.fixture(scope="module")
def toy_recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe folder with fold Ses01F: tones of tiny.py. Tests may write into ``exp``."""
    recipe = tmp_path_factory.mktemp("recipe")
    tiny.make_fold(recipe / FOLD)
    (recipe / "conf").mkdir()
    (recipe / "conf/tests.tsv").write_text("clean - -\nnoise_snr5 noise 5\n")
    return recipe


@pytest.fixture
def recipe(toy_recipe: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``toy_recipe``, as the current folder."""
    monkeypatch.chdir(toy_recipe)
    return toy_recipe


def fold_cuts() -> tuple[CutSet, CutSet]:
    """Cuts of the fold's train_clean and dev_clean."""
    return manifest.load(Path(FOLD) / "train_clean"), manifest.load(Path(FOLD) / "dev_clean")


def initial_model(models: Path, name: str, *overrides: str) -> checkpoint.TrainedModel:
    """A system of a shipped conf before training, tiny, with the torch engine."""
    return tiny.build_model(tiny.conf(models, name, *FAST, *overrides))


def train(
    monkeypatch: pytest.MonkeyPatch, models: Path, name: str, *overrides: str, conf: str = ""
) -> Path:
    """Run bin/train; return the model's folder."""
    out = Path("exp") / f"{name}_clean" / "fold_Ses01F"
    settings = [*tiny.settings(models), f"ctc={ENGINE}", *FAST, *overrides]
    argv = ["train", "--conf", conf or f"{name}.yaml", "--data", FOLD]
    argv += ["--condition", "clean", "--name", name, "--fold", "Ses01F", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*argv, "--set", *settings])
    train_bin.main()
    return out


def decode_all(monkeypatch: pytest.MonkeyPatch, out: Path, *options: str) -> None:
    """Run bin/decode on every test set of conf/tests.tsv."""
    argv = ["decode", "--model", str(out), "--tests", "conf/tests.tsv", *options]
    monkeypatch.setattr(sys, "argv", argv)
    decode_bin.main()
