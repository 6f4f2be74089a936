"""Processes that end when their parent process ends."""

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def signal_on_parent_death(number: int) -> None:
    """Have the kernel send ``number`` to this process when its parent ends. Linux only."""
    if hasattr(_LIBC, "prctl"):
        _LIBC.prctl(PR_SET_PDEATHSIG, number)


def end_with(parent: int) -> None:
    """End this process when its parent, process ``parent``, ends; at once if it has ended already.

    Outside Linux only the latter. Call this first in worker processes: a worker whose program is
    killed during start-up would otherwise wait forever and hold the lock of the output folder.
    torch's own watchdog does not notice, because it takes the process that adopted the worker for
    the program.
    """
    signal_on_parent_death(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
