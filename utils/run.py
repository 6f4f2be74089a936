#!/usr/bin/env python3
"""Run jobs on this machine, several at a time, each with a log of its own.

An array of jobs, JOB replaced by its number in the log and in every argument:

  utils/run.py JOB=1:4 exp/log/x.JOB.log prog --part JOB

Jobs of a table, a line `id<TAB>log<TAB>more arguments, tab-separated` each, in the table's order:

  utils/run.py --gpu 1 --table jobs.tsv prog common arguments

One job: utils/run.py exp/log/x.log prog arguments. Arguments are passed as they are, without a
shell. With --gpu N each running job sees N cards of its own (of those in CUDA_VISIBLE_DEVICES where
the caller set it); without any card the jobs run on the CPU. A job that fails does not stop the
others; at the end the failed ones are listed and the exit code is 1. TERM and INT end all jobs.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from io import FileIO
from typing import NamedTuple

from jobs import Job, parse, report

GRACE_SECONDS = 10.0  # between TERM and KILL
QUIET_SECONDS = 10.0  # between progress lines where there is no terminal
LIBC = ctypes.CDLL(None)


class Running(NamedTuple):
    """A job at work in a slot (0, 1, ...)."""

    job: Job
    process: subprocess.Popen[bytes]
    log: FileIO
    slot: int
    started: float


class Stopped(Exception):
    """A signal (its number) asks us to end."""


# ---- where to run it ---------------------------------------------------------------------------


def cards() -> list[str]:
    """The cards jobs may use, as CUDA_VISIBLE_DEVICES names them."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        names = [name.strip() for name in allowed.split(",")]
        return [] if names[0] in ("", "-1", "NoDevFiles") else names
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else []


def slots(gpu: int, max_jobs: int, found: list[str]) -> list[dict[str, str]]:
    """For each job that may run at a time, what is added to its environment.

    With cards, slot i has ``gpu`` cards of its own; more slots than cards share them in turn.
    """
    if not gpu or not found:
        return [{}] * (max_jobs or len(os.sched_getaffinity(0)))
    if gpu > len(found):
        raise ValueError(f"--gpu {gpu}: there are {len(found)} cards ({', '.join(found)})")
    sets = [found[i : i + gpu] for i in range(0, len(found) - gpu + 1, gpu)]
    return [
        # nvidia-smi counts cards in the order of the bus, CUDA by speed unless told otherwise
        {"CUDA_VISIBLE_DEVICES": ",".join(sets[i % len(sets)]), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        for i in range(max_jobs or len(sets))
    ]


# ---- running it --------------------------------------------------------------------------------


def start(job: Job, slot: int, environment: dict[str, str]) -> Running:
    """Start a job in a process group of its own; its log never mixes with an older one."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    new = job.log.with_name(job.log.name + ".new")
    log = new.open("a+b", buffering=0)
    log.truncate(0)
    command = shlex.join(job.command).replace("\n", "\n# ")
    log.write(f"# {command}\n# Started at {_now()}\n#\n".encode())
    new.replace(job.log)
    try:
        process = subprocess.Popen(
            job.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )
    except OSError:
        log.close()
        raise
    return Running(job, process, log, slot, time.monotonic())


def _end_with_parent() -> None:
    """Ask Linux to end this job if the runner itself is killed with no time to do it."""
    if hasattr(LIBC, "prctl"):
        LIBC.prctl(1, signal.SIGTERM)  # 1 = PR_SET_PDEATHSIG


def _signal(running: Running, number: int) -> None:
    """Send a signal to a job and to all it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.process.pid, number)


def finish(running: Running) -> int:
    """Exit code of an ended job (128 + n for signal n, as shells say), put into its log."""
    code = running.process.wait()
    _signal(running, signal.SIGTERM)  # what it may have left behind
    code = 128 - code if code < 0 else code
    elapsed = time.monotonic() - running.started
    with running.log as log:
        log.seek(-1, os.SEEK_END)
        end = b"" if log.read(1) == b"\n" else b"\n"
        log.write(end + f"# Ended (code {code}) at {_now()}, elapsed {elapsed:.0f} s\n".encode())
    return code


def stop(running: list[Running]) -> None:
    """End jobs: TERM, and KILL for those that do not obey."""
    for one in running:
        _signal(one, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while any(one.process.poll() is None for one in running) and time.monotonic() < deadline:
        time.sleep(0.05)
    for one in running:
        _signal(one, signal.SIGKILL)
        finish(one)


def run(jobs: list[Job], environments: list[dict[str, str]]) -> list[tuple[Job, int]]:
    """Run all jobs, one for each environment at a time; those that failed and their exit codes."""
    waiting = list(reversed(jobs))
    free = list(reversed(range(len(environments))))
    running: list[Running] = []
    failed: list[tuple[Job, int]] = []
    progress = Progress(len(jobs))
    try:
        while waiting or running:
            while waiting and free:
                job, slot = waiting.pop(), free.pop()
                try:
                    running.append(start(job, slot, environments[slot]))
                except OSError as error:
                    failed.append((job, _could_not_start(job, error)))
                    free.append(slot)
            for ended in [one for one in running if one.process.poll() is not None]:
                running.remove(ended)
                free.append(ended.slot)
                code = finish(ended)
                if code:
                    failed.append((ended.job, code))
            progress.show(len(jobs) - len(waiting) - len(running), len(failed))
            time.sleep(0.05 if running else 0)
    except Stopped:
        stop(running)
        raise
    return failed


def _could_not_start(job: Job, error: OSError) -> int:
    """Say so in the log where there is one; the exit code is the shells' for this case."""
    text = f"error: {error.strerror}: {error.filename}\n# Ended (code 127) at {_now()}\n"
    if job.log.parent.is_dir():
        with job.log.open("a", encoding="utf-8") as log:
            log.write(text)
    return 127


# ---- what is said ------------------------------------------------------------------------------


class Progress:
    """`3 of 12 done, 1 failed, 40 s`: one changing line on a terminal, else a line now and then."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.begun = self.last = time.monotonic()
        self.said = (0, 0)
        self.terminal = sys.stdout.isatty()

    def show(self, ended: int, failed: int) -> None:
        now = time.monotonic()
        over = ended == self.total
        news = (ended, failed) != self.said and (over or now - self.last >= QUIET_SECONDS)
        if not (news or (self.terminal and (over or now - self.last >= 1))):
            return
        self.last, self.said = now, (ended, failed)
        elapsed = now - self.begun
        text = f"run.py: {ended - failed} of {self.total} done, {failed} failed"
        text += f", {_duration(elapsed)}"
        if ended and not over:
            text += f", about {_duration(elapsed / ended * (self.total - ended))} left"
        if self.terminal:
            print(f"\r\033[K{text}", end="\n" if over else "", flush=True)
        else:
            print(text, flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def _stop_on_signal(number: int, frame: object) -> None:
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)  # once is enough
    raise Stopped(number)


def main(argv: list[str]) -> int:
    """Run what the command line says; the exit code."""
    try:
        args, jobs = parse(argv, __doc__)
        found = cards() if args.gpu else []
        environments = slots(args.gpu, args.max_jobs, found)
    except (ValueError, OSError) as error:
        print(f"error: run.py: {error}", file=sys.stderr)
        return 1
    if not jobs:
        print("run.py: no jobs to run")
        return 0
    if args.gpu and not found and len(jobs) > 1:
        print(f"run.py: no GPU here; on the CPU, {len(environments)} at a time", flush=True)
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(each) != signal.SIG_IGN:  # as under nohup
            signal.signal(each, _stop_on_signal)
    try:
        failed = run(jobs, environments)
    except Stopped as stopped:
        number = signal.Signals(stopped.args[0])
        print(f"error: run.py: stopped by {number.name}; all jobs were ended", file=sys.stderr)
        return 128 + number
    if failed:
        report(failed, len(jobs), [sys.argv[0], *argv])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
