"""Locks on outputs: runs may work at the same time, but never on the same folder.

The lock of an output is flock(2) on a file next to it, taken with the filelock library. The kernel
releases it when the process ends, however it ends. Forked children, such as workers of data
loaders, do not hold it. ``utils/lock.sh`` uses the same files; there, the children of the script
hold the lock as well, until they end.
"""

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr.utils.errors import DataError

if TYPE_CHECKING:
    import filelock

POLL_SECONDS = 0.5
REPORT_SECONDS = 60.0
"""interval between messages while waiting"""


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold the lock of ``out``, a folder or file that need not exist yet.

    Wait while another run holds it, and report which. Raises DataError if the file system does not
    support locks, or if the lock file is a symbolic link.
    """
    import filelock  # here, because it imports asyncio and this module is imported by all programs

    path = lock_file(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(
        path, poll_interval=POLL_SECONDS, fallback_to_soft=False, preserve_lock_file=True
    )
    _acquire(lock, path, out)
    try:
        command = " ".join(sys.argv[:4])
        holder = f"process {os.getpid()} on {socket.gethostname()} ({command})\n"
        path.write_text(holder, encoding="utf-8")
        yield
    finally:
        lock.release()


def lock_file(out: Path) -> Path:
    """Return the lock file of ``out``, next to it, so that ``out`` may be emptied or replaced."""
    return out.parent / f".{out.name}.lock"


def _acquire(lock: "filelock.BaseFileLock", path: Path, out: Path) -> None:
    import filelock

    timeout = 0.0
    while True:
        try:
            lock.acquire(timeout=timeout)
            return
        except filelock.Timeout:
            holder = path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
            print(f"{out}: locked by {holder}; waiting", file=sys.stderr)
            timeout = REPORT_SECONDS
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise DataError(
                    f"{path}: is a symbolic link, not a lock file; remove the link"
                ) from None
            if error.filename is not None:  # the lock file cannot be opened
                raise
            raise DataError(
                f"{out}: its file system has no locks ({error.strerror}); mount it with locks, or "
                "work in a folder elsewhere"
            ) from None
