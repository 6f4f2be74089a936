"""Locks on outputs: two runs may work beside each other, but never on the same folder.

A lock is a file beside what it guards, held through flock(2): the kernel releases it when the last
process that works there has ended, however it ended. ``utils/lock.sh`` is the same for scripts.
"""

import fcntl
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from jointasr.utils.errors import DataError

POLL_SECONDS = 0.5
SAY_SECONDS = 60.0  # between lines about waiting


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold the lock of ``out``, a folder or file that need not exist yet.

    Waits while another run has it, and says for whom. Raises DataError where the file system has
    no locks.
    """
    path = lock_file(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _wait(file, out)
        file.truncate(0)
        words = " ".join(sys.argv[:1] + sys.argv[1:4])
        file.write(f"process {os.getpid()} on {socket.gethostname()} ({words})\n")
        file.flush()
        yield


def lock_file(out: Path) -> Path:
    """Where the lock of ``out`` is: beside it, so that ``out`` may be emptied or replaced."""
    return out.parent / f".{out.name}.lock"


def _wait(file: TextIO, out: Path) -> None:
    said = -SAY_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        except OSError as error:
            raise DataError(
                f"{out}: its file system has no locks ({error.strerror}); mount it with them, or "
                "work in a folder elsewhere"
            ) from None
        if time.monotonic() - said >= SAY_SECONDS:
            file.seek(0)
            who = file.read().strip() or "another process"
            print(f"{out}: {who} is at work on it; waiting for its end", file=sys.stderr)
            said = time.monotonic()
        time.sleep(POLL_SECONDS)
