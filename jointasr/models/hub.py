"""Load checkpoints of transformers by hub id or folder, with errors that name a remedy."""

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
# created by transformers but not used here: the masks of its SpecAugment, BERT's pooler
UNUSED = re.compile(r"(^|\.)(masked_spec_embed$|pooler\.|embeddings\.position_ids$)")


def load_config(model: str, role: str, option: str) -> Any:
    """Load the configuration of a model.

    ``role`` (encoder, BERT) and ``option``, which sets a local folder, are for error messages.
    Raises DataError if ``model`` is neither a model folder nor available from the hub.
    """
    if Path(model).is_dir() and not (Path(model) / CONFIG).is_file():
        raise DataError(f"{role} {model}: no {CONFIG} in it, so not a transformers model folder")
    with _explain_errors(model, role, option), _quiet():
        return AutoConfig.from_pretrained(model)


def load_weights(auto_class: Any, model: str, config: Any, role: str, option: str) -> Any:
    """Load the pretrained ``auto_class`` (AutoModel ...) of ``model``.

    Raises DataError if weights are missing or have another shape: transformers would initialize
    those parameters at random and only warn. Pickled weights require torch 2.6, whose
    ``weights_only`` loads nothing but tensors; that of older releases can be made to execute code
    (CVE-2025-32434).
    """
    safe = None if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 6) else True
    if safe and (Path(model) / PICKLED).is_file() and not any(Path(model).glob("*.safetensors")):
        raise DataError(
            f"{role} {model}: its weights are pickled ({PICKLED}), and torch {torch.__version__} "
            "cannot read these safely; save them again as safetensors, or use a newer torch"
        )
    with _explain_errors(model, role, option), _quiet():
        try:
            network, report = auto_class.from_pretrained(
                model,
                config=config,
                output_loading_info=True,
                use_safetensors=safe,
                weights_only=True,
            )
        except (OSError, ValueError, ImportError):
            raise
        except Exception as error:  # damaged or malicious files raise anything
            reason = str(error).splitlines()[0]
            raise ValueError(f"its weights cannot be read: {reason}") from None
    missing = sorted(name for name in report["missing_keys"] if not UNUSED.search(name))
    wrong = sorted(str(name) for name in report["mismatched_keys"])
    if missing or wrong:
        raise DataError(
            f"{role} {model}: its weights do not fit its {CONFIG}: {(missing + wrong)[0]} "
            f"and {len(missing + wrong) - 1} more are missing or of another shape"
        )
    return network


def load_tokenizer(model: str, role: str, option: str) -> Any:
    """Load the tokenizer of a text model. Raises DataError if it is not available."""
    with _explain_errors(model, role, option):
        return AutoTokenizer.from_pretrained(model)


def find_file(model: str, name: str) -> Path | None:
    """Return the path of a model's file, None if the model has no such file."""
    path = cached_file(model, name, _raise_exceptions_for_missing_entries=False)
    return None if path is None else Path(path)


def find_folder(model: str) -> Path:
    """Return a model's folder, downloaded for a hub id. Raises DataError if it does not exist."""
    if Path(model).is_dir():
        return Path(model)
    with _explain_errors(model, "model", "--model"), _quiet():
        return Path(snapshot_download(model))


@contextmanager
def _explain_errors(model: str, role: str, option: str) -> Iterator[None]:
    """Turn errors of transformers and the hub into a DataError."""
    try:
        yield
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"{role} {model}: neither a complete model folder nor available from the hub "
            f"({reason}); download it first or give {option} FOLDER"
        ) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress transformers' report of unused weights (such as a task's head), the hub's retry
    messages and, outside a terminal, progress bars."""
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
