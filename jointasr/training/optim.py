"""Optimisers per part of a model, and the two schedules: warm-up with decay, NewBob."""

import logging
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from jointasr.config import schema
from jointasr.models.systems import Joint, System

log = logging.getLogger(__name__)
PARTS = ("encoder", "head", "bert")
# one pass over all parameters; from this release on, on a CPU as well
_RELEASE = tuple(map(int, torch.__version__.split(".")[:2]))
FUSED: dict[str, Any] = {"fused": True} if _RELEASE >= (2, 4) else {}


def parts(system: System) -> dict[str, list[nn.Parameter]]:
    """Trainable parameters by part: the encoder, BERT, and every layer that is neither."""
    named: dict[str, list[nn.Parameter]] = {name: [] for name in PARTS}
    inside = {id(p): "encoder" for p in system.encoder.parameters()}
    if isinstance(system, Joint) and system.bert is not None:
        inside.update({id(p): "bert" for p in system.bert.parameters()})
    for parameter in system.parameters():
        if parameter.requires_grad:
            named[inside.get(id(parameter), "head")].append(parameter)
    return named


class Optimisers:
    """One optimiser per part, stepped together.

    ``skipped`` counts steps left out because their loss or gradient was not finite, ``in_row``
    those since the last good one.
    """

    def __init__(self, system: System, conf: schema.Optim) -> None:
        self.clip, self.skipped, self.in_row = conf.clip, 0, 0
        self.by_part: dict[str, torch.optim.Optimizer] = {}
        self.base: dict[str, float] = {}
        for name, parameters in parts(system).items():
            if parameters:
                options: schema.Optimiser = getattr(conf, name)
                self.by_part[name] = _optimiser(parameters, options)
                self.base[name] = options.lr
        self.factors = {name: getattr(conf, name).newbob_factor for name in self.by_part}

    def set_scale(self, scale: float) -> None:
        """Set each rate to ``scale`` times its base."""
        for name, optimiser in self.by_part.items():
            for group in optimiser.param_groups:
                group["lr"] = scale * self.base[name]

    def anneal(self) -> None:
        """Multiply each base rate with its part's NewBob factor."""
        for name, factor in self.factors.items():
            self.base[name] *= factor

    def state_dict(self) -> dict[str, Any]:
        """All that the next steps depend on."""
        parts = {name: optimiser.state_dict() for name, optimiser in self.by_part.items()}
        left_out = [self.skipped, self.in_row]
        return {"parts": parts, "base": dict(self.base), "left_out": left_out}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what ``state_dict`` gave."""
        for name, optimiser in self.by_part.items():
            optimiser.load_state_dict(state["parts"][name])
        self.base = dict(state["base"])
        self.skipped, self.in_row = state["left_out"]

    @property
    def rates(self) -> dict[str, float]:
        """Present learning rate of each part."""
        return {name: o.param_groups[0]["lr"] for name, o in self.by_part.items()}

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All that are trained."""
        groups = [g["params"] for o in self.by_part.values() for g in o.param_groups]
        return [p for group in groups for p in group]

    def step(self, scaler: Any) -> float:
        """Clip the gradient over all parts, step, clear it; returns its norm before clipping.

        A gradient that is not finite moves no part: clipping spreads it over all of them, while
        the scaler would only hold back the optimiser that it came from. In fp16 this is how the
        scaler finds its scale.
        """
        for optimiser in self.by_part.values():
            scaler.unscale_(optimiser)
        norm = float(nn.utils.clip_grad_norm_(self.parameters, self.clip))
        if math.isfinite(norm):
            for optimiser in self.by_part.values():
                scaler.step(optimiser)
            self.in_row = 0
            self.clear()
        else:
            self.leave_out()
        scaler.update()
        return norm

    def leave_out(self) -> None:
        """Count a step that is not taken; its gradient is cleared."""
        self.skipped += 1
        self.in_row += 1
        self.clear()

    def clear(self) -> None:
        """Forget the gradient."""
        for optimiser in self.by_part.values():
            optimiser.zero_grad(set_to_none=True)


def precision(wanted: str, device: torch.device) -> torch.dtype | None:
    """What autocast computes in for the conf's train.precision; None: everything in float32, as
    always on a CPU."""
    if device.type == "cpu":
        if wanted not in ("auto", "fp32"):
            log.warning("precision %s is for GPUs: training in fp32 on this CPU", wanted)
        return None
    if wanted == "auto":  # older GPUs say that they support bf16, and emulate it slowly
        wanted = "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[wanted]


def grad_scaler(enabled: bool) -> Any:
    """The scaler of fp16 training; does nothing unless ``enabled``."""
    if hasattr(torch.amp, "GradScaler"):  # torch >= 2.3, where the other one is deprecated
        return torch.amp.GradScaler("cuda", enabled=enabled)
    return torch.cuda.amp.GradScaler(enabled=enabled)


def warmup_decay(progress: float, conf: schema.Schedule) -> float:
    """Scale of the rates when ``progress`` (0..1) of all utterances of all epochs are done.

    Rises linearly to 1 over ``warmup``, stays, falls linearly to 0 after ``decay_from``.
    """
    rising = progress / conf.warmup if conf.warmup > 0 else 1.0
    falling = (1 - progress) / (1 - conf.decay_from) if conf.decay_from < 1 else 1.0
    return max(0.0, min(1.0, rising, falling))


class NewBob:
    """Anneal when the dev loss improves by less than a relative threshold (Quicknet's rule)."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.last: float | None = None

    def stalls(self, loss: float) -> bool:
        """Whether ``loss`` is not better than the last epoch's by the threshold."""
        last, self.last = self.last, loss
        return last is not None and (last - loss) / max(abs(last), 1e-12) < self.threshold


def _optimiser(parameters: Iterable[nn.Parameter], conf: schema.Optimiser) -> torch.optim.Optimizer:
    """Weight decay is for matrices only: not for biases and norms."""
    listed = list(parameters)
    groups = [
        {"params": [p for p in listed if p.ndim > 1], "weight_decay": conf.weight_decay},
        {"params": [p for p in listed if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if conf.name == "adadelta":  # rho and eps are the toolkit's
        return torch.optim.Adadelta(groups, lr=conf.lr, rho=0.95, eps=1e-8)
    kind = torch.optim.AdamW if conf.name == "adamw" else torch.optim.Adam
    return kind(groups, lr=conf.lr, **FUSED)
