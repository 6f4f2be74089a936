"""Time of each part of a training step; disabled unless ``jointasr.bench`` enables it."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch


class StepTimer:
    """Sum of the seconds of each part of a step.

    While it is enabled, the device is synchronized around each part, which removes the overlap
    between parts.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.seconds: dict[str, float] = defaultdict(float)

    def __call__(self, part: str) -> AbstractContextManager[None]:
        """Return a context manager that times ``part``; parts must not be nested."""
        return self._time(part) if self.enabled else nullcontext()

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
    """Wait until the GPU, if there is one, has finished its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
