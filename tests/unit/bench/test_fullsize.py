"""The paper's model at its real size runs where there is no GPU, within 16 GB and 10 minutes."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jointasr.utils.project import ROOT

pytestmark = pytest.mark.slow


@pytest.mark.timeout(900)
def test_three_steps_and_a_decode(tmp_path: Path) -> None:
    pytest.importorskip("k2")
    start = time.monotonic()
    output = run("tests/support/fullsize.py", str(tmp_path))
    print(output)
    assert "steps 3" in output
    assert "decoded 3 texts, 3 posteriors" in output
    memory = re.search(r"peak memory ([\d.]+) GiB", output)
    assert memory is not None and float(memory.group(1)) < 16e9 / 2**30
    assert time.monotonic() - start < 600


def run(*arguments: str) -> str:
    command = [sys.executable, *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    return result.stdout
