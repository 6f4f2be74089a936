"""A saved model is complete, independent of its location and stack, and checked when loaded."""

import pickle
import shutil
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from tiny import batch, build_model, forward

from jointasr.models import checkpoint
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack

# parameters written by torch 1.13 and torch 2 for the wav2vec2 of tiny.py
POSITIONS = "encoder.model.encoder.pos_conv_embed.conv"


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("kind", ["asr", "ser", "joint"])
def test_moved_model_has_identical_outputs(
    models: Path, tmp_path: Path, kind: str, norm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretrained = tmp_path / "pretrained"
    for name in (norm, "bert"):
        shutil.copytree(models / name, pretrained / name)
    model = build_model(tiny.conf(pretrained, f"{kind}.yaml", norm=norm))
    model.system.eval()
    checkpoint.save(tmp_path / "best", model)
    shutil.move(tmp_path / "best", tmp_path / "elsewhere")
    shutil.rmtree(pretrained)  # the pretrained models are not needed
    monkeypatch.chdir(tmp_path / "elsewhere")
    back = checkpoint.load(Path())
    assert (back.conf, back.labels) == (model.conf, model.labels)
    assert back.units.digest == model.units.digest and not back.system.training
    data = batch(model.units)
    with torch.no_grad():
        before, after = forward(model, data), forward(back, data)
    for value, other in zip(before[:3], after[:3], strict=True):
        assert (value is None and other is None) or torch.equal(value, other)


def test_parameter_names_do_not_depend_on_the_stack(models: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, build_model(tiny.conf(models, "joint.yaml")))
    names = set(load_file(tmp_path / checkpoint.WEIGHTS))
    positions = {name for name in names if name.startswith(POSITIONS)}
    assert positions == {f"{POSITIONS}.{part}" for part in ("bias", "weight_g", "weight_v")}
    assert not any("parametrizations" in name for name in names)


def test_files_are_text_or_safetensors(models: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, build_model(tiny.conf(models, "joint.yaml")))
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != checkpoint.WEIGHTS:
            path.read_text(encoding="utf-8")
        elif path.is_file():
            with pytest.raises(pickle.UnpicklingError):
                pickle.loads(path.read_bytes())


def test_damaged_weights_are_named(models: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path, build_model(tiny.conf(models, "asr.yaml")))
    path = tmp_path / checkpoint.WEIGHTS
    tensors = load_file(path)
    bias = tensors.pop("head.1.bias")
    save_file(tensors, path)
    with pytest.raises(DataError, match=r"model.safetensors: head.1.bias is missing"):
        checkpoint.load(tmp_path)
    save_file({**tensors, "head.1.bias": bias[:5].clone()}, path)
    with pytest.raises(DataError, match=r"head.1.bias has shape \(5,\), expected \(29,\)"):
        checkpoint.load(tmp_path)
    save_file({**tensors, "head.1.bias": bias, "ghost": bias.clone()}, path)
    with pytest.raises(DataError, match="unexpected tensor ghost"):
        checkpoint.load(tmp_path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"model.safetensors: damaged"):
        checkpoint.load(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match=r"no model.safetensors in it"):
        checkpoint.load(tmp_path)


def test_no_temporary_files_remain(models: Path, tmp_path: Path) -> None:
    model = build_model(tiny.conf(models, "asr.yaml"))
    for _ in range(2):
        checkpoint.save(tmp_path, model)
    assert not list(tmp_path.rglob("*.tmp"))
