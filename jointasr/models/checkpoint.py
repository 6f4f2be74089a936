"""Folders of trained models: weights, configuration, units and labels, independent of location."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from jointasr.config import conf_files, layout, schema
from jointasr.models import encoder, systems, text_encoder
from jointasr.text.lang import Units, read_labels, write_labels
from jointasr.utils import files
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)
WEIGHTS, CONF, META = "model.safetensors", "conf.yaml", layout.MODEL_JSON
# torch 2 names the parameters of weight norm differently; files use the names of torch 1
WEIGHT_NORM = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}


class TrainedModel(NamedTuple):
    """A system with its configuration, units and emotion labels."""

    system: systems.System
    conf: schema.Config
    units: Units
    labels: list[str]


def save(folder: Path, model: TrainedModel, weights: dict[str, Tensor] | None = None) -> None:
    """Write ``model`` into ``folder``, with its current weights or with ``weights``, an earlier
    result of :func:`copy_weights`. The weights are written last, atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / CONF, conf_files.dump(model.conf))
    model.units.save(folder / "lang")
    write_labels(folder / "lang", model.labels)
    model.system.encoder.save_config(folder / "encoder")
    if isinstance(model.system, systems.Joint) and model.system.bert is not None:
        model.system.bert.save_config(folder / "bert")
    files.write_tensors(folder / WEIGHTS, weights or copy_weights(model.system))


def load(folder: Path) -> TrainedModel:
    """Load the model that ``save`` wrote, on the CPU, in eval mode.

    Raises DataError with the path of a file that is missing or does not match.
    """
    for name in (WEIGHTS, CONF, "lang"):
        if not (folder / name).exists():
            raise DataError(f"{folder}: no {name} in it, so no trained model; train it (stage 7)")
    conf = read_conf(folder)
    units, labels = Units.load(folder / "lang"), read_labels(folder / "lang")
    system = systems.build(
        conf,
        encoder.from_config(folder / "encoder", conf.encoder),
        lambda: text_encoder.from_config(folder / "bert", conf.bert.freeze),
        units,
        len(labels),
    )
    load_weights(folder / WEIGHTS, system)
    return TrainedModel(system.eval(), conf, units, labels)


def read_conf(folder: Path) -> schema.Config:
    """Read the configuration of a trained model. Raises DataError naming an invalid key."""
    return conf_files.load(str(folder / CONF), folder)


def initial(conf: schema.Config, units: Units, labels: list[str]) -> TrainedModel:
    """Build the model at the start of training: pretrained encoders and new heads.

    New layers are initialized with torch's global generator, the CTC head before the layers that
    only the joint system has: with the same seed, asr and joint start from the same head. Raises
    DataError if a pretrained model is missing or does not fit.
    """

    def bert() -> text_encoder.TextEncoder:
        with torch.random.fork_rng():
            return text_encoder.load(conf.bert.model, conf.bert.freeze)

    acoustic = encoder.load(conf.encoder.model, conf.encoder)
    system = systems.build(conf, acoustic, bert, units, len(labels))
    if conf.uses_checkpoint_head:
        assert isinstance(system, systems.Asr | systems.Joint)
        head = encoder.ctc_head(conf.encoder.model)
        if head is None:
            log.warning(
                "%s has no CTC head: the new one starts from random weights", conf.encoder.model
            )
        else:
            systems.init_ctc_head(system, head, units)
    return TrainedModel(system, conf, units, labels)


def copy_weights(module: torch.nn.Module) -> dict[str, Tensor]:
    """Copy the weights to the CPU, under the names that they have in files."""
    return {
        canonical(name): value.detach().to("cpu", copy=True).contiguous()
        for name, value in module.state_dict().items()
    }


def load_weights(path: Path, module: torch.nn.Module) -> None:
    """Load weights that ``save`` wrote. Raises DataError for missing or unexpected tensors."""
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: damaged ({error}); train the model again") from None
    state: dict[str, Tensor] = {}
    for name, value in module.state_dict().items():
        tensor = tensors.pop(canonical(name), None)
        if tensor is None or tensor.shape != value.shape:
            what = "is missing" if tensor is None else f"has shape {tuple(tensor.shape)}"
            raise DataError(f"{path}: {canonical(name)} {what}, expected {tuple(value.shape)}")
        state[name] = tensor
    if tensors:
        raise DataError(f"{path}: unexpected tensor {next(iter(tensors))}")
    module.load_state_dict(state)


def canonical(name: str) -> str:
    """Return a parameter's name in files, which does not depend on the release of torch."""
    for torch2, torch1 in WEIGHT_NORM.items():
        if name.endswith(torch2):
            return name[: -len(torch2)] + torch1
    return name


def write_meta(folder: Path, values: dict[str, Any]) -> None:
    """Write ``model.json`` of a finished training: system, data, engine and results."""
    files.write_json(folder / META, dict(sorted(values.items())))
