#!/usr/bin/env python3
"""Run one task of an array that utils/slurm.py submitted; Slurm starts this program.

usage: utils/slurm_task.py <folder in exp/jobs> <number>

Run job <number> of <folder>/jobs.json with its log, like utils/run.py, and write the exit code to
<folder>/<number>.code. On USR1, which Slurm sends before the time limit, terminate the job, which
may save its state, and requeue it, at most as often as slurm.conf allows.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import run
from jobs import LIMIT, Job, Stopped, install_signal_handlers


class LimitNear(Exception):
    """The time limit of the task is near."""


def _limit_near(number: int, frame: object) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    raise LimitNear


def work(job: Job) -> int:
    """Run the job; return its exit code, or ``LIMIT`` if the time limit came first."""
    signal.signal(signal.SIGUSR1, _limit_near)
    running: list[run.Running] = []
    try:
        running.append(run.start(job, 0, {}))
        running[0].process.wait()
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        return run.finish(running[0])
    except LimitNear:
        run.stop(running)
        code = running[0].process.returncode if running else 1
        return LIMIT if code else 0
    except Stopped:  # cancelled: Slurm will kill this process soon
        run.stop(running)
        raise
    except OSError as error:
        return run.could_not_start(job, error)


def main(folder: Path, number: int) -> int:
    """Run task ``number``; return its exit code."""
    record = json.loads((folder / "jobs.json").read_text(encoding="utf-8"))
    job = record["jobs"][number - 1]
    install_signal_handlers()
    code = work(Job(Path(job["log"]), job["command"]))
    restarts = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    if code == LIMIT and restarts < record["requeues"]:
        print(f"task {number}: the time limit is near; requeueing", flush=True)
        subprocess.run(["scontrol", "requeue", os.environ["SLURM_JOB_ID"]], check=True)
        time.sleep(600)  # until Slurm ends this process
    path = folder / f"{number}.code"
    path.with_suffix(".new").write_text(f"{code}\n")
    path.with_suffix(".new").replace(path)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
