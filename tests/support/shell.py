"""Run the project's scripts as a user would, in the environment that runs the tests."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from jointasr.utils.project import ROOT


def run(
    *command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command; no exit code raises an error."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, "JOINTASR_VENV": sys.prefix, **(env or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )


def executable(path: Path, text: str) -> Path:
    """Write an executable file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def nvidia_smi(folder: Path, *cards: str, old: bool = False) -> Path:
    """Write a fake nvidia-smi and return its folder, to be put first in PATH.

    Each card is `name, driver, capability`; an ``old`` nvidia-smi has no compute_cap.
    """
    refuse = 'case "$*" in *compute_cap*) echo "Field compute_cap is not valid"; exit 2;; esac'
    answers = "\n".join(
        [
            'case "$*" in',
            "  *=index*) printf '%s\\n' " + " ".join(map(str, range(len(cards)))) + ";;",
            "  *compute_cap*) printf '%s\\n' " + " ".join(f"'{c}'" for c in cards) + ";;",
            "  *) printf '%s\\n' " + " ".join(f"'{c.rsplit(',', 1)[0]}'" for c in cards) + ";;",
            "esac",
        ]
    )
    executable(folder / "nvidia-smi", f"#!/bin/sh\n{refuse if old else ':'}\n{answers}\n")
    return folder
