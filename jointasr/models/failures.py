"""Failures of a forward or backward pass as errors that say what to do."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from jointasr.data.batch import Batch
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)


@contextmanager
def explain_divergence(ids: Sequence[str]) -> Iterator[None]:
    """Divergence as the user's error: what happened, on which utterances, what to do."""
    try:
        yield
    except FloatingPointError as error:
        names = " ".join(ids)
        raise DataError(f"{error} (batch of {names}); lower the learning rates") from None


@contextmanager
def explain_out_of_memory(batch: Batch, limit: float) -> Iterator[None]:
    """Want of memory as the user's error; ``limit`` is the conf's batch.max_duration.

    MemoryError and torch's own errors, of cards and of the CPU, count.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        short = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
        if not (short or "can't allocate memory" in text or "not enough memory" in text):
            raise
        shape = " x ".join(map(str, batch.waves.shape))
        raise DataError(
            f"out of memory on a batch of {shape} samples ({batch.seconds:.0f} s; with "
            f"{batch.ids[0]}): lower batch.max_duration (now {limit:g} s; raise "
            "batch.accumulate to keep the step as large) or set "
            "encoder.gradient_checkpointing=true"
        ) from None


def warn_if_all_empty(ref_words: int, written: int, where: str) -> None:
    """Say when the CTC head has collapsed: ``ref_words`` words were said, but the number of
    hypotheses with a word in them, ``written``, is 0."""
    if ref_words and not written:
        log.warning(
            "%s: every hypothesis is empty, the CTC head gives nothing but blanks. A fresh head "
            "does so in its first epochs; if it stays, lower optim.encoder.lr and optim.head.lr, "
            "warm up longer, or lower head.blank_bias",
            where,
        )
