"""Processes end when their parent ends, at any time."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jointasr.utils.project import ROOT

PARENT = """
import os, sys, time
from pathlib import Path
from jointasr.utils.project import ROOT
from jointasr.utils import processes
early, out = sys.argv[1] == "early", Path(sys.argv[2])
parent = os.getpid()
if os.fork() == 0:
    Path(out, "child").write_text(str(os.getpid()))
    if early:
        while os.getppid() == parent:  # the parent is killed before the call
            time.sleep(0.01)
    processes.exit_with_parent(parent)
    Path(out, "ready").touch()
    time.sleep(60)
time.sleep(60)
"""


def wait_for(what: Callable[[], object], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.parametrize("moment", ["early", "late"])
def test_a_child_does_not_outlive_its_parent(tmp_path: Path, moment: str) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, moment, str(tmp_path)], cwd=ROOT)
    child, ready = tmp_path / "child", tmp_path / "ready"
    assert wait_for(lambda: child.is_file() and child.read_text())
    if moment == "late":
        assert wait_for(ready.is_file)
    parent.kill()
    parent.wait()
    pid = int(child.read_text())
    assert wait_for(lambda: not _alive(pid))
    assert ready.is_file() == (moment == "late")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
