"""Time of each part of a training step; off unless ``jointasr/bench`` turns it on."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


class StepTimer:
    """Adds up the seconds of parts of a step. While it is on, the device finishes each part before
    the next begins, which costs what overlapped before."""

    def __init__(self) -> None:
        self.on = False
        self.seconds: dict[str, float] = defaultdict(float)

    def __call__(self, part: str) -> AbstractContextManager[None]:
        """Around what belongs to ``part``; parts do not nest."""
        return self._time(part) if self.on else nullcontext()

    @contextmanager
    def _time(self, part: str) -> Iterator[None]:
        synchronize()
        start = time.perf_counter()
        try:
            yield
        finally:
            synchronize()
            self.seconds[part] += time.perf_counter() - start


def synchronize() -> None:
    """Until the card, if there is one, has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
