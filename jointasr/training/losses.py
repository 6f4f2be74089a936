"""The losses, scaled as the paper's equation 1 needs them."""

import math

from torch import Tensor
from torch.nn import functional

from jointasr.config.schema import Config
from jointasr.ctc.loss import ctc_loss, min_frames
from jointasr.data.batch import UNKNOWN_EMOTION, Batch
from jointasr.models.systems import CtcOutput, Output
from jointasr.utils.transfer import copy_to_device


def losses(conf: Config, output: Output, batch: Batch) -> Tensor:
    """The training loss, a sum over the batch's N utterances, so that any grouping into batches
    gives the same step; divide by the utterances of the whole step.

    Raises FloatingPointError where posteriors are not finite.
    """
    return both(conf, asr(conf, output, batch), ser(output.emotion_logits, batch))


def both(conf: Config, asr: Tensor | None, ser: Tensor | None) -> Tensor:
    """Equation 1 of the paper, alpha L_SER + (1 - alpha) L_ASR, or the system's only loss."""
    if asr is not None and ser is not None:
        return conf.alpha * ser + (1 - conf.alpha) * asr
    only = ser if asr is None else asr
    assert only is not None
    return only


def asr(conf: Config, heard: Output | CtcOutput, batch: Batch) -> Tensor | None:
    """Sum over utterances of the CTC loss divided by max(1, labels), nats, float64.

    A transcript that needs more frames than there are adds nothing, nor does one that is not
    known. None for ser. Raises FloatingPointError where posteriors are not finite.
    """
    if heard.log_probs is None:
        return None
    each = ctc_loss(heard.log_probs, heard.frames, batch.targets, conf.ctc)
    known = zip(batch.texts, batch.targets, strict=True)
    labels = [math.inf if text is None else max(1, len(target)) for text, target in known]
    return (each.masked_fill(each.isinf(), 0.0) / copy_to_device(labels, each.device)).sum()


def ser(logits: Tensor | None, batch: Batch) -> Tensor | None:
    """Sum over utterances with a known emotion of cross-entropy, nats, float64; None for asr."""
    if logits is None:
        return None
    loss = functional.cross_entropy(
        logits, batch.emotions, ignore_index=UNKNOWN_EMOTION, reduction="sum"
    )
    return loss.double()


def impossible(heard: Output | CtcOutput, batch: Batch) -> int:
    """How many transcripts need more frames than there are."""
    if heard.log_probs is None:
        return 0
    pairs = zip(batch.targets, heard.frames.tolist(), strict=True)
    return sum(min_frames(target) > frames for target, frames in pairs)


def value(loss: Tensor) -> float:
    """The loss as a number. Raises FloatingPointError when it is none."""
    number = float(loss.detach())
    if not math.isfinite(number):
        raise FloatingPointError("the loss is not finite: the model has diverged")
    return number
