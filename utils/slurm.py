#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Run jobs on a Slurm cluster: the command line, logs and failure report of utils/run.py.

  utils/slurm.py --mem 8G JOB=1:4 exp/log/x.JOB.log prog --part JOB
  utils/slurm.py --gpu 1 --table jobs.tsv prog common arguments

The jobs are one array. How they are submitted is in conf/slurm.conf of the recipe or the project;
options that it has are options here. Ends when the array has ended. TERM, INT and HUP cancel it. If
this program is killed, the same command finds the array again and waits for it: nothing is
submitted while it is in the queue. Jobs near their time limit save their state and go back into the
queue.
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
from typing import NamedTuple

from jobs import (
    LIMIT,
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

from jointasr.utils import files, locks
from jointasr.utils.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
HOME = Path("exp/jobs")
POLL_SECONDS = 2.0
SEEN_SECONDS = 10.0  # until a job that was just submitted is in the queue's list
ENDS = {  # states of Slurm's that say more than an exit code
    "CANCELLED": "cancelled",
    "TIMEOUT": "over its time limit",
    "OUT_OF_MEMORY": "out of memory",
    "NODE_FAIL": "its machine failed",
    "PREEMPTED": "preempted",
    "DEADLINE": "over its deadline",
    "BOOT_FAIL": "its machine did not start",
}


class Conf(NamedTuple):
    """conf/slurm.conf."""

    command: list[str]
    options: dict[tuple[str, str], list[str]]
    """words by option and value; the value * stands for any other"""
    defaults: dict[str, str]
    requeues: int

    def words(self, given: dict[str, str]) -> list[str]:
        """The command with what options add; ValueError for a value that has no line."""
        words = list(self.command)
        for name, value in {**self.defaults, **given}.items():
            found = self.options.get((name, value), self.options.get((name, "*")))
            if found is None:
                raise ValueError(f"--{name} {value}: conf/slurm.conf has no `option {name}=*` line")
            words += [word.replace("$0", value) for word in found]
        return words


def read_conf(path: Path) -> Conf:
    """Read conf/slurm.conf; ValueError names a line that is none."""
    conf = Conf([], {}, {}, 20)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
        kind, rest = (words[0], words[1:]) if words else ("", [])
        name, equals, value = rest[0].partition("=") if rest else ("", "", "")
        if kind == "command" and rest:
            conf = conf._replace(command=rest)
        elif kind == "option" and name and equals:
            conf.options[name, value] = rest[1:]
        elif kind == "default" and name and equals and len(rest) == 1:
            conf.defaults[name] = value
        elif kind == "requeues" and len(rest) == 1 and rest[0].isdigit():
            conf = conf._replace(requeues=int(rest[0]))
        elif words:
            raise ValueError(f"{path}:{number}: not a line of slurm.conf: {line.strip()}")
    if not conf.command:
        raise ValueError(f"{path}: there is no `command` line")
    return conf


# ---- Slurm's side ------------------------------------------------------------------------------


def ask(*command: str) -> str | None:
    """What a command of Slurm's prints; None where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return done.stdout if done.returncode == 0 else None


def queued(name: str) -> str | None:
    """The id of the array of this name, as long as a part of it waits or runs; else None.

    Asks again while the controller does not answer: an array that nobody sees may still be there.
    """
    while (text := ask("squeue", "--noheader", "--name", name, "--format", "%F")) is None:
        print("slurm.py: squeue does not answer; asking again", file=sys.stderr, flush=True)
        time.sleep(10 * POLL_SECONDS)
    ids = set(text.split())
    assert len(ids) <= 1, f"{name} is not one array: {ids}"
    return ids.pop() if ids else None


def states(array: str) -> dict[int, str]:
    """How the array's tasks ended, as far as Slurm still knows."""
    found: dict[int, str] = {}
    text = ask("sacct", "--noheader", "--parsable2", "--allocations", "--jobs", array,
               "--format", "JobID,State") or ""  # fmt: skip
    for line in text.splitlines():
        if match := re.fullmatch(r"\d+_(\d+)\|(\w+).*", line):
            found[int(match[1])] = match[2]
    text = ask("scontrol", "show", "job", array, "--oneliner") or ""
    for line in text.splitlines():
        facts = dict(re.findall(r"(\w+)=(\S*)", line))
        for task in _tasks(facts.get("ArrayTaskId", "")):
            found[task] = facts.get("JobState", "")
    return found


def _tasks(text: str) -> list[int]:
    """Numbers of a list like 3 or 2,5-7%2 (those of an array cancelled before it began)."""
    numbers: list[int] = []
    for part in text.split("%")[0].split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            numbers += range(int(first), int(last or first) + 1)
    return numbers


# ---- ours --------------------------------------------------------------------------------------


class Array:
    """The jobs of one command line, in a folder that outlives this program."""

    def __init__(self, jobs: list[Job], command: list[str], requeues: int, limit: int) -> None:
        self.jobs, self.command, self.limit = jobs, command, limit
        rows = [{"log": str(job.log), "command": job.command} for job in jobs]
        text = json.dumps([rows, command, limit])
        self.key = hashlib.sha256(text.encode()).hexdigest()[:12]
        self.folder = HOME / self.key
        self.record = {"jobs": rows, "requeues": requeues}

    def codes(self) -> dict[int, int]:
        """Exit codes of the tasks (from 1) that have ended by themselves."""
        return {int(p.stem): int(p.read_text()) for p in self.folder.glob("*.code")}

    def name(self) -> str | None:
        """The name in the queue of the array that was submitted last, if any was."""
        path = self.folder / "name"
        return path.read_text(encoding="utf-8").strip() if path.is_file() else None

    def find(self) -> str | None:
        """The array of an earlier, killed run of this command: its id while it is in the queue."""
        name = self.name()
        until = time.monotonic() + SEEN_SECONDS
        while name is not None:
            if (array := queued(name)) is not None:
                return array
            if (self.folder / "id").is_file() or time.monotonic() > until:
                return None
            time.sleep(POLL_SECONDS)  # killed while it submitted: it may come yet
        return None

    def words(self, name: str) -> list[str]:
        """The sbatch command line."""
        limit = f"%{self.limit}" if self.limit else ""
        return [
            *self.command,
            *("--parsable", "--wait", "--requeue"),
            *(f"--array=1-{len(self.jobs)}{limit}", f"--job-name={name}"),
            *(f"--output={self.folder}/%a.out", "--open-mode=append", f"{self.folder}/task.sh"),
        ]

    def submit(self) -> subprocess.Popen[str]:
        """Start sbatch; if we are killed it ends, too, so that it cannot submit later."""
        name = f"jointasr-{self.key}-{time.time_ns():x}"
        if self.folder.exists():  # of an array that has ended, by a run that was killed
            shutil.rmtree(self.folder)
        files.write_json(self.folder / "jobs.json", self.record)
        program = [sys.executable, str(ROOT / "utils/slurm_task.py"), str(self.folder)]
        files.write_text(
            self.folder / "task.sh",
            f'#!/bin/bash\nexec {shlex.join(program)} "$SLURM_ARRAY_TASK_ID"\n',
        )
        files.write_text(self.folder / "name", name + "\n")  # before there is anything to find
        return subprocess.Popen(
            self.words(name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for us, who cancel the array
            preexec_fn=with_parent(signal.SIGKILL),
        )

    def wait(self, sbatch: subprocess.Popen[str] | None) -> None:
        """Return when no task waits or runs any more; ``sbatch`` waits as well, if it is ours."""
        progress, name = Progress("slurm.py", len(self.jobs)), self.name()
        assert name is not None
        while sbatch is not None and sbatch.poll() is None:
            self._show(progress)
            time.sleep(POLL_SECONDS / 4)
        while queued(name) is not None:  # sbatch gives up when the controller is away for long
            self._show(progress)
            time.sleep(POLL_SECONDS)
        self._show(progress)

    def _show(self, progress: Progress) -> None:
        codes = self.codes()
        progress.show(len(codes), sum(map(bool, codes.values())))

    def failures(self, array: str) -> list[tuple[Job, str]]:
        """Which jobs failed, and why."""
        codes, failed = self.codes(), []
        ended = states(array) if [*codes.values()] != [0] * len(self.jobs) else {}
        for task, job in enumerate(self.jobs, 1):
            if codes.get(task) == 0:
                continue
            state = ended.get(task, "")
            if codes.get(task) == LIMIT:
                again = self.record["requeues"]
                why = f"over its time limit, after {again} times back in the queue"
            elif state in ENDS:
                why = f"{ENDS[state]} (Slurm: {state}, job {array}_{task})"
            elif task in codes:
                why = cause(codes[task])
            else:
                why = f"it ended without an exit code (Slurm: {state or 'unknown'})"
                why += f"; see {self.folder}/{task}.out"
            failed.append((job, why))
        return failed


def cancel(array: Array) -> None:
    """Cancel what was submitted; returns when it has left the queue."""
    ignore_signals()
    name = array.name()
    if name is not None and array.find() is not None:
        while queued(name) is not None:
            ask("scancel", "--name", name)
            time.sleep(POLL_SECONDS)
    print("slurm.py: the jobs are cancelled", file=sys.stderr)


def run(array: Array) -> list[tuple[Job, str]]:
    """Submit the jobs, or take over those that are in the queue; the failures."""
    sbatch, number = None, array.find()
    if number is not None:
        print(f"slurm.py: job {number} of an earlier run is in the queue: waiting for it")
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
    """Run what the command line says; the exit code."""
    try:
        path = next(p for p in (Path("conf/slurm.conf"), ROOT / "conf/slurm.conf") if p.is_file())
        conf = read_conf(path)
        own = ("gpu", "nodes", "mem")
        names = [name for name, _ in conf.options if name not in own]
        args, jobs = parse(argv, __doc__, list(dict.fromkeys(names)))
        given = {name: str(getattr(args, name)) for name in own if getattr(args, name)}
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
        print(f"error: slurm.py: there is no {conf.command[0]} here; use cmd_backend=local or a "
              "machine of the cluster", file=sys.stderr)  # fmt: skip
        return 1
    try:
        install_signal_handlers()
        with locks.held(array.folder):
            try:
                failed = run(array)
            except Stopped:
                cancel(array)
                raise
            shutil.rmtree(array.folder)  # it has been told
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
