"""utils/run.py: arrays, tables, logs, GPUs, failures, signals."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from shell import nvidia_smi, run

from jointasr.utils.project import ROOT

RUN = ROOT / "utils" / "run.py"


def test_jobs_run_in_parallel_with_their_own_logs(tmp_path: Path) -> None:
    # each job waits for the other, so both must run at the same time
    wait = "import pathlib,sys,time\nme,other=map(pathlib.Path,sys.argv[1:])\nme.touch()\n"
    wait += "while not other.exists(): time.sleep(.01)\nprint('met', other)"
    program = [sys.executable, "-c", wait]
    table = tmp_path / "t.tsv"
    table.write_text("a\tlog/t.a.log\tA\tB\nb\tlog/t.b.log\tB\tA\n")
    done = run(RUN, "--max-jobs", "2", "--table", table, *program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 done, 0 failed" in done.stdout
    lines = (tmp_path / "log/t.a.log").read_text().splitlines()
    assert lines[0].startswith("# ") and lines[-2] == "met B"
    assert [line for line in lines if line.startswith("# Started at ")]
    assert lines[-1].startswith("# Ended (code 0) at ") and "elapsed" in lines[-1]


def test_max_jobs_limits_parallel_jobs(tmp_path: Path) -> None:
    code = "import os,time\nn=len(os.listdir('busy'))\nopen(f'busy/JOB','w')\ntime.sleep(.1)\n"
    code += "os.remove('busy/JOB')\nprint('others', n)"
    (tmp_path / "busy").mkdir()
    command = [sys.executable, "-c", code]
    done = run(RUN, "--max-jobs=1", "JOB=1:3", "x.JOB.log", *command, cwd=tmp_path)
    assert done.returncode == 0
    assert all("others 0" in (tmp_path / f"x.{n}.log").read_text() for n in (1, 2, 3))


def test_arguments_are_literal(tmp_path: Path) -> None:
    special = [
        "a b",
        "$(touch hacked)",
        "`x`",
        "*",
        "'",
        '"',
        "",
        "\\",
        "é",
        "--gpu",
        "x;y",
        "JOB.JOB",
    ]
    show = "import sys; print(sys.argv[1:])"
    done = run(RUN, "JOB=2:3", "q.JOB.log", sys.executable, "-c", show, *special, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert repr([*special[:-1], "3.3"]) in (tmp_path / "q.3.log").read_text()
    (tmp_path / "t.tsv").write_text("1\tr.log\t" + "\t".join(special) + "\n")
    assert run(RUN, "--table", "t.tsv", sys.executable, "-c", show, cwd=tmp_path).returncode == 0
    assert repr(special) in (tmp_path / "r.log").read_text()
    assert not (tmp_path / "hacked").exists()


def test_options_may_follow_the_array_as_in_kaldi(tmp_path: Path) -> None:
    done = run(RUN, "JOB=1:2", "--mem", "4G", "--max-jobs", "1", "JOB.log", "true", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "2.log").exists()


def test_failures_are_reported_and_other_jobs_finish(tmp_path: Path) -> None:
    code = "import os,sys\nprint('boom', 1 * JOB)\nif JOB == 2: sys.exit(7)\n"
    code += "if JOB == 4: os.kill(os.getpid(), 9)"
    command = ["--max-jobs", "1", "JOB=1:5", "log/f.JOB.log", sys.executable, "-c", code]
    done = run(RUN, *command, cwd=tmp_path)
    assert done.returncode == 1
    assert "3 of 5 done, 2 failed" in done.stdout
    assert "error: run.py: 2 of 5 jobs failed" in done.stderr
    assert "log/f.2.log: exit code 7" in done.stderr
    assert "log/f.4.log: exit code 137 (killed by SIGKILL" in done.stderr
    assert "| boom 2" in done.stderr and "boom 4" not in done.stderr
    assert "# Ended (code 7)" in (tmp_path / "log/f.2.log").read_text()
    assert "# Ended (code 0)" in (tmp_path / "log/f.5.log").read_text()
    assert "run.py --max-jobs 1 JOB=1:5 log/f.JOB.log" in done.stderr


def test_program_that_does_not_exist(tmp_path: Path) -> None:
    done = run(RUN, "x.log", "no-such-program", cwd=tmp_path)
    assert done.returncode == 1 and "exit code 127" in done.stderr
    assert "No such file or directory: no-such-program" in (tmp_path / "x.log").read_text()


def test_a_log_never_mixes_with_an_older_one(tmp_path: Path) -> None:
    for text in ("a long first message", "short"):
        assert run(RUN, "x.log", "echo", text, cwd=tmp_path).returncode == 0
    lines = (tmp_path / "x.log").read_text().splitlines()
    assert lines.count("short") == 1 and "a long first message" not in lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["JOB=1:2", "x.log", "true"], "x.log needs JOB in its name"),
        (["JOB=3:2", "x.JOB.log", "true"], "JOB=3:2 is empty"),
        (["x.log"], "a log and a program are needed"),
        (["--table", "t.tsv", "true"], "t.tsv:2: the id a appears twice"),
        (["--table", "u.tsv", "true"], "u.tsv:1: expected id<TAB>log"),
        (["--table", "v.tsv", "true"], "several jobs would write the log a.log"),
        (["--table", "none.tsv", "true"], "none.tsv"),
        (["JOB=1:2", "--table", "t.tsv", "true"], "exclude each other"),
        (["--gpu", "3", "x.log", "true"], "--gpu 3: there are 2 GPUs"),
        (["--table", "t.tsv"], "a program is needed"),
    ],
)
def test_mistakes(tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "t.tsv").write_text("a\ta.log\na\tb.log\n")
    (tmp_path / "u.tsv").write_text("a b.log\n")
    (tmp_path / "v.tsv").write_text("a\ta.log\nb\ta.log\n")
    done = run(RUN, *words, cwd=tmp_path, env={"CUDA_VISIBLE_DEVICES": "0,1"})
    assert done.returncode == 1 and message in done.stderr and "Traceback" not in done.stderr


def visible(tmp_path: Path, *options: str, env: dict[str, str]) -> set[str]:
    """Return the values of CUDA_VISIBLE_DEVICES that four jobs saw."""
    code = "import os,time\ntime.sleep(.3)\nprint('saw', os.environ.get('CUDA_VISIBLE_DEVICES'))"
    command = [sys.executable, "-c", code]
    done = run(RUN, *options, "JOB=1:4", "g.JOB.log", *command, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    logs = [(tmp_path / f"g.{n}.log").read_text() for n in range(1, 5)]
    return {line[4:] for log in logs for line in log.splitlines() if line.startswith("saw ")}


def test_slots_use_the_visible_gpus(tmp_path: Path) -> None:
    env = {"CUDA_VISIBLE_DEVICES": "2,5"}
    assert visible(tmp_path, "--gpu", "1", env=env) == {"2", "5"}
    assert visible(tmp_path, "--gpu", "2", env=env) == {"2,5"}
    assert visible(tmp_path, "--gpu", "1", "--max-jobs", "4", env=env) == {"2", "5"}
    assert visible(tmp_path, "--gpu", "1", "--max-jobs", "1", env=env) == {"2"}
    assert visible(tmp_path, env=env) == {"2,5"}


def test_gpus_from_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    cards = nvidia_smi(tmp_path / "bin", *["A100, 580.10, 8.0"] * 3)
    path = {"PATH": f"{cards}:{os.environ['PATH']}"}
    assert visible(tmp_path, "--gpu", "1", env=path) == {"0", "1", "2"}


def test_without_gpus_jobs_run_on_the_cpu(tmp_path: Path) -> None:
    assert visible(tmp_path, "--gpu", "1", env={"CUDA_VISIBLE_DEVICES": ""}) == {""}


def alive(pid: int) -> bool:
    """Return whether a process is running (a zombie is not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition: object, seconds: float = 15) -> None:
    """Wait for ``condition()``."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timeout"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_ends_all_jobs_and_their_children(tmp_path: Path, number: int) -> None:
    # after KILL of the runner, Linux ends the jobs, but not their child processes
    pids = [tmp_path / f"pid.{n}" for n in (1, 2)]
    child = "sleep 100 & echo $! $$ > pid.JOB.tmp; mv pid.JOB.tmp pid.JOB; wait"
    command = [RUN, "--max-jobs", "2", "JOB=1:3", "k.JOB.log", "bash", "-c", child]
    runner = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: all(path.exists() for path in pids))
        started = [[int(pid) for pid in path.read_text().split()] for path in pids]
        os.kill(runner.pid, number)
        _, errors = runner.communicate(timeout=15)
        leaders = [pid for _, pid in started]
        everyone = [pid for both in started for pid in both]
        watched = leaders if number == signal.SIGKILL else everyone
        wait_until(lambda: not any(alive(pid) for pid in watched))
    finally:
        for pid in (pid for path in pids if path.exists() for pid in path.read_text().split()):
            if alive(int(pid)):
                os.kill(int(pid), signal.SIGKILL)
    assert not (tmp_path / "k.3.log").exists()
    if number != signal.SIGKILL:
        assert runner.returncode == 128 + number
        assert f"stopped by {signal.Signals(number).name}" in errors
        assert "# Ended (code 143)" in (tmp_path / "k.1.log").read_text()
