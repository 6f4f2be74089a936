"""Errors that the user can fix, and how programs report them."""

import errno
import os
import signal
import sys
from collections.abc import Callable

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DataError(ValueError):
    """Bad input. The message names the file, line or id and says what to do."""


def run(main: Callable[[], None]) -> None:
    """Run a program's ``main()`` and report user errors as one line on stderr, with exit code 1.

    ``DataError`` and ``OSError`` (a missing or unreadable file) are reported without a traceback.
    Any other exception is a bug in the program and keeps its traceback.
    """
    try:
        main()
    except BrokenPipeError:  # `... | head` closed the pipe: not an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except (DataError, OSError) as error:
        sys.stdout.flush()
        text = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            text = f"{error.filename}: {error.strerror}"
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            text += "; free some space and run the same command again: finished work is kept"
        print(f"error: {text}", file=sys.stderr)
        sys.exit(1)
