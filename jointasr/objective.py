"""The losses, scaled as the paper's equation 1 needs them."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from jointasr.ctc import ctc_loss
from jointasr.dataset import Batch
from jointasr.schema import Config
from jointasr.systems import Output


class Losses(NamedTuple):
    """Sums over a batch's utterances, so that any grouping into batches gives the same step."""

    total: Tensor
    """alpha * ser + (1 - alpha) * asr, or the system's only loss; carries the gradient"""
    asr: float
    """sum over utterances of CTC loss per label, nats"""
    ser: float
    """sum over utterances of the cross-entropy, nats"""
    impossible: int
    """utterances whose transcript needs more frames than there are; they add no CTC loss"""


def losses(conf: Config, output: Output, batch: Batch) -> Losses:
    """Sums over the batch's N utterances; divide by the utterances of the whole step.

    Equation 1 of the paper: L = alpha L_SER + (1 - alpha) L_ASR, where L_ASR is the mean over
    utterances of the CTC loss divided by max(1, labels), L_SER the mean cross-entropy.
    Raises FloatingPointError where posteriors or the emotions' logits are not finite.
    """
    asr = ser = torch.zeros((), dtype=torch.float64, device=batch.waves.device)
    impossible = 0
    if output.log_probs is not None:
        each = ctc_loss(output.log_probs, output.frames, batch.targets, conf.ctc)
        labels = torch.tensor([max(1, len(target)) for target in batch.targets])
        finite = torch.isfinite(each)
        impossible = int((~finite).sum())
        asr = (each[finite] / labels.to(each.device)[finite]).sum()
    if output.emotions is not None:
        ser = functional.cross_entropy(output.emotions, batch.emotions, reduction="sum").double()
        if not torch.isfinite(ser):
            raise FloatingPointError("the emotions' loss is not finite: the model has diverged")
    if conf.system == "asr":
        total = asr
    elif conf.system == "ser":
        total = ser
    else:
        total = conf.alpha * ser + (1 - conf.alpha) * asr
    return Losses(total, float(asr.detach()), float(ser.detach()), impossible)
