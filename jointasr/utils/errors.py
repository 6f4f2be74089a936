"""The one kind of error that is the user's to mend, and how programs end with it."""

import errno
import os
import signal
import sys
from collections.abc import Callable

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DataError(ValueError):
    """Bad input: the message names the file, line or id and says what to do about it."""


def run(main: Callable[[], None]) -> None:
    """Run a program's ``main()``; a user's error becomes one line on stderr and exit code 1.

    ``DataError`` and ``OSError`` (a missing or unreadable file) are reported without a traceback;
    anything else is a fault of the program and keeps its traceback.
    """
    try:
        main()
    except BrokenPipeError:  # `... | head` closed the pipe: not an error
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:  # Ctrl-C is no fault, and needs no traceback
        sys.exit(128 + signal.SIGINT)
    except (DataError, OSError) as error:
        sys.stdout.flush()
        text = str(error)
        if isinstance(error, OSError) and error.filename and error.strerror:
            text = f"{error.filename}: {error.strerror}"
        if isinstance(error, OSError) and error.errno in FULL:
            text += "; make room and run the same again: what is finished is kept"
        print(f"error: {text}", file=sys.stderr)
        sys.exit(1)
