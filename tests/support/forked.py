"""Run Python programs in a fork of the test process.

A new interpreter would take seconds to import torch and lhotse; the test process has imported them.
"""

import logging
import os
import runpy
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path


def run_module(name: str, *args: str, cwd: Path = Path()) -> subprocess.CompletedProcess[str]:
    """Do what ``python3 -m <name> <args>`` does."""
    sys.modules.pop(name, None)
    return _run(
        lambda: runpy.run_module(name, run_name="__main__", alter_sys=True), name, args, cwd
    )


def run_file(path: Path, *args: str, cwd: Path = Path()) -> subprocess.CompletedProcess[str]:
    """Do what ``python3 <path> <args>`` does."""
    return _run(lambda: runpy.run_path(str(path), run_name="__main__"), str(path), args, cwd)


def _run(
    program: Callable[[], object], name: str, args: tuple[str, ...], cwd: Path
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        pid = os.fork()
        if pid == 0:
            os.chdir(cwd)
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            sys.argv = [name, *args]
            os._exit(_exit_code(program))
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        for file in (stdout, stderr):
            file.seek(0)
        return subprocess.CompletedProcess([name, *args], code, stdout.read(), stderr.read())


def _exit_code(program: Callable[[], object]) -> int:
    """Run a program on file descriptors 1 and 2, without pytest's capturing and log handlers."""
    logging.root.handlers.clear()
    with open(1, "w", closefd=False) as sys.stdout, open(2, "w", closefd=False) as sys.stderr:
        try:
            program()
        except SystemExit as exit:
            if isinstance(exit.code, str):
                print(exit.code, file=sys.stderr)
                return 1
            return exit.code or 0
        except BaseException:
            traceback.print_exc()
            return 1
        return 0
