"""Common parts of the job runners: arrays and tables of jobs, signals, progress, failure report."""

from __future__ import annotations

import argparse
import ctypes
import re
import shlex
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

LOG_TAIL = 20  # lines shown of the first failed job's log
QUIET_SECONDS = 10.0  # between progress lines if the output is not a terminal

LIBC = ctypes.CDLL(None)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LIMIT = (
    128 + signal.SIGUSR1
)  # exit code of a job that reached its time limit after the last requeue


class Job(NamedTuple):
    """A program to run; its output goes to ``log``."""

    log: Path
    command: list[str]


class Stopped(Exception):
    """The runner received a signal; the argument is its number."""


def install_signal_handlers() -> None:
    """Raise Stopped on signals, except those that the caller ignores (e.g. under nohup)."""

    def stop(number: int, frame: object) -> None:
        raise Stopped(number)

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def ignore_signals() -> None:
    """Ignore further signals while shutting down."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def die_with_parent(number: int) -> Callable[[], None]:
    """Return a ``preexec_fn`` that makes Linux send signal ``number`` to the child when its parent
    dies."""

    def set_death_signal() -> None:
        if hasattr(LIBC, "prctl"):
            LIBC.prctl(1, number)  # 1 = PR_SET_PDEATHSIG

    return set_death_signal


def parse(
    argv: list[str], description: str, extra_options: Sequence[str] = ()
) -> tuple[argparse.Namespace, list[Job]]:
    """Parse a command line into options and jobs; ``extra_options`` are options with a value.

    Raises ValueError or OSError for a wrong command line or table.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] [JOB=1:N] log prog args... | --table FILE prog args...",
    )
    add = parser.add_argument
    add("--gpu", type=int, default=0, metavar="N", help="GPUs per job")
    add(
        "--max-jobs",
        type=int,
        default=0,
        metavar="N",
        help="jobs at a time (default: one per core or GPU)",
    )
    add("--nodes", type=int, default=1, metavar="N", help="machines per job (cluster only)")
    add("--mem", default="", metavar="G", help="memory per job (cluster only)")
    add("--dry-run", action="store_true", help="only print the jobs")
    for name in extra_options:
        add(f"--{name}", help=argparse.SUPPRESS)
    add(
        "--table",
        type=Path,
        metavar="FILE",
        help="table of jobs, one per line; - reads standard input",
    )
    options, array, words = _split(argv)
    args = parser.parse_args(options)
    if args.gpu < 0 or args.max_jobs < 0 or args.nodes < 1:
        raise ValueError("--gpu and --max-jobs must not be negative, --nodes must be at least 1")
    if args.table:
        if array:
            raise ValueError(f"{array[0]}={array[1]}:{array[2]} and --table exclude each other")
        jobs = _table(args.table, words)
    else:
        jobs = _array(array, words)
    logs = [job.log for job in jobs]
    duplicate = next((log for log in logs if logs.count(log) > 1), None)
    if duplicate:
        raise ValueError(f"several jobs would write the log {duplicate}")
    return args, jobs


def _split(argv: list[str]) -> tuple[list[str], tuple[str, int, int] | None, list[str]]:
    """Return the options, the array (NAME, first, last), which may be among them, and the rest."""
    options: list[str] = []
    array = None
    i = 0
    while i < len(argv):
        match = re.fullmatch(r"([A-Za-z]\w*)=(\d+)(?::(\d+))?", argv[i])
        if match:
            array = (match[1], int(match[2]), int(match[3] or match[2]))
            i += 1
        elif argv[i].startswith("-"):
            length = 1 if "=" in argv[i] or argv[i] in ("-h", "--help", "--dry-run") else 2
            options += argv[i : i + length]
            i += length
        else:
            break
    return options, array, argv[i:]


def _array(array: tuple[str, int, int] | None, words: list[str]) -> list[Job]:
    if len(words) < 2:
        raise ValueError("a log and a program are needed; see utils/run.py --help")
    if array is None:
        return [Job(Path(words[0]), words[1:])]
    name, first, last = array
    if first > last:
        raise ValueError(f"{name}={first}:{last} is empty")
    if first < last and name not in words[0]:
        raise ValueError(f"the log {words[0]} needs {name} in its name: one log for each job")
    return [
        Job(Path(words[0].replace(name, str(n))), [w.replace(name, str(n)) for w in words[1:]])
        for n in range(first, last + 1)
    ]


def _table(path: Path, words: list[str]) -> list[Job]:
    if not words:
        raise ValueError("a program is needed after --table FILE")
    jobs, ids = [], set()
    text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        fields = line.split("\t")
        if len(fields) < 2 or not fields[0] or not fields[1]:
            raise ValueError(f"{path}:{number}: expected id<TAB>log[<TAB>argument ...]: {line!r}")
        if fields[0] in ids:
            raise ValueError(f"{path}:{number}: the id {fields[0]} appears twice")
        ids.add(fields[0])
        jobs.append(Job(Path(fields[1]), words + fields[2:]))
    return jobs


def report(failed: list[tuple[Job, str]], total: int, command: list[str]) -> None:
    """Print which jobs failed and why, the end of the first log, and the command to re-run."""
    name = Path(command[0]).name
    lines = [f"error: {name}: {len(failed)} of {total} jobs failed:"]
    lines += [f"  {job.log}: {why}" for job, why in failed]
    log = failed[0][0].log
    lines.append(f"last lines of {log}:")
    if log.is_file():
        text = log.read_text(encoding="utf-8", errors="replace")
        lines += [f"  | {line}" for line in text.splitlines()[-LOG_TAIL:]]
    else:
        lines.append("  | (the log could not be written)")
    lines.append("next: fix the error in the log and run the same command again. Failed job:")
    lines.append(f"  {shlex.join(failed[0][0].command)}")
    lines.append("all jobs:")
    lines.append(f"  {shlex.join(command)}")
    print("\n".join(lines), file=sys.stderr, flush=True)


def cause(code: int) -> str:
    """Describe an exit code."""
    if code <= 128 or code - 128 not in set(signal.Signals):
        return f"exit code {code}"
    number = signal.Signals(code - 128)
    why = ", often out of memory" if number == signal.SIGKILL else ""
    return f"exit code {code} (killed by {number.name}{why})"


class Progress:
    """Print `3 of 12 done, 1 failed`: one updated line on a terminal, else occasional lines."""

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total = name, total
        self.started = self.last = time.monotonic()
        self.printed = (0, 0)
        self.terminal = sys.stdout.isatty()

    def show(self, ended: int, failed: int) -> None:
        """Print the numbers of ended and failed jobs if they changed and enough time has passed."""
        now = time.monotonic()
        finished = ended == self.total
        changed = (ended, failed) != self.printed
        due = changed and (finished or now - self.last >= QUIET_SECONDS)
        if not (due or (self.terminal and (finished or now - self.last >= 1))):
            return
        self.last, self.printed = now, (ended, failed)
        elapsed = now - self.started
        text = f"{self.name}: {ended - failed} of {self.total} done, {failed} failed"
        text += f", {_duration(elapsed)}"
        if ended and not finished:
            text += f", about {_duration(elapsed / ended * (self.total - ended))} left"
        if self.terminal:
            print(f"\r\033[K{text}", end="\n" if finished else "", flush=True)
        else:
            print(text, flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
