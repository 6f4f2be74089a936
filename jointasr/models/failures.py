"""Turn failures of a forward or backward pass into errors that name a remedy."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from jointasr.data.batch import Batch
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)


@contextmanager
def explain_divergence(ids: Sequence[str]) -> Iterator[None]:
    """Turn FloatingPointError into a DataError that names the batch's utterances."""
    try:
        yield
    except FloatingPointError as error:
        names = " ".join(ids)
        raise DataError(f"{error} (batch of {names}); lower the learning rates") from None


@contextmanager
def explain_out_of_memory(batch: Batch, limit: float) -> Iterator[None]:
    """Turn out-of-memory errors, of the GPU or the CPU, into a DataError with the batch's size.

    ``limit``: ``batch.max_duration`` of the configuration, seconds.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error)
        out_of_memory = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
        if not (out_of_memory or "can't allocate memory" in text or "not enough memory" in text):
            raise
        shape = " x ".join(map(str, batch.waves.shape))
        raise DataError(
            f"out of memory on a batch of {shape} samples ({batch.seconds:.0f} s; with "
            f"{batch.ids[0]}): lower batch.max_duration (now {limit:g} s; raise "
            "batch.accumulate to keep the step as large) or set "
            "encoder.gradient_checkpointing=true"
        ) from None


def warn_if_all_empty(ref_words: int, nonempty: int, where: str) -> None:
    """Warn if no hypothesis has a word although the references have ``ref_words``.

    ``nonempty``: number of hypotheses with words. ``where``: start of the message.
    """
    if ref_words and not nonempty:
        log.warning(
            "%s: every hypothesis is empty: the CTC head outputs only blanks. This is usual in the "
            "first epochs of a new head; if it persists, lower optim.encoder.lr and "
            "optim.head.lr, warm up longer, or lower head.blank_bias",
            where,
        )
