"""What every test shares: no network, no model hub, small models made once."""

import os
import signal

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
from tiny import make_bert, make_wav2vec2

pytest_plugins = ["toy_training", "oracle", "slurm_cluster"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """How often the kill tests kill, and how long the parsers are fuzzed; more than CI has time
    for."""
    parser.addoption("--kills", default=8, type=int, help="kills of the short recipe")
    parser.addoption("--resumes", default=5, type=int, help="resumes of a training")
    parser.addoption("--fuzz-minutes", default=0.0, type=float, help="in all (0: 80 files each)")


def pytest_configure() -> None:
    """Heed Ctrl-C and hang-ups: shells start background jobs, and nohup all, deaf to them, and
    children inherit."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny checkpoints in the hub's layout: layer, group (wav2vec2 with CTC heads) and bert."""
    folder = tmp_path_factory.mktemp("models")
    make_wav2vec2(folder / "layer", "layer")
    make_wav2vec2(folder / "group", "group")
    make_bert(folder / "bert")
    return folder
