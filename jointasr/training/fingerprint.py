"""Fingerprint of a training: the options and inputs that its ``.done`` file records.

Does not import torch: ``jointasr.bin.jobs`` uses it to find out which trainings are finished.
"""

from pathlib import Path

from jointasr.config import layout, schema
from jointasr.utils import done, provenance
from jointasr.utils.errors import DataError

CODE = "jointasr.bin.train"
NO_EFFECT = ("batch.workers", "train.log_every", "train.save_minutes")
"""keys that do not change the result"""
INAPPLICABLE = {
    "asr": ("alpha", "emotion.", "bert.", "optim.bert."),
    "ser": ("alpha", "bert.", "optim.bert."),
    "joint": (),
}
"""prefixes of keys of parts that a system does not have"""


def training_step(
    out: Path, conf: schema.Config, data: Path, condition: str, fold: str, seed: int, processes: int
) -> done.Step:
    """Return the step that trains ``conf`` on a fold folder ``data`` and writes ``out``.

    Raises DataError for a model folder without a model.
    """
    options = {**flatten_conf(conf), "seed": seed, "fold": fold, "stack": provenance.stack()}
    if processes > 1:
        options["processes"] = processes  # dropout differs in each process
    inputs = [layout.set_dir(data, split, condition) for split in ("train", "dev")]
    inputs.append(layout.lang_dir(data, conf.units.type, conf.units.size))
    inputs += model_files(conf.encoder.model)
    if conf.uses_bert:
        inputs += model_files(conf.bert.model)
    return done.Step(out, CODE, options, inputs)


def model_files(model: str) -> list[Path]:
    """Return the inputs that identify a pretrained model.

    The folder if a step of the recipe wrote it, the files of any other folder, nothing for a hub
    id. Raises DataError for a folder without a model.
    """
    folder = Path(model)
    if not folder.is_dir() or (folder / done.NAME).is_file():
        return [folder] if folder.is_dir() else []
    if not (folder / "config.json").is_file():
        raise DataError(f"{model}: no config.json in it, so not a transformers model folder")
    return checkpoint_files(folder)


def checkpoint_files(folder: Path) -> list[Path]:
    """Return the files of a transformers model folder that may be loaded, sorted."""
    kinds = (".json", ".txt", ".safetensors", ".bin")
    return sorted(path for path in folder.iterdir() if path.suffix in kinds)


def flatten_conf(conf: schema.Config) -> dict[str, object]:
    """Return the dotted keys of ``conf`` that can change the result, with their values."""

    def walk(prefix: str, values: dict[str, object]) -> dict[str, object]:
        keys: dict[str, object] = {}
        for key, value in values.items():
            if isinstance(value, dict):
                keys.update(walk(f"{prefix}{key}.", value))
            else:
                keys[f"{prefix}{key}"] = value
        return keys

    excluded = (*NO_EFFECT, *INAPPLICABLE[conf.system])
    keys = walk("", conf.model_dump())
    return {key: value for key, value in keys.items() if not key.startswith(excluded)}
