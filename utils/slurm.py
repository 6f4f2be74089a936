#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Run jobs on a Slurm cluster, with the command line, logs and failure report of utils/run.py.

  utils/slurm.py --mem 8G JOB=1:4 exp/log/x.JOB.log prog --part JOB
  utils/slurm.py --gpu 1 --table jobs.tsv prog common arguments

The jobs are submitted as one array, with the options in conf/slurm.conf of the recipe or the
project; options defined there are options of this program. The program ends when the array has
ended. TERM, INT and HUP cancel it. If this program is killed, the same command finds the array and
waits for it instead of submitting it again. Jobs near their time limit save their state and are
requeued.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from jobs import (
    LIMIT,
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
from slurm_conf import read_conf

from jointasr.utils import files, locks
from jointasr.utils.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
JOBS_DIR = Path("exp/jobs")
POLL_SECONDS = 2.0
SUBMIT_SECONDS = 10.0  # until squeue lists a job that was just submitted
END_STATES = {  # states of Slurm that are more informative than the exit code
    "CANCELLED": "cancelled",
    "TIMEOUT": "over its time limit",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "the machine failed",
    "PREEMPTED": "preempted",
    "DEADLINE": "over its deadline",
    "BOOT_FAIL": "the machine did not start",
}


# ---- queries -----------------------------------------------------------------------------------


def query(*command: str) -> str | None:
    """Return the output of a Slurm command, or None if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout if done.returncode == 0 else None


def queued(name: str) -> str | None:
    """Return the id of the array of this name while a task of it is pending or running, or None.

    Repeats the query while the controller does not answer, because the array may still exist.
    """
    while (text := query("squeue", "--noheader", "--name", name, "--format", "%F")) is None:
        print("slurm.py: squeue does not answer; trying again", file=sys.stderr, flush=True)
        time.sleep(10 * POLL_SECONDS)
    ids = set(text.split())
    assert len(ids) <= 1, f"{name} is not one array: {ids}"
    return ids.pop() if ids else None


def states(array: str) -> dict[int, str]:
    """Return the end states of the tasks of an array that Slurm still has."""
    result: dict[int, str] = {}
    text = query("sacct", "--noheader", "--parsable2", "--allocations", "--jobs", array,
                 "--format", "JobID,State") or ""  # fmt: skip
    for line in text.splitlines():
        if match := re.fullmatch(r"\d+_(\d+)\|(\w+).*", line):
            result[int(match[1])] = match[2]
    text = query("scontrol", "show", "job", array, "--oneliner") or ""
    for line in text.splitlines():
        fields = dict(re.findall(r"(\w+)=(\S*)", line))
        for task in task_numbers(fields.get("ArrayTaskId", "")):
            result[task] = fields.get("JobState", "")
    return result


def task_numbers(text: str) -> list[int]:
    """Parse a list like 3 or 2,5-7%2 (the tasks of an array cancelled before it started)."""
    numbers: list[int] = []
    for part in text.split("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            numbers += range(int(first), int(last or first) + 1)
    return numbers


# ---- arrays -------------------------------------------------------------------------------------


class Array:
    """The jobs of one command line, with a folder of state for later runs of the same command."""

    def __init__(self, jobs: list[Job], command: list[str], requeues: int, limit: int) -> None:
        self.jobs, self.command, self.limit = jobs, command, limit
        rows = [{"log": str(job.log), "command": job.command} for job in jobs]
        text = json.dumps([rows, command, limit])
        self.key = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.folder = JOBS_DIR / self.key
        self.record = {"jobs": rows, "requeues": requeues}

    def codes(self) -> dict[int, int]:
        """Return the exit codes of the tasks (from 1) that recorded one."""
        return {int(p.stem): int(p.read_text()) for p in self.folder.glob("*.code")}

    def name(self) -> str | None:
        """Return the job name of the array that was submitted last, or None."""
        path = self.folder / "name"
        return path.read_text(encoding="utf-8").strip() if path.is_file() else None

    def find(self) -> str | None:
        """Return the id of a queued array that a killed run of this command submitted."""
        name = self.name()
        until = time.monotonic() + SUBMIT_SECONDS
        while name is not None:
            if (array := queued(name)) is not None:
                return array
            if (self.folder / "id").is_file() or time.monotonic() > until:
                return None
            time.sleep(POLL_SECONDS)  # killed while submitting: the array may still appear
        return None

    def words(self, name: str) -> list[str]:
        """Return the sbatch command line."""
        limit = f"%{self.limit}" if self.limit else ""
        return [
            *self.command,
            *("--parsable", "--wait", "--requeue"),
            *(f"--array=1-{len(self.jobs)}{limit}", f"--job-name={name}"),
            *(f"--output={self.folder}/%a.out", "--open-mode=append", f"{self.folder}/task.sh"),
        ]

    def submit(self) -> subprocess.Popen[str]:
        """Start sbatch; it dies with this program, so that it cannot submit later."""
        name = f"jointasr-{self.key}-{time.time_ns():x}"
        if self.folder.exists():  # left by a killed run whose array has ended
            shutil.rmtree(self.folder)
        files.write_json(self.folder / "jobs.json", self.record)
        program = [sys.executable, str(ROOT / "utils/slurm_task.py"), str(self.folder)]
        files.write_text(
            self.folder / "task.sh",
            f'#!/bin/bash\nexec {shlex.join(program)} "$SLURM_ARRAY_TASK_ID"\n',
        )
        files.write_text(self.folder / "name", name + "\n")  # before the array can exist
        return subprocess.Popen(
            self.words(name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C must reach only this program, which cancels the array
            preexec_fn=die_with_parent(signal.SIGKILL),
        )

    def wait(self, sbatch: subprocess.Popen[str] | None) -> None:
        """Wait until no task is pending or running; ``sbatch`` is the submitting process."""
        progress, name = Progress("slurm.py", len(self.jobs)), self.name()
        assert name is not None
        while sbatch is not None and sbatch.poll() is None:
            self._show(progress)
            time.sleep(POLL_SECONDS / 4)
        while queued(name) is not None:  # sbatch gives up after a long absence of the controller
            self._show(progress)
            time.sleep(POLL_SECONDS)
        self._show(progress)

    def _show(self, progress: Progress) -> None:
        codes = self.codes()
        progress.show(len(codes), sum(map(bool, codes.values())))

    def failures(self, array: str) -> list[tuple[Job, str]]:
        """Return the failed jobs and why they failed."""
        codes, failed = self.codes(), []
        end_states = states(array) if [*codes.values()] != [0] * len(self.jobs) else {}
        for task, job in enumerate(self.jobs, 1):
            if codes.get(task) == 0:
                continue
            state = end_states.get(task, "")
            if codes.get(task) == LIMIT:
                why = f"over its time limit, after {self.record['requeues']} requeues"
            elif state in END_STATES:
                why = f"{END_STATES[state]} (Slurm: {state}, job {array}_{task})"
            elif task in codes:
                why = cause(codes[task])
            else:
                why = f"ended without an exit code (Slurm: {state or 'unknown'})"
                why += f"; see {self.folder}/{task}.out"
            failed.append((job, why))
        return failed


def cancel(array: Array) -> None:
    """Cancel the array and wait until it has left the queue."""
    ignore_signals()
    name = array.name()
    if name is not None and array.find() is not None:
        while queued(name) is not None:
            query("scancel", "--name", name)
            time.sleep(POLL_SECONDS)
    print("slurm.py: the jobs are cancelled", file=sys.stderr)


def run(array: Array) -> list[tuple[Job, str]]:
    """Submit the jobs, or wait for them if they are queued already; return the failures."""
    sbatch, number = None, array.find()
    if number is not None:
        print(f"slurm.py: job {number} of an earlier run is in the queue; waiting for it")
    else:
        sbatch = array.submit()
        assert sbatch.stdout is not None
        number = sbatch.stdout.readline().strip().split(";")[0]  # may be followed by ;cluster
        if not number:
            raise DataError(f"sbatch failed, exit code {sbatch.wait()}; nothing was submitted")
        files.write_text(array.folder / "id", number + "\n")
        print(f"slurm.py: job {number}, {len(array.jobs)} tasks", flush=True)
    array.wait(sbatch)
    return array.failures(number)


def main(argv: list[str]) -> int:
    """Run the jobs of a command line; return the exit code."""
    try:
        path = next(p for p in (Path("conf/slurm.conf"), ROOT / "conf/slurm.conf") if p.is_file())
        conf = read_conf(path)
        common = ("gpu", "nodes", "mem")
        names = [name for name, _ in conf.options if name not in common]
        args, jobs = parse(argv, __doc__, list(dict.fromkeys(names)))
        given = {name: str(getattr(args, name)) for name in common if getattr(args, name)}
        given |= {name: getattr(args, name) for name in names if getattr(args, name)}
        array = Array(jobs, conf.words(given), conf.requeues, args.max_jobs)
    except (ValueError, OSError) as error:
        print(f"error: slurm.py: {error}", file=sys.stderr)
        return 1
    if not jobs:
        print("slurm.py: no jobs to run")
        return 0
    if args.dry_run:
        print(shlex.join(array.words(f"jointasr-{array.key}")))
        for number, job in enumerate(jobs, 1):
            print(f"# {number}: {shlex.join(job.command)} >{shlex.quote(str(job.log))}")
        return 0
    if not shutil.which(conf.command[0]):
        remedy = "use cmd_backend=local or a machine of the cluster"
        print(f"error: slurm.py: {conf.command[0]} not found; {remedy}", file=sys.stderr)
        return 1
    try:
        install_signal_handlers()
        with locks.held(array.folder):
            try:
                failed = run(array)
            except Stopped:
                cancel(array)
                raise
            shutil.rmtree(array.folder)  # all states have been reported
    except Stopped as stopped:
        code = signal.Signals(stopped.args[0])
        print(f"error: slurm.py: stopped by {code.name}", file=sys.stderr)
        return 128 + code
    except DataError as error:
        print(f"error: slurm.py: {error}", file=sys.stderr)
        return 1
    if failed:
        report(failed, len(jobs), [sys.argv[0], *argv])
    return 1 if failed else 0


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main(sys.argv[1:]))
    os._exit(1)
