"""The batches of a step that could not be computed, kept for inspection."""

from collections.abc import Sequence
from pathlib import Path

from jointasr.data.batch import Batch
from jointasr.utils import files
from jointasr.utils.errors import DataError

BAD_BATCH = "bad_batch"


def save_and_raise(out: Path, group: Sequence[Batch], steps: int, rank: int) -> None:
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
