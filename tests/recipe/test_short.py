"""The short recipe killed at random moments, and on Slurm: the results are those of the plain run.

`--kills 200` kills more often than CI has time for; docs/kills.md is a log.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
import short_recipe
from recipe import Copy
from short_recipe import ShortRun
from slurm_cluster import configure

pytestmark = pytest.mark.slow
MARK = "JOINTASR_KILL_TEST"
CHAIN = 4  # kills of one recipe folder; 10 of them where many are asked for


def start(project: Copy, mark: str) -> "subprocess.Popen[bytes]":
    """Start the run with ``mark`` in the environment of all its processes."""
    with (project.home / "test.log").open("ab") as log:
        return subprocess.Popen(
            ["./run.sh", "--recipe", short_recipe.NAME],
            cwd=project.home,
            env={**os.environ, "JOINTASR_VENV": sys.prefix, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def processes(mark: str) -> list[int]:
    """Ids of the processes of a run, those in process groups of its jobs included."""
    wanted = f"{MARK}={mark}".encode()
    pids = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                pids.append(int(folder.name))
        except OSError:  # it has ended, or is another user's
            continue
    return pids


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def kill_once(project: Copy, generator: random.Random, seconds: float) -> str:
    """Start the run, kill one of its processes or all at a random moment; describe what was killed.

    Processes that survive keep running: the next run has to cope with them.
    """
    while True:
        mark, moment = uuid.uuid4().hex, generator.uniform(0.1, 0.35 * seconds)
        process, end = start(project, mark), time.monotonic() + moment
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.02)
        pids = sorted(processes(mark))
        if process.poll() is None and pids:
            break
        assert process.wait(timeout=900) == 0, log_end(project)  # it finished before that
        seconds /= 2
    victims = [generator.choice(pids)] if generator.random() < 0.5 else pids
    what = f"one of {len(pids)}, {command(victims[0])}" if victims != pids else f"all {len(pids)}"
    description = f"{moment:6.1f} s, {stage(project)}: {what}"
    kill(victims)
    process.wait(timeout=900)  # the rest of it ends, or runs to its end
    return description


def stage(project: Copy) -> str:
    text = (project.home / "test.log").read_text(errors="replace").rpartition(" stage ")[2]
    return "stage " + text.split(":")[0][:2].strip() if text else "before stage 0"


def command(pid: int) -> str:
    """The first words of a process' command line, without folders."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return "?"
    return " ".join(Path(word).name for word in words[:3] if word)


def log_end(project: Copy) -> str:
    return (project.home / "test.log").read_text(errors="replace")[-4000:]


@pytest.mark.timeout(0)
def test_killed_runs_end_with_the_same_results(
    short_run: ShortRun, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Chains of kills, of one process or of all; over all stages where there are many."""
    kills = int(request.config.getoption("--kills"))
    length = CHAIN if kills <= 8 else 10
    for first in range(0, kills, length):
        project = short_recipe.make(tmp_path / f"from{first}")
        generator = random.Random(first)
        print(f"chain {first // length + 1}", flush=True)
        for _ in range(min(length, kills - first)):
            print("  " + kill_once(project, generator, short_run.seconds), flush=True)
        assert start(project, uuid.uuid4().hex).wait(timeout=900) == 0, log_end(project)
        digests = short_recipe.digests(project)
        assert digests.keys() == short_run.digests.keys()
        wrong = [path for path, digest in short_run.digests.items() if digests[path] != digest]
        assert not wrong, wrong
        print("  the same results.json, weights, curves and hypotheses", flush=True)
        shutil.rmtree(project.home)


@pytest.mark.timeout(3600)
def test_slurm_gives_the_same_results(
    short_run: ShortRun, cluster: dict[str, str], tmp_path: Path
) -> None:
    """Every job of every stage through sbatch arrays."""
    project = short_recipe.make(tmp_path / "slurm")
    configure(project.home / short_recipe.NAME)
    env = {**cluster, "cmd_backend": "slurm"}
    output = project.run("./run.sh", "--recipe", short_recipe.NAME, **env)
    assert output.count("slurm.py: job ") >= 5 and "run.py" not in output
    assert short_recipe.digests(project) == short_run.digests
    assert "up to date" in project.run("./run.sh", "--recipe", short_recipe.NAME, **env)
