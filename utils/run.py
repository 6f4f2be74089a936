#!/usr/bin/env python3
"""Run jobs on this machine, several at a time, each with a log of its own.

An array of jobs, JOB replaced by its number in the log and in every argument:

  utils/run.py JOB=1:4 exp/log/x.JOB.log prog --part JOB

Jobs of a table, a line `id<TAB>log<TAB>more arguments, tab-separated` each, in the table's order:

  utils/run.py --gpu 1 --table jobs.tsv prog common arguments

One job: utils/run.py exp/log/x.log prog arguments. Arguments are passed as they are, without a
shell. With --gpu N each running job sees N cards of its own (of those in CUDA_VISIBLE_DEVICES where
the caller set it); without any card the jobs run on the CPU. A job that fails does not stop the
others; at the end the failed ones are listed and the exit code is 1. TERM and INT end all jobs,
which may save what they have first; a second signal kills them.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from io import FileIO
from typing import NamedTuple

from jobs import (
    Job,
    Progress,
    Stopped,
    cause,
    ignore_signals,
    install_signal_handlers,
    parse,
    report,
    with_parent,
)

GRACE_SECONDS = 120.0  # between TERM and KILL: a training's state may be gigabytes


class Running(NamedTuple):
    """A job at work in a slot (0, 1, ...)."""

    job: Job
    process: subprocess.Popen[bytes]
    log: FileIO
    slot: int
    started: float


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
        cores = len(os.sched_getaffinity(0))
        return [{}] * (max_jobs or max(1, cores // max(1, gpu)))  # a process for each card wanted
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
            preexec_fn=with_parent(signal.SIGTERM),  # should the runner be killed
        )
    except OSError:
        log.close()
        raise
    return Running(job, process, log, slot, time.monotonic())


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
    """End jobs: TERM, and KILL for those that do not obey, at once when a second signal comes."""
    said, begun = False, time.monotonic()
    with contextlib.suppress(Stopped):
        for one in running:
            _signal(one, signal.SIGTERM)
        while any(one.process.poll() is None for one in running):
            passed = time.monotonic() - begun
            if passed > GRACE_SECONDS:
                break
            if passed > 2 and not said:
                print("run.py: waiting for jobs to save what they have; again to kill", flush=True)
                said = True
            time.sleep(0.05)
    ignore_signals()
    for one in running:
        _signal(one, signal.SIGKILL)
        finish(one)


def run(jobs: list[Job], environments: list[dict[str, str]]) -> list[tuple[Job, int]]:
    """Run all jobs, one for each environment at a time; those that failed and their exit codes."""
    waiting = list(reversed(jobs))
    free = list(reversed(range(len(environments))))
    running: list[Running] = []
    failed: list[tuple[Job, int]] = []
    progress = Progress("run.py", len(jobs))
    try:
        while waiting or running:
            while waiting and free:
                job, slot = waiting.pop(), free.pop()
                try:
                    running.append(start(job, slot, environments[slot]))
                except OSError as error:
                    failed.append((job, could_not_start(job, error)))
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


def could_not_start(job: Job, error: OSError) -> int:
    """Say so in the log where there is one; the exit code is the shells' for this case."""
    text = f"error: {error.strerror}: {error.filename}\n# Ended (code 127) at {_now()}\n"
    if job.log.parent.is_dir():
        with job.log.open("a", encoding="utf-8") as log:
            log.write(text)
    return 127


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def main(argv: list[str]) -> int:
    """Run what the command line says; the exit code."""
    try:
        args, jobs = parse(argv, __doc__)
        found = cards() if args.gpu else []
        environments = slots(args.gpu, args.max_jobs, found)
        if args.nodes > 1:
            raise ValueError("several machines for a job: with cmd_backend=slurm (see cmd.sh)")
    except (ValueError, OSError) as error:
        print(f"error: run.py: {error}", file=sys.stderr)
        return 1
    if args.dry_run:
        print("\n".join(f"{shlex.join(job.command)} >{shlex.quote(str(job.log))}" for job in jobs))
        return 0
    if not jobs:
        print("run.py: no jobs to run")
        return 0
    if args.gpu and not found and len(jobs) > 1:
        print(f"run.py: no GPU here; on the CPU, {len(environments)} at a time", flush=True)
    install_signal_handlers()
    try:
        failed = run(jobs, environments)
    except Stopped as stopped:
        number = signal.Signals(stopped.args[0])
        print(f"error: run.py: stopped by {number.name}; all jobs were ended", file=sys.stderr)
        return 128 + number
    if failed:
        told = [(job, cause(code)) for job, code in failed]
        report(told, len(jobs), [sys.argv[0], *argv])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
