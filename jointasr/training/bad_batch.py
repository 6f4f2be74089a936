"""Batches with a non-finite loss or gradient, saved for inspection."""

from collections.abc import Sequence
from pathlib import Path

from jointasr.data.batch import Batch
from jointasr.utils import files
from jointasr.utils.errors import DataError

BAD_BATCH = "bad_batch"


def save_and_raise(out: Path, group: Sequence[Batch], steps: int, rank: int) -> None:
    """Save the batches of the last of ``steps`` consecutive skipped steps and raise DataError.

    Writes ``out/bad_batch.safetensors`` (waves and lengths of each batch, before augmentation) and
    ``out/bad_batch.json`` (ids and texts); processes of ``rank`` > 0 write ``bad_batch-<rank>``.
    """
    tensors = {}
    for number, batch in enumerate(group):
        tensors[f"waves.{number}"] = batch.waves.contiguous()
        tensors[f"lengths.{number}"] = batch.lengths
    path = out / f"{BAD_BATCH}{f'-{rank}' if rank else ''}.safetensors"
    files.write_tensors(path, tensors)
    utterances = [{"ids": batch.ids, "texts": batch.texts} for batch in group]
    files.write_json(path.with_suffix(".json"), utterances)
    ids = " ".join(utt for batch in group for utt in batch.ids)
    raise DataError(
        f"skipped {steps} steps in a row because their loss or gradient is not finite. The audio "
        f"of the last one is in {path} ({ids}): check it, or lower the learning rates "
        "(optim.*.lr), then start over with --force true"
    )
