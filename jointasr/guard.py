"""What can go wrong inside a training or decoding, turned into something its user can act on."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from lhotse import CutSet

from jointasr import files
from jointasr.dataset import Batch
from jointasr.errors import DataError

log = logging.getLogger(__name__)
BAD_BATCH = "bad_batch"


@contextmanager
def diverged(ids: Sequence[str]) -> Iterator[None]:
    """Divergence as the user's error: what happened, on which utterances, what to do."""
    try:
        yield
    except FloatingPointError as error:
        names = " ".join(ids)
        raise DataError(f"{error} (batch of {names}); lower the learning rates") from None


def stop(out: Path, group: Sequence[Batch], steps: int, rank: int) -> None:
    """Save the batches of the last step that was left out and end the training.

    ``group`` goes to ``out/bad_batch.safetensors`` (waves and lengths before augmentation, one pair
    for each batch) and ``out/bad_batch.json`` (ids and texts); processes beside the first write
    their shares to ``bad_batch-<rank>``. Raises DataError always.
    """
    tensors = {}
    for number, batch in enumerate(group):
        tensors[f"waves.{number}"] = batch.waves.contiguous()
        tensors[f"lengths.{number}"] = batch.lengths
    path = out / f"{BAD_BATCH}{f'-{rank}' if rank else ''}.safetensors"
    files.write_tensors(path, tensors)
    told = [{"ids": batch.ids, "texts": batch.texts} for batch in group]
    files.write_json(path.with_suffix(".json"), told)
    names = " ".join(name for batch in group for name in batch.ids)
    raise DataError(
        f"{steps} steps in a row were left out, loss or gradient not being finite. The last one's "
        f"audio is in {path} ({names}): listen to it, or lower the learning rates (optim.*.lr), "
        "then start over with --force true"
    )


@contextmanager
def memory(batch: Batch, limit: float) -> Iterator[None]:
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


def largest(batches: Sequence[CutSet]) -> list[CutSet]:
    """The batches that need most memory: with most samples, padding included; with the longest."""
    longest = [max(cut.num_samples for cut in cuts) for cuts in batches]
    area = [len(cuts) * samples for cuts, samples in zip(batches, longest, strict=True)]
    chosen = {area.index(max(area)), longest.index(max(longest))}
    return [batches[place] for place in sorted(chosen)]


def silent(ref_words: int, written: int, where: str) -> None:
    """Say when the CTC head has collapsed: ``ref_words`` words were said, but the number of
    hypotheses with a word in them, ``written``, is 0."""
    if ref_words and not written:
        log.warning(
            "%s: every hypothesis is empty, the CTC head gives nothing but blanks. A fresh head "
            "does so in its first epochs; if it stays, lower optim.encoder.lr and optim.head.lr, "
            "warm up longer, or lower head.blank_bias",
            where,
        )
