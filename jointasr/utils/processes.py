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


def exit_with_parent(parent: int) -> None:
    """Kill this process when its parent, process ``parent``, ends, or now if it has ended.

    Systems other than Linux support only the latter. Call this first in worker processes: if the
    program is killed while a worker starts, the worker would otherwise wait forever and keep its
    memory. torch's watchdog does not detect this case: it compares the worker's
    parent with that at its own start, when the worker may already have been reparented.
    """
    signal_on_parent_death(signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
