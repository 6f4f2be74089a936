"""Optimisers by part of a model; learning-rate schedules against closed forms."""

import math
from pathlib import Path

import pytest
import tiny
import torch

from jointasr.config import schema
from jointasr.models import checkpoint
from jointasr.text.lang import Units
from jointasr.training.optim import NewBob, Optimisers, grad_scaler, parts, warmup_decay

pytestmark = pytest.mark.stack


def system(models: Path, name: str, *overrides: str) -> tuple[checkpoint.TrainedModel, Optimisers]:
    conf = tiny.conf(models, name, *overrides)
    model = checkpoint.initial(conf, Units.char(), tiny.LABELS)
    return model, Optimisers(model.system, conf.optim)


def test_warmup_and_decay() -> None:
    conf = schema.Schedule(warmup=0.1, decay_from=0.5)
    points = {0.0: 0.0, 0.05: 0.5, 0.1: 1.0, 0.3: 1.0, 0.5: 1.0, 0.75: 0.5, 1.0: 0.0}
    for progress, scale in points.items():
        assert warmup_decay(progress, conf) == pytest.approx(scale)
    flat = schema.Schedule(warmup=0.0, decay_from=1.0)
    assert [warmup_decay(x / 4, flat) for x in range(5)] == [1.0] * 5
    steep = schema.Schedule(warmup=0.8, decay_from=0.2)
    assert warmup_decay(0.6, steep) == pytest.approx(min(0.6 / 0.8, 0.4 / 0.8))


def test_newbob_compares_with_the_epoch_before() -> None:
    newbob = NewBob(0.0025)
    losses = [2.0, 1.0, 0.9976, 0.99, 1.2, 1.1]
    assert [newbob.should_anneal(loss) for loss in losses] == [
        False,
        False,
        True,
        False,
        True,
        False,
    ]


def test_each_part_has_its_annealing_factor(models: Path) -> None:
    _, optimisers = system(models, "paper/paper_joint.yaml")
    for _ in range(2):
        optimisers.anneal()
    optimisers.scale_rates(1.0)
    expected = {"encoder": 1e-4 * 0.9**2, "head": 0.9 * 0.8**2, "bert": 1e-5 * 0.9**2}
    assert optimisers.rates == pytest.approx(expected)
    optimisers.scale_rates(0.5)
    assert optimisers.rates["head"] == pytest.approx(0.45 * 0.8**2)


@pytest.mark.parametrize("name", ["asr.yaml", "ser.yaml", "joint.yaml"])
def test_every_parameter_is_in_one_part(models: Path, name: str) -> None:
    model, optimisers = system(models, name)
    listed = [
        id(p)
        for optimiser in optimisers.by_part.values()
        for group in optimiser.param_groups
        for p in group["params"]
    ]
    trainable = [id(p) for p in model.system.parameters() if p.requires_grad]
    assert sorted(listed) == sorted(trainable)
    named = parts(model.system)
    inside = {id(p) for p in model.system.encoder.parameters()}
    assert all((id(p) in inside) == (part == "encoder") for part, ps in named.items() for p in ps)
    assert bool(named["bert"]) == (name == "joint.yaml")


def test_weight_decay_applies_to_matrices_only(models: Path) -> None:
    _, optimisers = system(models, "joint.yaml", "optim.head.weight_decay=0.5")
    for optimiser in optimisers.by_part.values():
        for group in optimiser.param_groups:
            assert all((p.ndim > 1) == (group["weight_decay"] > 0) for p in group["params"])
    assert optimisers.by_part["head"].param_groups[0]["weight_decay"] == 0.5


def test_optimisers_of_the_paper(models: Path) -> None:
    _, optimisers = system(models, "paper/paper_joint.yaml")
    head = optimisers.by_part["head"]
    assert isinstance(head, torch.optim.Adadelta)
    assert (head.defaults["rho"], head.defaults["eps"], head.defaults["lr"]) == (0.95, 1e-8, 0.9)
    for part in ("encoder", "bert"):
        assert type(optimisers.by_part[part]) is torch.optim.Adam
    assert optimisers.clip == 5.0
    _, default = system(models, "joint.yaml")
    assert all(type(optimiser) is torch.optim.AdamW for optimiser in default.by_part.values())


def test_clipping_is_over_all_parts(models: Path) -> None:
    model, optimisers = system(models, "joint.yaml", "optim.clip=0.5")
    trained = [p for p in model.system.parameters() if p.requires_grad]
    for p in trained:
        p.grad = torch.full_like(p, 0.25)
    seen: list[float] = []
    for optimiser in optimisers.by_part.values():
        own = [p for group in optimiser.param_groups for p in group["params"]]
        optimiser.step = lambda own=own: seen.append(sum(float(p.grad.square().sum()) for p in own))
    norm = optimisers.step(grad_scaler(False))
    assert norm == pytest.approx(0.25 * math.sqrt(sum(p.numel() for p in trained)), rel=1e-4)
    assert math.sqrt(sum(seen)) == pytest.approx(0.5, rel=1e-3)
    assert all(p.grad is None for p in trained)


@pytest.mark.skipif(not hasattr(torch.amp, "GradScaler"), reason="scalers of torch 1 need a GPU")
def test_fp16_overflow_lowers_the_scale_and_skips_the_step(models: Path) -> None:
    """The overflow is in the gradient of one part; no part is updated."""
    model, optimisers = system(models, "joint.yaml")
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    before = {name: p.detach().clone() for name, p in model.system.named_parameters()}
    for value, scale, same in ((math.nan, 512.0, True), (1.0, 512.0, False)):
        scaler.scale(torch.ones(1))  # initialises the scaler, like the loss of a step
        for p in model.system.parameters():
            p.grad = torch.full_like(p, 1024.0) if p.requires_grad else None
        model.system.bert.model.embeddings.word_embeddings.weight.grad[0, 0] = value
        optimisers.step(scaler)
        assert scaler.get_scale() == scale
        for name, p in model.system.head.named_parameters():
            assert torch.equal(p, before[f"head.{name}"]) is same and p.isfinite().all()
    assert optimisers.skipped == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_nonfinite_gradient_skips_the_step(models: Path, value: float) -> None:
    model, optimisers = system(models, "joint.yaml")
    for p in model.system.parameters():
        p.grad = torch.ones_like(p) if p.requires_grad else None
    assert model.system.head[-1].weight.grad is not None
    model.system.head[-1].weight.grad[0, 0] = value
    before = {name: p.detach().clone() for name, p in model.system.named_parameters()}
    assert not math.isfinite(optimisers.step(grad_scaler(False)))
    assert optimisers.skipped == 1
    assert all(torch.equal(p, before[name]) for name, p in model.system.named_parameters())
