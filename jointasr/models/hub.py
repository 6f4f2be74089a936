"""Checkpoints of transformers by hub id or folder, with errors that say what to do."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.utils import logging as hub_logging
from transformers import AutoConfig, AutoTokenizer
from transformers.utils import cached_file, logging

from jointasr.utils.errors import DataError

CONFIG, PICKLED = "config.json", "pytorch_model.bin"
# parameters that transformers makes but we never use: masks of its own SpecAugment, BERT's pooler
UNUSED = re.compile(r"(^|\.)(masked_spec_embed$|pooler\.|embeddings\.position_ids$)")


def config(model: str, what: str, option: str) -> Any:
    """The configuration of a model; ``what`` it is and the ``option`` that names another folder.

    Raises DataError where ``model`` is neither a model folder nor to be had from the hub.
    """
    if Path(model).is_dir() and not (Path(model) / CONFIG).is_file():
        raise DataError(f"{what} {model}: no {CONFIG} in it, so not a transformers model folder")
    with _user_errors(model, what, option), _quiet():
        return AutoConfig.from_pretrained(model)


def weights(kind: Any, model: str, config: Any, what: str, option: str) -> Any:
    """The pretrained ``kind`` (AutoModel ...) of ``model``.

    Raises DataError where weights are missing or of another shape: transformers would leave those
    parameters random and say so in a warning. Pickled weights are read by torch 2.6 and newer only,
    which load nothing but tensors from them; older ones can be made to run code (CVE-2025-32434).
    """
    safe = None if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 6) else True
    if safe and (Path(model) / PICKLED).is_file() and not any(Path(model).glob("*.safetensors")):
        raise DataError(
            f"{what} {model}: its weights are pickled ({PICKLED}), and torch {torch.__version__} "
            "cannot read these safely; save them again as safetensors, or use a newer torch"
        )
    with _user_errors(model, what, option), _quiet():
        try:
            network, report = kind.from_pretrained(
                model,
                config=config,
                output_loading_info=True,
                use_safetensors=safe,
                weights_only=True,
            )
        except (OSError, ValueError, ImportError):
            raise
        except Exception as error:  # whatever a damaged file, or one that is a program, leads to
            reason = str(error).splitlines()[0]
            raise ValueError(f"its weights cannot be read: {reason}") from None
    missing = sorted(name for name in report["missing_keys"] if not UNUSED.search(name))
    wrong = sorted(str(name) for name in report["mismatched_keys"])
    if missing or wrong:
        raise DataError(
            f"{what} {model}: its weights do not fit its {CONFIG}: {(missing + wrong)[0]} "
            f"and {len(missing + wrong) - 1} more are missing or of another shape"
        )
    return network


def tokenizer(model: str, what: str, option: str) -> Any:
    """The tokenizer of a text model."""
    with _user_errors(model, what, option):
        return AutoTokenizer.from_pretrained(model)


def file(model: str, name: str) -> Path | None:
    """A file of a model, or None where it has no such file."""
    found = cached_file(model, name, _raise_exceptions_for_missing_entries=False)
    return None if found is None else Path(found)


def folder(model: str) -> Path:
    """A folder as it is, or all files of a hub id. Raises DataError where there is neither."""
    if Path(model).is_dir():
        return Path(model)
    with _user_errors(model, "model", "--model"), _quiet():
        return Path(snapshot_download(model))


@contextmanager
def _user_errors(model: str, what: str, option: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"{what} {model}: neither a complete model folder nor to be had from the hub "
            f"({reason}); download it first or give {option} FOLDER"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """No report of weights left out (a task's head, say), of each attempt to reach the hub, and no
    progress bars in a log."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub_level = hub_logging.get_verbosity()
    logging.set_verbosity_error()
    hub_logging.set_verbosity_error()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        hub_logging.set_verbosity(hub_level)
        if bars:
            logging.enable_progress_bar()
