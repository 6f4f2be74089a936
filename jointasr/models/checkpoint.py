"""A trained model is a folder: weights, configuration, units, labels; it can be moved anywhere."""

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
# torch 2 parametrises weight norm under other names than torch 1; files keep the older ones
WEIGHT_NORM = {
    "parametrizations.weight.original0": "weight_g",
    "parametrizations.weight.original1": "weight_v",
}


class TrainedModel(NamedTuple):
    """A system and what is needed to use it."""

    system: systems.System
    conf: schema.Config
    units: Units
    labels: list[str]


def save(folder: Path, model: TrainedModel, weights: dict[str, Tensor] | None = None) -> None:
    """Write ``model`` into ``folder``, with its present weights or those that ``copy_weights`` gave
    earlier; the weights come last, by rename."""
    folder.mkdir(parents=True, exist_ok=True)
    files.write_text(folder / CONF, conf_files.dump(model.conf))
    model.units.save(folder / "lang")
    write_labels(folder / "lang", model.labels)
    model.system.encoder.save_config(folder / "encoder")
    if isinstance(model.system, systems.Joint) and model.system.bert is not None:
        model.system.bert.save_config(folder / "bert")
    files.write_tensors(folder / WEIGHTS, weights or copy_weights(model.system))


def load(folder: Path) -> TrainedModel:
    """The model that ``save`` wrote, on the CPU, in eval mode.

    Raises DataError naming the file that is missing or does not fit.
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
    """The configuration of a trained model."""
    return conf_files.load(str(folder / CONF), folder)


def initial(conf: schema.Config, units: Units, labels: list[str]) -> TrainedModel:
    """The model at the start of training: pretrained parts, fresh heads.

    Fresh layers are drawn from torch's generator, a CTC head before anything that only the joint
    system has: with the same seed, asr and joint start from the same head.
    """

    def bert() -> text_encoder.TextEncoder:
        with torch.random.fork_rng():
            return text_encoder.load(conf.bert.model, conf.bert.freeze)

    acoustic = encoder.load(conf.encoder.model, conf.encoder)
    system = systems.build(conf, acoustic, bert, units, len(labels))
    if conf.uses_own_head:
        assert isinstance(system, systems.Asr | systems.Joint)
        head = encoder.ctc_head(conf.encoder.model)
        if head is None:
            log.warning("%s has no CTC head: ours starts from random numbers", conf.encoder.model)
        else:
            systems.init_ctc_head(system, head, units)
    return TrainedModel(system, conf, units, labels)


def copy_weights(module: torch.nn.Module) -> dict[str, Tensor]:
    """A copy of the weights on the CPU, under names that every stack reads."""
    return {
        canonical(name): value.detach().to("cpu", copy=True).contiguous()
        for name, value in module.state_dict().items()
    }


def save_weights(path: Path, module: torch.nn.Module) -> None:
    """Weights as safetensors, by rename."""
    files.write_tensors(path, copy_weights(module))


def load_weights(path: Path, module: torch.nn.Module) -> None:
    """Load what ``save_weights`` wrote. Raises DataError for a tensor too few or too many."""
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise DataError(f"{path}: damaged ({error}); train the model again") from None
    state: dict[str, Tensor] = {}
    for name, value in module.state_dict().items():
        found = tensors.pop(canonical(name), None)
        if found is None or found.shape != value.shape:
            what = "is missing" if found is None else f"has shape {tuple(found.shape)}"
            raise DataError(f"{path}: {canonical(name)} {what}, expected {tuple(value.shape)}")
        state[name] = found
    if tensors:
        raise DataError(f"{path}: unexpected tensor {next(iter(tensors))}")
    module.load_state_dict(state)


def canonical(name: str) -> str:
    """A parameter's name on disk."""
    for new, old in WEIGHT_NORM.items():
        if name.endswith(new):
            return name[: -len(new)] + old
    return name


def write_meta(folder: Path, values: dict[str, Any]) -> None:
    """Write a finished training's ``model.json``: what was trained, on what, with which engine."""
    files.write_json(folder / META, dict(sorted(values.items())))
