"""Several processes that train one model together, each on its share of every batch.

They are started by torchrun (``utils/torchrun.sh``), which tells each its place in the environment.
There is no wrapper around the model: gradients are summed once per step. So a process' share
of a batch may be empty, and it may leave out other layers than the others do.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from jointasr.utils.errors import DataError

if TYPE_CHECKING:
    import torch
    from torch import nn

BUCKET = 1 << 24  # numbers summed at a time
PATIENCE = timedelta(days=7)  # the first process may wait for another run's lock
NO_CARDS = ("", "-1", "NoDevFiles")  # CUDA_VISIBLE_DEVICES of who wants the CPU


class ProcessGroup(NamedTuple):
    """The processes of one training, seen from one of them."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """rank among those on this machine"""

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files and the log."""
        return self.rank == 0

    def init(self) -> None:
        """Join the process group; blocks until all processes have joined."""
        if self.size > 1:
            import torch

            backend = "nccl" if torch.cuda.is_available() else "gloo"
            if backend == "nccl":
                torch.cuda.set_device(device(self))
            torch.distributed.init_process_group(backend, timeout=PATIENCE)

    def destroy(self) -> None:
        """Leave the process group at the end of a program."""
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
        """Whether ``value`` is true in any process; blocks until all processes have called this."""
        return self.all_reduce([value])[0] > 0

    def barrier(self) -> None:
        """Block until all processes have called this."""
        self.all_reduce([])

    def all_reduce_gradients(self, parameters: "Sequence[nn.Parameter]") -> None:
        """Make each gradient the sum over all processes, None where it is None in all of them.

        The optimisers leave alone what has no gradient; zeros would move it by its momentum.
        """
        if self.size == 1:
            return
        import torch

        here = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32)
        somewhere = here.to(device(self))
        torch.distributed.all_reduce(somewhere)
        shared = [p for p, n in zip(parameters, somewhere.tolist(), strict=True) if n]
        for bucket in _buckets(shared):
            parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in bucket]
            flat = torch.cat([part.flatten() for part in parts])
            torch.distributed.all_reduce(flat)
            pieces = flat.split([p.numel() for p in bucket])
            for p, piece in zip(bucket, pieces, strict=True):
                p.grad = piece.view_as(p)


SINGLE_PROCESS = ProcessGroup()


def process_group(size: int) -> ProcessGroup:
    """This process' place among the ``size`` that were asked for, as torchrun says.

    Raises DataError when torchrun started another number of them.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != size:
        raise DataError(
            f"{size} processes were asked for (--nodes times --ngpu), but {started} were started: "
            "start them with utils/torchrun.sh and the same numbers"
        )
    return ProcessGroup(
        int(os.environ.get("RANK", "0")), size, int(os.environ.get("LOCAL_RANK", "0"))
    )


def device(world: ProcessGroup = SINGLE_PROCESS) -> "torch.device":
    """Where to compute: this process' card, or the CPU where there is none.

    Raises DataError where cards were assigned to this job but are not to be had.
    """
    import torch

    assigned = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.cuda.is_available():
        found = torch.cuda.device_count()
        if world.local >= found:
            raise DataError(
                f"process {world.local + 1} on this machine has no card: there are {found}; give "
                "a smaller --ngpu"
            )
        return torch.device("cuda", world.local)
    if assigned is not None and assigned.split(",")[0].strip() not in NO_CARDS:
        raise DataError(
            f"the cards {assigned} were assigned (CUDA_VISIBLE_DEVICES), but torch finds none: see "
            "what ./run.sh --stage 0 says of driver and stack, or set CUDA_VISIBLE_DEVICES= to "
            "compute on the CPU"
        )
    return torch.device("cpu")


def _buckets(parameters: "Sequence[nn.Parameter]") -> "Iterator[list[nn.Parameter]]":
    """Runs of parameters of one type with about ``BUCKET`` numbers in each."""
    bucket: list[nn.Parameter] = []
    for p in parameters:
        full = sum(one.numel() for one in bucket) + p.numel() > BUCKET
        if bucket and (full or bucket[0].dtype != p.dtype):
            yield bucket
            bucket = []
        bucket.append(p)
    if bucket:
        yield bucket
