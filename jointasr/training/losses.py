"""Training losses (equation 1 of the paper), as sums over the utterances of a batch."""

import math

from torch import Tensor
from torch.nn import functional

from jointasr.config.schema import Config
from jointasr.ctc.loss import ctc_loss, min_frames
from jointasr.data.batch import UNKNOWN_EMOTION, Batch
from jointasr.models.systems import CtcOutput, Output
from jointasr.utils.transfer import copy_to_device


def total_loss(conf: Config, output: Output, batch: Batch) -> Tensor:
    """Return the training loss of a batch of N utterances, summed over them.

    As a sum it does not depend on how the utterances of a step are grouped into batches; divide it
    by the number of utterances in the step. Raises FloatingPointError for non-finite posteriors.
    """
    return combine(conf, asr_loss(conf, output, batch), ser_loss(output.emotion_logits, batch))


def combine(conf: Config, asr: Tensor | None, ser: Tensor | None) -> Tensor:
    """Return alpha L_SER + (1 - alpha) L_ASR (equation 1 of the paper), or the only
    loss of a single-task system."""
    if asr is not None and ser is not None:
        return conf.alpha * ser + (1 - conf.alpha) * asr
    loss = ser if asr is None else asr
    assert loss is not None
    return loss


def asr_loss(conf: Config, output: Output | CtcOutput, batch: Batch) -> Tensor | None:
    """Return the sum over utterances of the CTC loss divided by max(1, labels), nats, float64.

    Utterances without a transcript, or whose transcript needs more frames than there are, add
    nothing. None for ser. Raises FloatingPointError for non-finite posteriors.
    """
    if output.log_probs is None:
        return None
    ctc = ctc_loss(output.log_probs, output.frames, batch.targets, conf.ctc)
    pairs = zip(batch.texts, batch.targets, strict=True)
    labels = [math.inf if text is None else max(1, len(target)) for text, target in pairs]
    return (ctc.masked_fill(ctc.isinf(), 0.0) / copy_to_device(labels, ctc.device)).sum()


def ser_loss(logits: Tensor | None, batch: Batch) -> Tensor | None:
    """Return the cross-entropy of logits (N, classes), summed over utterances, nats, float64.

    Utterances without an emotion label add nothing. None for asr.
    """
    if logits is None:
        return None
    loss = functional.cross_entropy(
        logits, batch.emotions, ignore_index=UNKNOWN_EMOTION, reduction="sum"
    )
    return loss.double()


def count_infeasible(output: Output | CtcOutput, batch: Batch) -> int:
    """Return the number of transcripts that need more frames than there are; 0 for ser."""
    if output.log_probs is None:
        return 0
    pairs = zip(batch.targets, output.frames.tolist(), strict=True)
    return sum(min_frames(target) > frames for target, frames in pairs)


def finite_value(loss: Tensor) -> float:
    """Return the loss as a number. Raises FloatingPointError if it is not finite."""
    value = float(loss.detach())
    if not math.isfinite(value):
        raise FloatingPointError("the loss is not finite: the model has diverged")
    return value
