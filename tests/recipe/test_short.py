"""The short recipe killed at random moments, and on Slurm: the results are those of a quiet run.

`--kills 200` does it more often than CI has time for; docs/kills.md is a log.
"""

import hashlib
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
from slurm_cluster import configure

from jointasr.scoring.decode_dir import USAGE

pytestmark = pytest.mark.slow
MARK = "JOINTASR_KILL_TEST"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Copy, float]:
    """The short recipe, run once and never killed, and how many seconds it took."""
    pytest.importorskip("k2")
    copy = short_recipe.make(tmp_path_factory.mktemp("whole"))
    began = time.monotonic()
    copy.run("./run.sh", "--recipe", short_recipe.NAME)
    return copy, time.monotonic() - began


def begin(copy: Copy, mark: str) -> "subprocess.Popen[bytes]":
    with (copy.home / "test.log").open("ab") as log:
        return subprocess.Popen(
            ["./run.sh", "--recipe", short_recipe.NAME],
            cwd=copy.home,
            env={**os.environ, "JOINTASR_VENV": sys.prefix, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def alive(mark: str) -> list[int]:
    """Processes of a run, its jobs' own groups included."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


def kill(pids: list[int]) -> None:
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def results(copy: Copy) -> dict[str, str]:
    """Digests of what a run is for: results.json, every model's weights, every hypothesis."""
    exp = copy.home / short_recipe.NAME / "exp"
    paths = [exp / "results.json", *exp.glob("*/fold_*/best/*.safetensors")]
    paths += [*exp.glob("*/fold_*/epochs.tsv"), *exp.glob("*/fold_*/decode_*/[a-z]*")]
    assert len(paths) > 60
    return {
        str(path.relative_to(exp)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.is_file() and path.name != USAGE
    }


def kill_once(copy: Copy, generator: random.Random, seconds: float) -> str:
    """Begin the run, kill one of its processes or all at a random moment; what was done.

    Whatever else of it goes on does so: the next run has to get along with it.
    """
    while True:
        mark, moment = uuid.uuid4().hex, generator.uniform(0.1, 0.35 * seconds)
        process, end = begin(copy, mark), time.monotonic() + moment
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.02)
        pids = sorted(alive(mark))
        if process.poll() is None and pids:
            break
        assert process.wait(timeout=900) == 0, tail(copy)  # it ended before that
        seconds /= 2
    victims = [generator.choice(pids)] if generator.random() < 0.5 else pids
    told = f"{moment:6.1f} s, {stage(copy)}: "
    told += f"one of {len(pids)}, {name(victims[0])}" if victims != pids else f"all {len(pids)}"
    kill(victims)
    process.wait(timeout=900)  # what is left of it ends, or goes on to its end
    return told


def stage(copy: Copy) -> str:
    text = (copy.home / "test.log").read_text(errors="replace").rpartition(" stage ")[2]
    return "stage " + text.split(":")[0][:2].strip() if text else "before stage 0"


def name(pid: int) -> str:
    """What a process runs, without folders."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return "?"
    return " ".join(Path(word).name for word in words[:3] if word)


def tail(copy: Copy) -> str:
    return (copy.home / "test.log").read_text(errors="replace")[-4000:]


@pytest.mark.timeout(0)
def test_killed_runs_end_alike(
    whole: tuple[Copy, float], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Chains of kills, over all stages, of one process or of all."""
    reference, seconds = whole
    kills = int(request.config.getoption("--kills"))
    length = 4 if kills <= 8 else 10
    expected = results(reference)
    for first in range(0, kills, length):
        copy = short_recipe.make(tmp_path / f"from{first}")
        generator = random.Random(first)
        print(f"chain {first // length + 1}", flush=True)
        for _ in range(min(length, kills - first)):
            print("  " + kill_once(copy, generator, seconds), flush=True)
        assert begin(copy, uuid.uuid4().hex).wait(timeout=900) == 0, tail(copy)
        found = results(copy)
        assert found.keys() == expected.keys()
        wrong = [path for path, digest in expected.items() if found[path] != digest]
        assert not wrong, wrong
        print("  the same results.json, weights, curves and hypotheses", flush=True)
        shutil.rmtree(copy.home)


@pytest.mark.timeout(3600)
def test_slurm_gives_the_same(
    whole: tuple[Copy, float], cluster: dict[str, str], tmp_path: Path
) -> None:
    """Every job of every stage through sbatch arrays."""
    reference, _ = whole
    copy = short_recipe.make(tmp_path / "slurm")
    configure(copy.home / short_recipe.NAME)
    env = {**cluster, "cmd_backend": "slurm"}
    told = copy.run("./run.sh", "--recipe", short_recipe.NAME, **env)
    assert told.count("slurm.py: job ") >= 5 and "run.py" not in told
    assert results(copy) == results(reference)
    assert "up to date" in copy.run("./run.sh", "--recipe", short_recipe.NAME, **env)
