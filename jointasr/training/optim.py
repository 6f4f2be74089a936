"""Optimisers for the parts of a model; learning-rate schedules: warm-up with decay, NewBob."""

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
# fused optimisers also run on CPUs from torch 2.4 on
_RELEASE = tuple(map(int, torch.__version__.split(".")[:2]))
FUSED: dict[str, Any] = {"fused": True} if _RELEASE >= (2, 4) else {}


def parts(system: System) -> dict[str, list[nn.Parameter]]:
    """Return the trainable parameters by part: encoder, bert, and all other layers (head)."""
    named: dict[str, list[nn.Parameter]] = {name: [] for name in PARTS}
    part_of = {id(p): "encoder" for p in system.encoder.parameters()}
    if isinstance(system, Joint) and system.bert is not None:
        part_of.update({id(p): "bert" for p in system.bert.parameters()})
    for parameter in system.parameters():
        if parameter.requires_grad:
            named[part_of.get(id(parameter), "head")].append(parameter)
    return named


class Optimisers:
    """One optimiser per part of a model, stepped together.

    ``skipped`` counts skipped steps, ``skipped_in_row`` those since the last step that was taken.
    """

    def __init__(self, system: System, conf: schema.Optim) -> None:
        self.clip, self.skipped, self.skipped_in_row = conf.clip, 0, 0
        self.by_part: dict[str, torch.optim.Optimizer] = {}
        self.base_rates: dict[str, float] = {}
        for name, parameters in parts(system).items():
            if parameters:
                options: schema.Optimiser = getattr(conf, name)
                self.by_part[name] = _optimiser(parameters, options)
                self.base_rates[name] = options.lr
        self.factors = {name: getattr(conf, name).newbob_factor for name in self.by_part}

    def scale_rates(self, scale: float) -> None:
        """Set each learning rate to ``scale`` times its base rate."""
        for name, optimiser in self.by_part.items():
            for group in optimiser.param_groups:
                group["lr"] = scale * self.base_rates[name]

    def anneal(self) -> None:
        """Multiply each base rate by the NewBob factor of its part."""
        for name, factor in self.factors.items():
            self.base_rates[name] *= factor

    def state_dict(self) -> dict[str, Any]:
        """Return the state as a dictionary of tensors and plain values."""
        parts = {name: optimiser.state_dict() for name, optimiser in self.by_part.items()}
        skipped = [self.skipped, self.skipped_in_row]
        return {"parts": parts, "base": dict(self.base_rates), "left_out": skipped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that ``state_dict`` returned."""
        for name, optimiser in self.by_part.items():
            optimiser.load_state_dict(state["parts"][name])
        self.base_rates = dict(state["base"])
        self.skipped, self.skipped_in_row = state["left_out"]

    @property
    def rates(self) -> dict[str, float]:
        """Current learning rate of each part."""
        return {name: o.param_groups[0]["lr"] for name, o in self.by_part.items()}

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Parameters of all parts."""
        groups = [g["params"] for o in self.by_part.values() for g in o.param_groups]
        return [p for group in groups for p in group]

    def step(self, scaler: Any) -> float:
        """Clip the gradient over all parts, step, clear it; return its L2 norm before clipping.

        A non-finite gradient skips the step of all parts, since clipping by a non-finite norm would
        corrupt all gradients; the scaler alone would skip only the affected optimiser. In fp16 the
        scaler then lowers its scale.
        """
        for optimiser in self.by_part.values():
            scaler.unscale_(optimiser)
        norm = float(nn.utils.clip_grad_norm_(self.parameters, self.clip))
        if math.isfinite(norm):
            for optimiser in self.by_part.values():
                scaler.step(optimiser)
            self.skipped_in_row = 0
            self.zero_grad()
        else:
            self.skip_step()
        scaler.update()
        return norm

    def skip_step(self) -> None:
        """Count a skipped step and clear its gradient."""
        self.skipped += 1
        self.skipped_in_row += 1
        self.zero_grad()

    def zero_grad(self) -> None:
        """Clear the gradient."""
        for optimiser in self.by_part.values():
            optimiser.zero_grad(set_to_none=True)


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the dtype of autocast for ``train.precision``.

    None means float32, which is always used on a CPU.
    """
    if device.type == "cpu":
        if precision not in ("auto", "fp32"):
            log.warning("precision %s is for GPUs: training in fp32 on this CPU", precision)
        return None
    if precision == "auto":  # GPUs before compute capability 8.0 emulate bf16, which is slow
        precision = "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "fp16"
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def grad_scaler(enabled: bool) -> Any:
    """Return the gradient scaler of fp16 training; it does nothing unless ``enabled``."""
    if hasattr(torch.amp, "GradScaler"):  # torch >= 2.3; the other one is deprecated
        return torch.amp.GradScaler("cuda", enabled=enabled)
    return torch.cuda.amp.GradScaler(enabled=enabled)


def warmup_decay(progress: float, conf: schema.Schedule) -> float:
    """Return the scale (0..1) of the learning rates at ``progress``, the completed fraction (0..1).

    It rises linearly to 1 until ``warmup`` and falls linearly to 0 from ``decay_from`` on.
    """
    rising = progress / conf.warmup if conf.warmup > 0 else 1.0
    falling = (1 - progress) / (1 - conf.decay_from) if conf.decay_from < 1 else 1.0
    return max(0.0, min(1.0, rising, falling))


class NewBob:
    """Anneal when the dev loss improves by less than a relative threshold (QuickNet's rule)."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self.last_loss: float | None = None

    def should_anneal(self, loss: float) -> bool:
        """Return whether ``loss`` improves on that of the last epoch by less than the threshold."""
        last, self.last_loss = self.last_loss, loss
        return last is not None and (last - loss) / max(abs(last), 1e-12) < self.threshold


def _optimiser(parameters: Iterable[nn.Parameter], conf: schema.Optimiser) -> torch.optim.Optimizer:
    """Return the optimiser of a part; biases and norms have no weight decay."""
    params = list(parameters)
    groups = [
        {"params": [p for p in params if p.ndim > 1], "weight_decay": conf.weight_decay},
        {"params": [p for p in params if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if conf.name == "adadelta":  # rho and eps of SpeechBrain's recipes
        return torch.optim.Adadelta(groups, lr=conf.lr, rho=0.95, eps=1e-8)
    adam = torch.optim.AdamW if conf.name == "adamw" else torch.optim.Adam
    return adam(groups, lr=conf.lr, **FUSED)
