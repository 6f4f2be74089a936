"""A training that is killed anywhere and run again ends with bit-identical results."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import torch
from safetensors.torch import load_file
from toy_training import fold_cuts, initial_model

from jointasr.config import layout
from jointasr.models import checkpoint
from jointasr.training.snapshots import Snapshots
from jointasr.training.trainer import Trainer
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack

COMMON = ["train.epochs=3", "encoder.dropout=0.1", "encoder.layerdrop=0.1", "augment.max_chunks=2"]
KINDS = {
    "asr.yaml": ["batch.workers=0"],
    "joint.yaml": ["batch.workers=2", "batch.accumulate=2"],
    "paper/paper_ser.yaml": ["batch.workers=1", "schedule.newbob_threshold=0.5"],
}


class Killed(BaseException):
    """Not caught by the project's code, like SIGKILL."""


def run(models: Path, name: str, out: Path, *overrides: str, kill: int = 0) -> bool:
    """Train to the end or to the beginning of step ``kill`` of this run; return whether it
    ended."""
    trainer = Trainer(
        initial_model(models, name, *COMMON, *KINDS[name], *overrides), *fold_cuts(), out, 0
    )
    step, count = trainer.step, 0

    def killed_step(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if count == kill:
            raise Killed
        return step(*arguments)

    trainer.step = killed_step
    try:
        trainer.fit()
    except Killed:
        return False
    return True


def results(out: Path) -> tuple[dict[str, torch.Tensor], str]:
    return load_file(out / "best" / checkpoint.WEIGHTS), (out / layout.HISTORY).read_text()


@pytest.mark.parametrize("minutes", [0, 1000], ids=["saved each step", "never saved"])
@pytest.mark.parametrize("name", KINDS)
def test_killed_and_run_again(
    recipe: Path, models: Path, tmp_path: Path, name: str, minutes: int
) -> None:
    uninterrupted, killed = tmp_path / "uninterrupted", tmp_path / "killed"
    assert run(models, name, uninterrupted)
    generator, kills = random.Random(f"{name} {minutes}"), 0
    overrides = [f"train.save_minutes={minutes}"]
    while kills < 4 and not run(models, name, killed, *overrides, kill=generator.randint(1, 4)):
        kills += 1
    assert kills
    assert kills < 4 or run(models, name, killed, *overrides)
    (weights, history), (resumed_weights, resumed_history) = results(uninterrupted), results(killed)
    assert resumed_history == history
    assert weights.keys() == resumed_weights.keys()
    assert all(torch.equal(value, resumed_weights[key]) for key, value in weights.items())


def file_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_two_states_are_kept_and_a_damaged_one_is_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots = Snapshots(tmp_path / "resume", {"options": {"alpha": "0.1"}})
    assert snapshots.load() is None
    for steps in (5, 12, 100):
        snapshots.save(steps, {"steps": steps, "weights": torch.full((3,), float(steps))})
    assert file_names(snapshots.folder) == [
        "100.json",
        "100.safetensors",
        "12.json",
        "12.safetensors",
    ]
    assert snapshots.load()["steps"] == 100
    path = snapshots.folder / "100.safetensors"
    content = path.read_bytes()
    damages: list[Callable[[], object]] = [
        lambda: path.write_bytes(content[:-7]),
        lambda: path.write_bytes(content[:200] + b"\0" + content[201:]),
        lambda: path.unlink(),
    ]
    for damage in damages:
        path.write_bytes(content)
        damage()
        caplog.clear()
        state = snapshots.load()
        assert state is not None and state["steps"] == 12
        assert torch.equal(state["weights"], torch.full((3,), 12.0))
        assert "100.safetensors is damaged: trying the previous state" in caplog.text
    (snapshots.folder / "12.safetensors").unlink()
    assert snapshots.load() is None
    for steps in (101, 102):  # damaged ones are removed as well
        snapshots.save(steps, {"steps": steps})
    assert [name for name in file_names(snapshots.folder) if not name.startswith("10")] == []
    assert snapshots.load() == {"steps": 102}
    snapshots.clear()
    assert not snapshots.folder.exists()


def test_killed_while_it_saves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At any moment the previous state can be loaded."""
    snapshots = Snapshots(tmp_path / "resume", {})
    snapshots.save(1, {"steps": 1})

    def die(*_: object) -> None:
        raise Killed

    for function in (
        "utils.files.write_tensors",
        "utils.files.sha256",
        "utils.files.write_json",
    ):
        with monkeypatch.context() as patched:
            patched.setattr(f"jointasr.{function}", die)
            with pytest.raises(Killed):
                snapshots.save(2, {"steps": 2})
        assert snapshots.load() == {"steps": 1}
    snapshots.save(2, {"steps": 2})
    assert snapshots.load() == {"steps": 2}


def test_state_of_another_training_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Snapshots(tmp_path, {"options": {"alpha": "0.1"}, "code": "a"}).save(1, {"steps": 1})
    other = Snapshots(tmp_path, {"options": {"alpha": "0.3"}, "code": "a"})
    newer = Snapshots(tmp_path, {"options": {"alpha": "0.1"}, "code": "b"})
    for changed, what in ((other, "options"), (newer, "code")):
        with pytest.raises(DataError, match=f"the unfinished training has other {what}; continue"):
            changed.load()
    monkeypatch.setenv("JOINTASR_ON_CHANGE", "accept-code")
    assert newer.load() == {"steps": 1}
    with pytest.raises(DataError, match="other options"):
        other.load()
    monkeypatch.setenv("JOINTASR_ON_CHANGE", "force")
    assert other.load() is None and not tmp_path.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGKILL])
def test_signals(recipe: Path, models: Path, tmp_path: Path, number: signal.Signals) -> None:
    """TERM and USR1 save a state first; after any signal the same command resumes."""
    out = tmp_path / "out"
    overrides = [*tiny.settings(models), "train.epochs=40", "train.save_minutes=0.005"]
    options = ["--conf", "joint.yaml", "--condition", "clean", "--name", "joint"]
    options += ["--fold", "Ses01F", "--data", "data/folds/speaker/Ses01F"]
    options += ["--out", str(out), "--set", *overrides]
    command = [sys.executable, "-m", "jointasr.bin.train", *options]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not any((out / "resume").glob("[!.]*.json")):  # not the temporary file of a state
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    _, log = process.communicate(timeout=120)
    assert process.returncode == (128 + number if number != signal.SIGKILL else -number), log
    assert (f"{number.name}: state saved, exiting" in log) == (number != signal.SIGKILL)
    assert not (out / ".done").exists()
    again = [*command[:-2], "train.epochs=40", "train.save_minutes=0.005"]
    process = subprocess.Popen(again, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "resuming in epoch" in line:
            break
    process.kill()
    process.wait()
    assert "resuming in epoch" in lines[-1], "".join(lines)


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_killed_at_random_steps(
    recipe: Path, models: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """SIGKILL to the program or to a data loader's worker at random steps, with random intervals
    between saved states: after each chain of resumes weights and history equal those of a training
    that was not killed."""
    resumes = int(request.config.getoption("--resumes"))
    uninterrupted = tmp_path / "uninterrupted"
    steps = start(models, uninterrupted, 0).wait(timeout=300) or last_step(uninterrupted)
    expected = results(uninterrupted)
    for chain in range(0, resumes, 5):
        generator = random.Random(chain)
        out = tmp_path / f"chain{chain}"
        kill_steps = sorted(generator.sample(range(1, steps), min(5, resumes - chain)))
        for kill_step in kill_steps:
            process = start(models, out, generator.choice([0, 0.001, 1000]))
            while process.poll() is None and last_step(out) < kill_step:
                time.sleep(0.005)
            assert process.poll() is None, out.with_suffix(".log").read_text()
            workers = subprocess.run(
                ["pgrep", "-P", str(process.pid)], capture_output=True, text=True
            ).stdout.split()
            victim = int(generator.choice([str(process.pid), *workers]))
            os.kill(victim, signal.SIGKILL)
            assert process.wait(timeout=120)
            who = "the program" if victim == process.pid else "a worker"
            print(f"chain {chain // 5 + 1}: {who} killed after step {last_step(out)} of {steps}")
        assert start(models, out, 1000).wait(timeout=300) == 0
        (weights, history), (resumed_weights, resumed_history) = expected, results(out)
        assert resumed_history == history
        assert all(torch.equal(value, resumed_weights[key]) for key, value in weights.items())
        print(f"chain {chain // 5 + 1}: equal: {len(weights)} tensors and the history")


def start(models: Path, out: Path, minutes: float) -> "subprocess.Popen[bytes]":
    """Start a training that saves a state every ``minutes``; append its log to ``out.log``."""
    command = [sys.executable, "-m", "jointasr.bin.train", "--conf", "joint.yaml"]
    command += ["--name", "joint", "--condition", "clean", "--fold", "Ses01F"]
    command += ["--data", "data/folds/speaker/Ses01F"]
    command += ["--out", str(out), "--set", *tiny.settings(models), *COMMON, "train.epochs=8"]
    command += ["batch.workers=2", "train.log_every=1", f"train.save_minutes={minutes}"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with out.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(command, env=env, stdout=log, stderr=log)


def last_step(out: Path) -> int:
    """Return the last step in a training's log."""
    steps = re.findall(r", step (\d+): loss", out.with_suffix(".log").read_text())
    return int(steps[-1]) if steps else 0
