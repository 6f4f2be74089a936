#!/usr/bin/env python3
"""Run jobs on this machine, several at a time, each with its own log.

An array of jobs; JOB is replaced by the job number in the log and in all arguments:

  utils/run.py JOB=1:4 exp/log/x.JOB.log prog --part JOB

A table of jobs, run in its order, with lines `id<TAB>log<TAB>argument<TAB>...`:

  utils/run.py --gpu 1 --table jobs.tsv prog common arguments

A single job: utils/run.py exp/log/x.log prog arguments. Arguments are passed literally, without a
shell. With --gpu N each running job has N GPUs to itself (of those in CUDA_VISIBLE_DEVICES, if
set); without a GPU the jobs run on the CPU. A failing job does not stop the others; in the end the
failed jobs are listed and the exit code is 1. TERM and INT terminate all jobs, which may save their
state first; a second signal kills them.
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
    die_with_parent,
    ignore_signals,
    install_signal_handlers,
    parse,
    report,
)

GRACE_SECONDS = 120.0  # between TERM and KILL; a training state may be gigabytes


class Running(NamedTuple):
    """A running job and its slot (0, 1, ...)."""

    job: Job
    process: subprocess.Popen[bytes]
    log: FileIO
    slot: int
    started: float


# ---- slots and GPUs ----------------------------------------------------------------------------


def visible_gpus() -> list[str]:
    """Return the GPUs that jobs may use, as named in CUDA_VISIBLE_DEVICES."""
    allowed = os.environ.get("CUDA_VISIBLE_DEVICES")
    if allowed is not None:
        names = [name.strip() for name in allowed.split(",")]
        return [] if names[0] in ("", "-1", "NoDevFiles") else names
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout.split() if done.returncode == 0 else []


def slots(gpu: int, max_jobs: int, gpus: list[str]) -> list[dict[str, str]]:
    """Return the environment variables to set for each job that may run at a time.

    With GPUs, each slot has ``gpu`` GPUs; if there are more slots than GPUs, slots share them.
    """
    if not gpu or not gpus:
        cores = len(os.sched_getaffinity(0))
        return [{}] * (max_jobs or max(1, cores // max(1, gpu)))  # one process per requested GPU
    if gpu > len(gpus):
        raise ValueError(f"--gpu {gpu}: there are {len(gpus)} GPUs ({', '.join(gpus)})")
    sets = [gpus[i : i + gpu] for i in range(0, len(gpus) - gpu + 1, gpu)]
    return [
        # nvidia-smi numbers GPUs in bus order, CUDA by default by speed
        {"CUDA_VISIBLE_DEVICES": ",".join(sets[i % len(sets)]), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
        for i in range(max_jobs or len(sets))
    ]


# ---- processes ---------------------------------------------------------------------------------


def start(job: Job, slot: int, environment: dict[str, str]) -> Running:
    """Start a job in its own process group, with a new log."""
    job.log.parent.mkdir(parents=True, exist_ok=True)
    temporary = job.log.with_name(job.log.name + ".new")
    log = temporary.open("a+b", buffering=0)
    log.truncate(0)
    command = shlex.join(job.command).replace("\n", "\n# ")
    log.write(f"# {command}\n# Started at {_now()}\n#\n".encode())
    temporary.replace(job.log)
    try:
        process = subprocess.Popen(
            job.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    except OSError:
        log.close()
        raise
    return Running(job, process, log, slot, time.monotonic())


def _signal(running: Running, number: int) -> None:
    """Send a signal to a job and its child processes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(running.process.pid, number)


def finish(running: Running) -> int:
    """Wait for a job, write its exit code to its log and return it (128 + n for signal n)."""
    code = running.process.wait()
    _signal(running, signal.SIGTERM)  # child processes that are still running
    code = 128 - code if code < 0 else code
    elapsed = time.monotonic() - running.started
    with running.log as log:
        log.seek(-1, os.SEEK_END)
        end = b"" if log.read(1) == b"\n" else b"\n"
        log.write(end + f"# Ended (code {code}) at {_now()}, elapsed {elapsed:.0f} s\n".encode())
    return code


def stop(running: list[Running]) -> None:
    """Terminate jobs; kill them after GRACE_SECONDS, or at once on a second signal."""
    announced, begin = False, time.monotonic()
    with contextlib.suppress(Stopped):
        for job in running:
            _signal(job, signal.SIGTERM)
        while any(job.process.poll() is None for job in running):
            elapsed = time.monotonic() - begin
            if elapsed > GRACE_SECONDS:
                break
            if elapsed > 2 and not announced:
                print("run.py: waiting for the jobs to save their state; interrupt again to kill",
                      flush=True)  # fmt: skip
                announced = True
            time.sleep(0.05)
    ignore_signals()
    for job in running:
        _signal(job, signal.SIGKILL)
        finish(job)


def run(jobs: list[Job], environments: list[dict[str, str]]) -> list[tuple[Job, int]]:
    """Run all jobs, one per environment at a time; return the failed jobs and their exit codes."""
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
            for ended in [job for job in running if job.process.poll() is not None]:
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
    """Write the error to the job's log; return 127, the exit code of shells in this case."""
    text = f"error: {error.strerror}: {error.filename}\n# Ended (code 127) at {_now()}\n"
    if job.log.parent.is_dir():
        with job.log.open("a", encoding="utf-8") as log:
            log.write(text)
    return 127


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S")


def main(argv: list[str]) -> int:
    """Run the jobs of a command line; return the exit code."""
    try:
        args, jobs = parse(argv, __doc__)
        gpus = visible_gpus() if args.gpu else []
        environments = slots(args.gpu, args.max_jobs, gpus)
        if args.nodes > 1:
            raise ValueError("--nodes above 1 works with cmd_backend=slurm only (see cmd.sh)")
    except (ValueError, OSError) as error:
        print(f"error: run.py: {error}", file=sys.stderr)
        return 1
    if args.dry_run:
        print("\n".join(f"{shlex.join(job.command)} >{shlex.quote(str(job.log))}" for job in jobs))
        return 0
    if not jobs:
        print("run.py: no jobs to run")
        return 0
    if args.gpu and not gpus and len(jobs) > 1:
        print(
            f"run.py: no GPU found; running on the CPU, {len(environments)} jobs at a time",
            flush=True,
        )
    install_signal_handlers()
    try:
        failed = run(jobs, environments)
    except Stopped as stopped:
        number = signal.Signals(stopped.args[0])
        print(f"error: run.py: stopped by {number.name}; all jobs are terminated", file=sys.stderr)
        return 128 + number
    if failed:
        report([(job, cause(code)) for job, code in failed], len(jobs), [sys.argv[0], *argv])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
