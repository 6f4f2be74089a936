"""Data-parallel training equals training by one process, also after kills."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import torch
from safetensors.torch import load_file

from jointasr.config import layout
from jointasr.models import checkpoint
from jointasr.utils import distributed
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack

SETTINGS = [
    *("encoder.dropout=0", "encoder.layerdrop=0", "emotion.dropout=0", "train.epochs=2"),
    # batches of one utterance leave a process without any; Adadelta instead of Adam, whose first
    # steps depend only on the sign of the gradient
    *("batch.max_duration=3", "optim.bert.lr=1e-3"),
    *("optim.encoder.name=adadelta", "optim.head.name=adadelta", "optim.bert.name=adadelta"),
    *("optim.encoder.lr=1", "optim.head.lr=1", "train.log_every=1"),
]


def begin(models: Path, out: Path, processes: int, *more: str) -> "subprocess.Popen[str]":
    """Start a training that logs to ``out.log``."""
    command = [sys.executable, "-m", "jointasr.bin.train"]
    if processes > 1:
        command = [str(ROOT / "utils/torchrun.sh"), "--ngpu", str(processes), "--", command[2]]
    command += ["--conf", "joint.yaml", "--condition", "clean", "--name", "joint"]
    command += ["--fold", "Ses01F", "--data", "data/folds/speaker/Ses01F", "--out", str(out)]
    command += ["--set", *tiny.settings(models), *SETTINGS, *more]
    with out.with_suffix(".log").open("w") as log:
        return subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            text=True,
            env={
                **os.environ,
                "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
            },
            start_new_session=True,
        )


def train(models: Path, out: Path, processes: int, *more: str) -> str:
    """Train to the end and return the log."""
    process = begin(models, out, processes, *more)
    process.wait(timeout=300)
    log = out.with_suffix(".log").read_text()
    assert process.returncode == 0, log
    return log


def epochs(out: Path) -> list[list[float]]:
    rows = (out / layout.HISTORY).read_text().splitlines()[1:]
    return [[float(value) for value in row.split("\t")] for row in rows]


@pytest.mark.slow
def test_two_processes_train_as_one(recipe: Path, models: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    bert = shutil.copytree(models / "bert", tmp_path / "bert")
    values = json.loads((bert / "config.json").read_text())
    values.update(hidden_dropout_prob=0, attention_probs_dropout_prob=0)
    (bert / "config.json").write_text(json.dumps(values))
    train(models, one, 1, f"bert.model={bert}")
    log = train(models, two, 2, f"bert.model={bert}", "batch.workers=1")
    assert log.count("joint on cpu; trainable") == 1  # only the main process logs
    assert "train: 24 utterances" in log
    for ours, theirs in zip(epochs(one), epochs(two), strict=True):
        assert ours[:2] == theirs[:2]  # epoch, steps
        assert ours[2:4] == pytest.approx(theirs[2:4], rel=1e-5)  # losses
        assert ours[4:] == theirs[4:]  # WER and accuracy: each dev utterance counted once
    weights, again = (load_file(out / "best" / checkpoint.WEIGHTS) for out in (one, two))
    for name, value in weights.items():
        torch.testing.assert_close(again[name], value, rtol=1e-5, atol=1e-6, msg=name)
    meta = [json.loads((out / "model.json").read_text()) for out in (one, two)]
    assert [m["budget"].pop("processes") for m in meta] == [1, 2]
    assert meta[0]["budget"] == meta[1]["budget"]
    assert not (two / layout.RESUME).exists()


@pytest.mark.slow
def test_killed_and_terminated(recipe: Path, models: Path, tmp_path: Path) -> None:
    """TERM to torchrun saves the state; after TERM and after KILL the same command gives the
    weights of an undisturbed training."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    more = ["train.epochs=6", "encoder.dropout=0.1", "encoder.layerdrop=0.2"]
    train(models, whole, 2, *more)
    generator = random.Random(0)
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = begin(models, broken, 2, *more)
        log = broken.with_suffix(".log")
        wanted = f"epoch {generator.randint(2, 4)}/6, step"
        while process.poll() is None and wanted not in log.read_text():
            time.sleep(0.02)
        if number == signal.SIGTERM:
            process.send_signal(number)
            process.wait(timeout=60)
            assert "SIGTERM: state saved, exiting" in log.read_text()
        else:
            os.killpg(process.pid, number)
            process.wait()
        assert process.returncode
    assert "resuming in epoch" in train(models, broken, 2, *more)
    assert (whole / layout.HISTORY).read_text() == (broken / layout.HISTORY).read_text()
    weights, again = (load_file(out / "best" / checkpoint.WEIGHTS) for out in (whole, broken))
    assert all(torch.equal(value, again[name]) for name, value in weights.items())


BARRIER = """
import sys, time
from jointasr.utils.distributed import process_group

world = process_group(2)
world.init()
world.barrier()
start = time.monotonic()
if not world.is_main:
    time.sleep(1.5)
world.barrier()
if world.is_main:
    assert time.monotonic() - start > 1.4, time.monotonic() - start
world.destroy()
"""


def test_a_barrier_blocks_until_all_processes_reach_it(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(BARRIER)
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    result = subprocess.run(
        [*command, "--standalone", "program.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert distributed.process_group(1) == distributed.SINGLE_PROCESS
    with pytest.raises(DataError, match=r"4 processes were requested .*, but 1 were started"):
        distributed.process_group(4)
    for name, value in (("WORLD_SIZE", "4"), ("RANK", "3"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    assert distributed.process_group(4) == distributed.ProcessGroup(3, 4, 1)
    with pytest.raises(DataError, match="2 processes were requested"):
        distributed.process_group(2)


def test_missing_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Assigned GPUs that are missing are an error, not a reason to train on the CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for allowed in ("", "-1", "NoDevFiles"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", allowed)
        assert distributed.device() == torch.device("cpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    with pytest.raises(DataError, match="CUDA_VISIBLE_DEVICES=0,1, but torch finds no GPU"):
        distributed.device()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert distributed.device(distributed.ProcessGroup(1, 4, 1)) == torch.device("cuda", 1)
    with pytest.raises(DataError, match=r"process 3 on this machine has no GPU: there are 2"):
        distributed.device(distributed.ProcessGroup(2, 4, 2))
