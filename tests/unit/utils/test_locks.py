"""Locks of outputs and atomic files, with concurrent runs, kills and errors."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jointasr.utils import done, files, locks
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

HOLD = """
import sys, time
from pathlib import Path
from jointasr.utils import locks
with locks.held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""
SHELL = """
set -euo pipefail
. "$0/utils/log.sh"
. "$0/utils/lock.sh"
lock_output "$1"
sleep "$2" &
echo held
wait
"""


def start(language: str, out: Path, seconds: float) -> "subprocess.Popen[str]":
    """Start a program that holds the lock of ``out`` for ``seconds``."""
    python = [sys.executable, "-c", HOLD, str(out), str(seconds)]
    shell = ["bash", "-c", SHELL, str(ROOT), str(out), str(seconds)]
    return subprocess.Popen(
        python if language == "python" else shell,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=out.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


def waits(process: "subprocess.Popen[str]") -> str:
    """Return the message about waiting; the process must not hold the lock yet."""
    assert process.stderr is not None
    message = process.stderr.readline()
    assert process.poll() is None
    return message


@pytest.mark.parametrize("first", ["python", "shell"])
@pytest.mark.parametrize("second", ["python", "shell"])
def test_one_at_a_time(first: str, second: str, tmp_path: Path) -> None:
    """Scripts and programs exclude each other, other outputs stay unlocked, and killing the holder
    and its children releases the lock at once."""
    holder = start(first, tmp_path / "out", 600)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    with locks.held(tmp_path / "other"):
        pass
    waiting = start(second, tmp_path / "out", 0)
    message = waits(waiting)
    assert f"locked by process {holder.pid} on " in message and "; waiting" in message
    began = time.monotonic()
    os.killpg(holder.pid, signal.SIGKILL)
    out, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, out) == (0, "held\n")
    assert time.monotonic() - began < 30
    holder.communicate()


def test_children_keep_the_lock(tmp_path: Path) -> None:
    """The children of a killed script keep its lock until they end."""
    holder = start("shell", tmp_path / "out", 3)
    assert holder.stdout is not None and holder.stdout.readline() == "held\n"
    holder.kill()
    holder.wait()
    began = time.monotonic()
    with locks.held(tmp_path / "out"):
        assert time.monotonic() - began > 0.5  # `sleep` was still there


def test_forked_children_do_not_hold_the_lock(tmp_path: Path) -> None:
    """A worker that outlives a killed program does not block the next run."""
    code = (
        "import os, sys, time\nfrom pathlib import Path\nfrom jointasr.utils import locks\n"
        "with locks.held(Path(sys.argv[1])):\n"
        "    child = os.fork()\n"
        "    if not child:\n"
        "        time.sleep(60)\n"
        "    print(child, flush=True)\n"
        "    os._exit(0)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert holder.stdout is not None
    child = int(holder.stdout.readline())
    try:
        holder.wait()
        began = time.monotonic()
        with locks.held(tmp_path / "out"):
            assert time.monotonic() - began < 30
    finally:
        os.kill(child, signal.SIGKILL)
        holder.stdout.close()


def test_lock_file_is_a_link(tmp_path: Path) -> None:
    locks.lock_file(tmp_path / "out").symlink_to(tmp_path / "other")
    words = r"\.out\.lock: is a symbolic link, not a lock file; remove"
    with pytest.raises(DataError, match=words), locks.held(tmp_path / "out"):
        pass
    assert not (tmp_path / "other").exists()


def test_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    words = r"has no locks .*work in a folder elsewhere"
    with pytest.raises(DataError, match=words), locks.held(tmp_path / "out"):
        pass


def test_atomic_files(tmp_path: Path) -> None:
    """After an error only the old file remains."""
    path = tmp_path / "new/table"
    files.write_text(path, "old\n")
    with pytest.raises(RuntimeError), files.replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old\n"
    assert list(path.parent.iterdir()) == [path]
    files.write_json(path, {"ä": 1})
    assert path.read_text(encoding="utf-8") == '{\n "ä": 1\n}\n'


def test_input_changed_meanwhile(tmp_path: Path) -> None:
    """A step whose input changes while it runs is not recorded as finished."""
    source, out = tmp_path / "source", tmp_path / "out"
    source.write_text("a")
    words = r"the input .*source changed while the step ran"
    with (
        pytest.raises(DataError, match=words),
        done.step(out, "jointasr.utils.files", {}, [source]),
    ):
        source.write_text("b")
    assert not (out / ".done").exists()


@pytest.mark.parametrize("ctime_changes", [True, False])
def test_input_changed_meanwhile_with_the_same_size_and_time(
    ctime_changes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a file system with coarse times, where not even the change time differs."""
    source, out = tmp_path / "source", tmp_path / "out"
    source.write_text("a")
    os.utime(source, ns=(10**18, 10**18))
    monkeypatch.setattr(done, "SETTLED_SECONDS", 0.0)
    if not ctime_changes:
        stat, original = source.stat(), Path.stat
        monkeypatch.setattr(
            Path, "stat", lambda self, **kw: stat if self == source else original(self, **kw)
        )
    words = r"the input .*source changed while the step ran"
    with (
        pytest.raises(DataError, match=words),
        done.step(out, "jointasr.utils.files", {}, [source]),
    ):
        source.write_text("b")
        os.utime(source, ns=(10**18, 10**18))
    assert not (out / ".done").exists()


def test_input_rewritten_between_steps_with_the_same_size_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of digests compares the change time, which programs cannot set."""
    source, out = tmp_path / "source", tmp_path / "out"
    monkeypatch.setattr(done, "SETTLED_SECONDS", 0.0)
    source.write_text("a")
    os.utime(source, ns=(10**18, 10**18))
    with done.step(out, "jointasr.utils.files", {}, [source]):
        pass
    time.sleep(0.05)
    source.write_text("b")
    os.utime(source, ns=(10**18, 10**18))
    with pytest.raises(DataError, match=r"the input .*source changed since"):
        done.check(out, "jointasr.utils.files", {}, [source])
