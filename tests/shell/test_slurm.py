"""utils/slurm.py on a real Slurm, started here (Debian: slurm-wlm)."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
from safetensors.torch import load_file
from shell import run
from slurm_cluster import configure

from jointasr.doctor import machine
from jointasr.utils.project import ROOT

sys.path.insert(0, str(ROOT / "utils"))
import slurm
import slurm_conf

SLURM, RUN = ROOT / "utils/slurm.py", ROOT / "utils/run.py"


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set PYTHONPATH like path.sh."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder to run in, with a slurm.conf for this cluster."""
    return configure(tmp_path)


def begin(home: Path, cluster: dict[str, str], *words: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [str(SLURM), *words],
        cwd=home,
        env={**os.environ, **cluster},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def queue(cluster: dict[str, str], *options: str) -> list[str]:
    """Return the ids of the arrays that squeue lists with these options (default: queued ones)."""
    words = ["squeue", "--noheader", "--format", "%F", *options]
    text = subprocess.run(words, env={**os.environ, **cluster}, capture_output=True, text=True)
    return sorted(set(text.stdout.split()))


def until(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "timeout"
        time.sleep(0.1)


# ---- without a cluster -------------------------------------------------------------------------


def test_default_conf() -> None:
    conf = slurm_conf.read_conf(ROOT / "conf/slurm.conf")
    assert conf.words({"gpu": "2", "nodes": "1", "mem": "8G"})[1:] == [
        *("--export=ALL", "--signal=B:USR1@180", "--gres=gpu:2", "--mem=8G"),
    ]
    assert conf.words({"nodes": "3", "time": "1-0"})[3:] == [
        *("--nodes=3", "--ntasks-per-node=1", "--time=1-0"),
    ]
    assert not re.search("partition|account", f"{conf}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("option gpu=* -x\n", "there is no `command` line"),
        ("command sbatch\noption gpu\n", r"slurm.conf:2: not a line of slurm.conf: option gpu"),
        ("command sbatch\nrequeues many\n", r"slurm.conf:2: not a line"),
        ("command sbatch\ndefault x=1 y\n", r"slurm.conf:2: not a line"),
        ("command 'sbatch\n", r"slurm.conf:1: No closing quotation"),
        ("command sbatch\ndefault gpus=2\n", "--gpus 2: conf/slurm.conf has no `option gpus="),
    ],
)
def test_mistakes_in_the_conf(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/slurm.conf").write_text(text)
    done = run(SLURM, "x.log", "true", cwd=tmp_path)
    assert done.returncode == 1
    assert re.search("error: slurm.py: .*" + message, done.stderr), done.stderr


def test_dry_run_prints_everything_and_does_nothing(tmp_path: Path) -> None:
    configure(tmp_path, "-p 'two words'", "option time=* --time=$0\n")
    special = ["$(touch hacked)", "a b;c"]
    words = [
        "--dry-run",
        "--time=2:00",
        "--max-jobs",
        "3",
        "JOB=1:9",
        "x.JOB.log",
        "prog",
        *special,
    ]
    done = run(SLURM, *words, cwd=tmp_path)
    first, *jobs = done.stdout.splitlines()
    assert re.fullmatch(
        r"sbatch --export=ALL -p 'two words' --time=2:00 --parsable --wait --requeue --array=1-9%3 "
        r"--job-name=jointasr-(\w+) --output=exp/jobs/\1/%a.out --open-mode=append "
        r"exp/jobs/\1/task.sh",
        first,
    ), first
    assert jobs[8] == "# 9: prog '$(touch hacked)' 'a b;c' >x.9.log" and len(jobs) == 9
    assert sorted(p.name for p in tmp_path.iterdir()) == ["conf"]
    local = run(RUN, *[word for word in words if word != "--time=2:00"], cwd=tmp_path)
    assert local.stdout.splitlines()[8] == jobs[8].removeprefix("# 9: ")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["conf"]


def test_without_slurm(home: Path) -> None:
    done = run(sys.executable, SLURM, "x.log", "true", cwd=home, env={"PATH": "/nowhere"})
    assert done.returncode == 1 and "sbatch not found; use cmd_backend=local" in done.stderr


def test_task_numbers() -> None:
    assert slurm.task_numbers("7") == [7]
    assert slurm.task_numbers("1,3-5%2") == [1, 3, 4, 5]
    assert slurm.task_numbers("") == []


# ---- with one ----------------------------------------------------------------------------------


def test_same_logs_and_report_as_on_one_machine(cluster: dict[str, str], home: Path) -> None:
    code = "import os,sys\nprint('said', sys.argv[1:])\nsys.exit(7 if JOB == 2 else 0)"
    words = ["JOB=1:3", "log/x.JOB.log", sys.executable, "-c", code, "a b", "$HOME", "*"]
    found = {}
    for program in (RUN, SLURM):
        done = run(program, *words, cwd=home, env=cluster)
        assert done.returncode == 1
        logs = [(home / f"log/x.{n}.log").read_text() for n in (1, 2, 3)]
        report = done.stderr.replace(program.name, "NAME")
        found[program] = [
            re.sub(r"\d{4}-\d\d-\d\d [\d:]{8}|elapsed \d+ s", "T", text) for text in [*logs, report]
        ]
        assert f"{program.name}: 2 of 3 done, 1 failed" in done.stdout
    assert found[RUN] == found[SLURM]
    assert "  log/x.2.log: exit code 7" in found[SLURM][3]
    assert not list((home / "exp/jobs").glob("[!.]*")) and not queue(cluster)


def test_cancelled_failing_and_unstartable_jobs_are_named(
    cluster: dict[str, str], home: Path
) -> None:
    """Each failed job has its reason; the successful job is not listed."""
    rows = ["a\tlog/slow.log\tsleep 300", "b\tlog/bad.log\texit 3", "c\tlog/good.log\ttrue"]
    rows.append("d\tlog/killed.log\tkill -9 $$")
    (home / "t.tsv").write_text("\n".join(rows) + "\n")
    process = begin(home, cluster, "--table", "t.tsv", "bash", "-c")
    until(lambda: (home / "log/slow.log").is_file())
    (number,) = queue(cluster)
    subprocess.run(["scancel", f"{number}_1"], env={**os.environ, **cluster}, check=True)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1, out
    assert "error: slurm.py: 3 of 4 jobs failed:" in out
    assert f"  log/slow.log: cancelled (Slurm: CANCELLED, job {number}_1)" in out
    assert "  log/bad.log: exit code 3" in out
    assert "  log/killed.log: exit code 137 (killed by SIGKILL, often out of memory)" in out
    assert "log/good.log:" not in out


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_over_the_time_limit(cluster: dict[str, str], tmp_path: Path) -> None:
    """A job that saves its state is requeued and succeeds; one that never ends is requeued at most
    ``requeues`` times; without a signal before the limit, Slurm's state is reported."""
    other = configure(tmp_path / "other", "--time=1")
    silent = begin(other, cluster, "x.log", "sleep", "300")
    home = configure(tmp_path, "--time=1 --signal=B:USR1@40", "requeues 1\n")
    saves = "import pathlib,signal,sys,time\nstate=pathlib.Path('state')\n"
    saves += "def save(*_): state.touch(); sys.exit(143)\nsignal.signal(15, save)\n"
    saves += "print('resumed', state.exists(), flush=True)\nif not state.exists(): time.sleep(300)"
    endless = "import signal,time\nwhile True: time.sleep(1)"
    rows = [f"{n}\tlog/{n}.log\t{c.encode().hex()}" for n, c in
            (("saves", saves), ("endless", endless))]  # fmt: skip
    (home / "t.tsv").write_text("\n".join(rows) + "\n")
    unhex = "import sys; exec(bytes.fromhex(sys.argv[1]).decode())"
    process = begin(home, cluster, "--table", "t.tsv", sys.executable, "-c", unhex)
    out, _ = process.communicate(timeout=800)
    assert "error: slurm.py: 1 of 2 jobs failed:" in out, out
    assert "  log/endless.log: over its time limit, after 1 requeues" in out
    assert "resumed True" in (home / "log/saves.log").read_text()
    out, _ = silent.communicate(timeout=300)
    assert re.search(r"  x.log: over its time limit \(Slurm: TIMEOUT, job \d+_1\)", out), out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_cancels_the_array(
    cluster: dict[str, str], home: Path, number: signal.Signals
) -> None:
    process = begin(home, cluster, "JOB=1:6", "x.JOB.log", "sleep", "300")
    until(lambda: (home / "x.1.log").is_file())
    assert len(queue(cluster)) == 1
    process.send_signal(number)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"error: slurm.py: stopped by {number.name}" in out and "jobs are cancelled" in out
    assert not queue(cluster)


@pytest.mark.parametrize("recorded", [True, False], ids=["id recorded", "while submitting"])
def test_killed_and_run_again(cluster: dict[str, str], home: Path, recorded: bool) -> None:
    """The same command waits for the queued array and submits nothing else."""
    before = queue(cluster, "--states=all")
    words = ["JOB=1:3", "x.JOB.log", "bash", "-c", "echo JOB >>ran; sleep 8"]
    first = begin(home, cluster, *words)
    until(lambda: (home / "x.1.log").is_file())
    first.kill()
    first.wait()
    if not recorded:
        next((home / "exp/jobs").glob("*/id")).unlink()
    second = begin(home, cluster, *words)
    out, _ = second.communicate(timeout=120)
    assert second.returncode == 0, out
    (number,) = set(queue(cluster, "--states=all")) - set(before)
    assert f"slurm.py: job {number} of an earlier run is in the queue; waiting for it" in out
    assert sorted((home / "ran").read_text().split()) == ["1", "2", "3"]
    assert not queue(cluster)


@pytest.mark.slow
def test_one_training_on_two_machines(
    cluster: dict[str, str], recipe: Path, models: Path, tmp_path: Path
) -> None:
    """srun starts torchrun on both; the weights equal those of two processes on one machine."""
    (recipe / "conf").mkdir(exist_ok=True)
    configure(recipe)
    torchrun = ROOT / "utils/torchrun.sh"
    words = ["jointasr.bin.train", "--conf", "joint.yaml", "--condition", "clean"]
    words += ["--name", "joint", "--fold", "Ses01F", "--data", "data/folds/speaker/Ses01F"]
    settings = ["--set", *tiny.settings(models), "train.epochs=2"]
    env = {**cluster, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    here, there = tmp_path / "here", tmp_path / "there"
    local = [RUN, "--gpu", "2", f"{here}.log", torchrun, "--ngpu", "2", "--"]
    done = run(*local, *words, "--out", here, *settings, cwd=recipe, env=env)
    assert done.returncode == 0, done.stderr
    remote = [SLURM, "--nodes", "2", "--gpu", "1", f"{there}.log", torchrun, "--nodes", "2", "--"]
    done = run(*remote, *words, "--out", there, *settings, cwd=recipe, env=env)
    assert done.returncode == 0, done.stderr
    weights, again = (load_file(out / "best/model.safetensors") for out in (here, there))
    assert all((value == again[name]).all() for name, value in weights.items())


def test_several_machines_need_slurm(tmp_path: Path) -> None:
    done = run(RUN, "--nodes", "2", "x.log", "true", cwd=tmp_path)
    assert done.returncode == 1 and "with cmd_backend=slurm" in done.stderr
    done = run(ROOT / "utils/torchrun.sh", "--nodes", "2", "--", "module", cwd=tmp_path)
    assert done.returncode == 1 and "2 machines were requested, none are allocated" in done.stderr


def test_killed_and_then_cancelled(cluster: dict[str, str], home: Path) -> None:
    words = ["JOB=1:3", "x.JOB.log", "sleep", "300"]
    first = begin(home, cluster, *words)
    until(lambda: (home / "x.1.log").is_file())
    first.kill()
    first.wait()
    second = begin(home, cluster, *words)
    time.sleep(3)
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=60)
    assert second.returncode == 128 + signal.SIGTERM
    assert not queue(cluster)


def test_doctor_on_a_cluster(
    cluster: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLURM_CONF", cluster["SLURM_CONF"])
    result = machine.job_backend("slurm")
    assert result.ok and result.detail == "slurm, partitions debug"
    (tmp_path / "slurm.conf").write_text("ClusterName=none\nSlurmctldHost=nowhere.invalid\n")
    monkeypatch.setenv("SLURM_CONF", str(tmp_path / "slurm.conf"))
    assert not machine.job_backend("slurm").ok
    monkeypatch.setenv("PATH", "/nowhere")
    assert machine.job_backend("slurm").detail == (
        "slurm, but there is no sbatch and no squeue and no scontrol and no scancel"
    )
