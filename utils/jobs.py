"""What job runners share: arrays and tables of jobs, signals, progress, how failures are told."""

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
QUIET_SECONDS = 10.0  # between progress lines where there is no terminal


LIBC = ctypes.CDLL(None)
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LIMIT = 128 + signal.SIGUSR1  # exit code of a job that came near its time limit once too often


class Job(NamedTuple):
    """One program to run; ``log`` gets its output."""

    log: Path
    command: list[str]


class Stopped(Exception):
    """A signal (its number) asks us to end."""


def install_signal_handlers() -> None:
    """Turn signals into Stopped, but those that the caller had ignored, as nohup does."""

    def stop(number: int, frame: object) -> None:
        raise Stopped(number)

    for each in SIGNALS:
        if signal.getsignal(each) != signal.SIG_IGN:
            signal.signal(each, stop)


def ignore_signals() -> None:
    """Ignore further signals: ending is under way."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)


def with_parent(number: int) -> Callable[[], None]:
    """What a child calls first so that Linux sends it ``number`` if its parent is killed."""

    def ask() -> None:
        if hasattr(LIBC, "prctl"):
            LIBC.prctl(1, number)  # 1 = PR_SET_PDEATHSIG

    return ask


def parse(
    argv: list[str], description: str, more: Sequence[str] = ()
) -> tuple[argparse.Namespace, list[Job]]:
    """Options and jobs of a command line; ``more`` options with a value may be given as well.

    ValueError or OSError says what is wrong with it.
    """
    parser = argparse.ArgumentParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s [options] [JOB=1:N] log prog args... | --table FILE prog args...",
    )
    add = parser.add_argument
    add("--gpu", type=int, default=0, metavar="N", help="cards for each job")
    add("--max-jobs", type=int, default=0, metavar="N", help="at a time (default: cores, or cards)")
    add("--nodes", type=int, default=1, metavar="N", help="machines for each job (on a cluster)")
    add("--mem", default="", metavar="G", help="for each job (on a cluster)")
    add("--dry-run", action="store_true", help="say what would be run")
    for name in more:
        add(f"--{name}", help=argparse.SUPPRESS)
    add("--table", type=Path, metavar="FILE", help="the jobs, one a line; -: from standard input")
    options, array, words = _split(argv)
    args = parser.parse_args(options)
    if args.gpu < 0 or args.max_jobs < 0 or args.nodes < 1:
        raise ValueError("--gpu and --max-jobs are not negative, --nodes is 1 at least")
    if args.table:
        if array:
            raise ValueError(f"{array[0]}={array[1]}:{array[2]} and --table exclude each other")
        jobs = _table(args.table, words)
    else:
        jobs = _array(array, words)
    logs = [job.log for job in jobs]
    twice = next((log for log in logs if logs.count(log) > 1), None)
    if twice:
        raise ValueError(f"several jobs would write the log {twice}")
    return args, jobs


def _split(argv: list[str]) -> tuple[list[str], tuple[str, int, int] | None, list[str]]:
    """Options, the array NAME=first:last (which may stand among them), and the words after."""
    options: list[str] = []
    array = None
    i = 0
    while i < len(argv):
        found = re.fullmatch(r"([A-Za-z]\w*)=(\d+)(?::(\d+))?", argv[i])
        if found:
            array = (found[1], int(found[2]), int(found[3] or found[2]))
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
    """Which jobs failed and why, the end of the first one's log, and the command to run again."""
    name = Path(command[0]).name
    lines = [f"error: {name}: {len(failed)} of {total} jobs failed:"]
    lines += [f"  {job.log}: {why}" for job, why in failed]
    log = failed[0][0].log
    lines.append(f"last lines of {log}:")
    if log.is_file():
        text = log.read_text(encoding="utf-8", errors="replace")
        lines += [f"  | {line}" for line in text.splitlines()[-LOG_TAIL:]]
    else:
        lines.append("  | it could not be written")
    lines.append("next: mend what the log names, then run the same again. This job alone was:")
    lines.append(f"  {shlex.join(failed[0][0].command)}")
    lines.append("and all jobs:")
    lines.append(f"  {shlex.join(command)}")
    print("\n".join(lines), file=sys.stderr, flush=True)


def cause(code: int) -> str:
    """What an exit code says."""
    if code <= 128 or code - 128 not in set(signal.Signals):
        return f"exit code {code}"
    number = signal.Signals(code - 128)
    why = ", often for want of memory" if number == signal.SIGKILL else ""
    return f"exit code {code} (killed by {number.name}{why})"


class Progress:
    """`3 of 12 done, 1 failed, 40 s`: one changing line on a terminal, else a line now and then."""

    def __init__(self, name: str, total: int) -> None:
        self.name, self.total = name, total
        self.begun = self.last = time.monotonic()
        self.said = (0, 0)
        self.terminal = sys.stdout.isatty()

    def show(self, ended: int, failed: int) -> None:
        """Say that so many have ended, so many of them badly, if it is time to."""
        now = time.monotonic()
        over = ended == self.total
        news = (ended, failed) != self.said and (over or now - self.last >= QUIET_SECONDS)
        if not (news or (self.terminal and (over or now - self.last >= 1))):
            return
        self.last, self.said = now, (ended, failed)
        elapsed = now - self.begun
        text = f"{self.name}: {ended - failed} of {self.total} done, {failed} failed"
        text += f", {_duration(elapsed)}"
        if ended and not over:
            text += f", about {_duration(elapsed / ended * (self.total - ended))} left"
        if self.terminal:
            print(f"\r\033[K{text}", end="\n" if over else "", flush=True)
        else:
            print(text, flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
