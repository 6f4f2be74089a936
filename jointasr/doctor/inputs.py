"""Checks of corpus folders and pretrained models."""

import json
import os
import re
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from jointasr.doctor.result import CheckResult, first_line
from jointasr.utils import files

HUB_TIMEOUT = 10.0
"""seconds to wait for the hub"""


def corpus(
    name: str, path: str, subfolders: Sequence[str], allow_partial: bool = False
) -> CheckResult:
    """Check that a corpus folder exists and has its ``subfolders``.

    ``allow_partial``: at least one of ``subfolders`` is sufficient. A corpus below the recipe's
    data/ passes, because stage 1 creates it.
    """
    options = f"./run.sh --{name.lower()} FOLDER, or {name.lower()}=FOLDER in conf/site.sh"
    if path.startswith("data/"):
        return CheckResult(name, True, f"{path} (made by stage 1)")
    if not path:
        return CheckResult(name, False, "no folder given", options)
    if not Path(path).is_dir():
        return CheckResult(name, False, f"{path} is not a folder", options)
    missing = [folder for folder in subfolders if not (Path(path) / folder).is_dir()]
    if not os.access(path, os.R_OK | os.X_OK):
        return CheckResult(name, False, f"{path} cannot be read", f"chmod -R u+rX {path}")
    detail = f"{path} has no {', '.join(missing)}" if missing else path
    if missing and not (allow_partial and len(missing) < len(subfolders)):
        fix = f"give its top folder: {options}; or continue without: --allow-partial true"
        return CheckResult(name, False, detail, fix)
    return CheckResult(name, True, detail)


def pretrained(option: str, model: str) -> CheckResult:
    """Check that a model is in a folder or in the hub's cache, or can be downloaded from the hub.

    ``option``: name of the option that gives the model. A model below the recipe's exp/ passes,
    because stage 6 creates it.
    """
    return model_folder(option, model) or _hub_model(option, model)


def model_folder(option: str, model: str) -> CheckResult | None:
    """Check a model without access to the hub; return None if ``model`` may be a hub id."""
    fix = f"./run.sh --{option} FOLDER with config.json and weights, or a hub id such as org/name"
    path = Path(model)
    if model.startswith("exp/"):
        return CheckResult(option, True, f"{model} (made by stage 6)")
    if path.is_dir():
        weights = [*path.glob("*.safetensors"), *path.glob("*.bin")]
        missing = [] if (path / "config.json").is_file() else ["config.json"]
        missing += [] if weights else ["weights (*.safetensors or *.bin)"]
        if missing:
            return CheckResult(option, False, f"{model} has no {' and no '.join(missing)}", fix)
        try:
            json.loads(files.read_text(path / "config.json"))
        except ValueError as error:
            return CheckResult(option, False, f"{path / 'config.json'}: not JSON: {error}", fix)
        return CheckResult(option, True, model)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model) or model.startswith("."):
        return CheckResult(option, False, f"{model} is not a folder", fix)
    return None


def _hub_model(option: str, model: str) -> CheckResult:
    try:
        import huggingface_hub as hub

        cached = [
            isinstance(hub.try_to_load_from_cache(model, name), str)
            for name in ("config.json", "model.safetensors", "pytorch_model.bin")
        ]
        if cached[0] and any(cached[1:]):
            return CheckResult(option, True, f"{model} (in the hub's cache)")
        request = urllib.request.Request(hub.hf_hub_url(model, "config.json"), method="HEAD")
        urllib.request.urlopen(request, timeout=HUB_TIMEOUT).close()
    except Exception as error:  # no network, no such model, no library
        fix = (
            f"on a machine with network access: huggingface-cli download {model} --local-dir "
            f"FOLDER; then ./run.sh --{option} FOLDER"
        )
        detail = f"{model} cannot be downloaded: {first_line(error)}"
        return CheckResult(option, False, detail, fix)
    return CheckResult(option, True, f"{model} (can be downloaded)")
