"""Data-parallel training: several processes train one model, each on its share of every batch.

torchrun (``utils/torchrun.sh``) starts the processes and sets their ranks in the environment. The
model is not wrapped in ``DistributedDataParallel``: gradients are summed explicitly, once per step.
A process may therefore have no utterances of a batch, or drop other layers than the others.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from jointasr.utils.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import nn

BUCKET_ELEMENTS = 1 << 24
"""maximum number of gradient elements in one all-reduce"""
TIMEOUT = timedelta(days=7)
"""long, because the main process may have to wait until another run releases its lock"""
NO_GPU = ("", "-1", "NoDevFiles")
"""values of CUDA_VISIBLE_DEVICES that select the CPU"""


class ProcessGroup(NamedTuple):
    """The processes of one training, as seen from one of them."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """rank on this machine"""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and the log."""
        return self.rank == 0

    def init(self) -> None:
        """Initialize torch.distributed and bind this process to its GPU; no-op for one process.

        Blocks until all processes have called this.
        """
        if self.size > 1:
            import torch

            backend = "nccl" if torch.cuda.is_available() else "gloo"
            if backend == "nccl":
                torch.cuda.set_device(device(self))
            torch.distributed.init_process_group(backend, timeout=TIMEOUT)

    def destroy(self) -> None:
        """Destroy the process group of torch.distributed; call at the end of a program."""
        if self.size > 1:
            import torch

            torch.distributed.destroy_process_group()

    def all_reduce(self, values: Sequence[float]) -> list[float]:
        """Sum each value over all processes; blocks until all processes have called this."""
        if self.size == 1:
            return list(values)
        import torch

        total = torch.tensor(values, dtype=torch.float64, device=device(self))
        torch.distributed.all_reduce(total)
        return [float(value) for value in total.tolist()]

    def any_process(self, value: bool) -> bool:
        """Return whether ``value`` is true in any process.

        Blocks until all processes have called this.
        """
        return self.all_reduce([value])[0] > 0

    def barrier(self) -> None:
        """Block until all processes have called this."""
        self.all_reduce([0.0])  # backends return at once for empty tensors

    def all_reduce_gradients(self, parameters: "Sequence[nn.Parameter]") -> None:
        """Sum each gradient over all processes, in place; it stays None if all processes have None.

        Optimizers skip parameters without a gradient; with a gradient of zero they would still
        apply momentum.
        """
        if self.size == 1:
            return
        import torch

        local = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32)
        counts = local.to(device(self))
        torch.distributed.all_reduce(counts)
        shared = [p for p, n in zip(parameters, counts.tolist(), strict=True) if n]
        for bucket in _buckets(shared):
            parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
            flat = torch.cat([part.flatten() for part in parts])
            torch.distributed.all_reduce(flat)
            pieces = flat.split([p.numel() for p in bucket])
            for p, piece in zip(bucket, pieces, strict=True):
                p.grad = piece.view_as(p)


SINGLE_PROCESS = ProcessGroup()


def process_group(size: int) -> ProcessGroup:
    """Return the group of ``size`` processes, with the ranks set by torchrun.

    Raises DataError if torchrun started a different number of processes.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != size:
        raise DataError(
            f"{size} processes were requested (--nodes times --ngpu), but {started} were started: "
            "start them with utils/torchrun.sh and the same numbers"
        )
    return ProcessGroup(
        int(os.environ.get("RANK", "0")), size, int(os.environ.get("LOCAL_RANK", "0"))
    )


def device(world: ProcessGroup = SINGLE_PROCESS) -> "torch.device":
    """Return the GPU of this process, or the CPU if the machine has no GPU.

    Raises DataError if GPUs are assigned to this job but not available.
    """
    import torch

    assigned = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        if world.local_rank >= count:
            raise DataError(
                f"process {world.local_rank + 1} on this machine has no GPU: there are {count}; "
                "use a smaller --ngpu"
            )
        return torch.device("cuda", world.local_rank)
    if assigned is not None and assigned.split(",")[0].strip() not in NO_GPU:
        raise DataError(
            f"CUDA_VISIBLE_DEVICES={assigned}, but torch finds no GPU: check driver and stack with "
            "./run.sh --stage 0 --stop-stage 0, or set CUDA_VISIBLE_DEVICES= to use the CPU"
        )
    return torch.device("cpu")


def _buckets(parameters: "Sequence[nn.Parameter]") -> "Iterator[list[nn.Parameter]]":
    """Yield consecutive parameters of one dtype with at most ``BUCKET_ELEMENTS`` elements.

    A larger parameter is a bucket.
    """
    bucket: list[nn.Parameter] = []
    for p in parameters:
        full = sum(other.numel() for other in bucket) + p.numel() > BUCKET_ELEMENTS
        if bucket and (full or bucket[0].dtype != p.dtype):
            yield bucket
            bucket = []
        bucket.append(p)
    if bucket:
        yield bucket
