"""Options, marks and fixtures of all tests. No test uses the network or a model hub."""

import os
import signal

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import pytest
from tiny import make_bert, make_wav2vec2

pytest_plugins = ["toy_training", "oracle", "slurm_cluster", "short_recipe"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options for what CI has no time for."""
    parser.addoption("--full", action="store_true", help="also run the tests marked `full`")
    parser.addoption("--kills", type=int, help="kills of the short recipe (default: 2; full: 8)")
    parser.addoption("--resumes", type=int, help="resumes of a training (default: 2; full: 5)")
    parser.addoption("--fuzz-minutes", default=0.0, type=float, help="in all (0: 80 files each)")


def pytest_configure(config: pytest.Config) -> None:
    """Handle Ctrl-C and hang-ups: background jobs of shells, and nohup, ignore them, and children
    inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    full = config.option.full
    for name, small, large in (("kills", 2, 8), ("resumes", 2, 5)):
        if getattr(config.option, name) is None:
            setattr(config.option, name, large if full else small)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests marked `full` unless --full is given."""
    if config.option.full:
        return
    deselected = [item for item in items if item.get_closest_marker("full")]
    items[:] = [item for item in items if not item.get_closest_marker("full")]
    config.hook.pytest_deselected(items=deselected)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny checkpoints in the hub's layout: layer, group (wav2vec2 with CTC heads) and bert."""
    folder = tmp_path_factory.mktemp("models")
    make_wav2vec2(folder / "layer", "layer")
    make_wav2vec2(folder / "group", "group")
    make_bert(folder / "bert")
    return folder
