"""setup_env.sh and path.sh in a copy of the project's shell part, with a fake uv."""

import os
import shutil
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from shell import executable, run

from jointasr.utils.project import ROOT

UV = """#!/usr/bin/env bash
# fake uv: `venv` creates a folder with a python, `pip sync` only logs its arguments
set -euo pipefail
echo "$*" >> "$UV_LOG"
if [ "$1" = venv ]; then
  mkdir -p "${!#}/bin"
  ln -sf "$REAL_PYTHON" "${!#}/bin/python"
  ln -sf "$REAL_PYTHON" "${!#}/bin/python3"
elif [ "${UV_FAILS:-}" = true ]; then
  echo "no network" >&2
  exit 2
fi
"""


class Project:
    """A copy of the files that setup_env.sh needs."""

    def __init__(self, home: Path) -> None:
        self.home = home / "my project"
        self.log = home / "uv.log"
        for name in ("utils", "requirements"):
            shutil.copytree(ROOT / name, self.home / name)
        shutil.copy(ROOT / "path.sh", self.home)
        executable(home / "bin/uv", UV)
        python = os.path.realpath(sys.executable)
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        (home / f"bin/python{version}").symlink_to(python)
        self.env = {
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
            "UV_LOG": str(self.log),
            "REAL_PYTHON": python,
            "K2_INDEX": str(home / "no-index"),
            "JOINTASR_VENV": "",
        }

    def setup(self, *options: str, **env: str) -> CompletedProcess[str]:
        return run(self.home / "utils/setup_env.sh", *options, env=self.env | env)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_installed_once_and_again_when_the_lock_changes(project: Project) -> None:
    first = project.setup("--stack", "torch")
    assert first.returncode == 0, first.stderr
    assert os.readlink(project.home / ".venv") == ".venv-torch"
    assert [call.split()[0] for call in project.calls()] == ["venv", "pip"]
    assert "--require-hashes" in project.calls()[1]
    again = project.setup()  # auto keeps the stack that .venv has
    assert "stack torch: up to date" in again.stdout and len(project.calls()) == 2
    with (project.home / "requirements/torch.txt").open("a") as lock:
        lock.write("# changed\n")
    assert "installed" in project.setup().stdout and len(project.calls()) == 3
    assert "dev-torch.txt" not in project.calls()[-1]
    project.setup("--dev", "true")
    assert "requirements/torch.txt requirements/dev-torch.txt" in project.calls()[-1]
    assert "up to date" in project.setup().stdout  # the developers' environment is fine for users


def test_interrupted_installation_is_not_up_to_date(project: Project) -> None:
    broken = project.setup("--stack", "torch", UV_FAILS="true")
    assert broken.returncode == 1 and "no network" in broken.stderr
    assert "the libraries of stack torch could not be installed" in broken.stderr
    assert not (project.home / ".venv").exists()
    assert project.setup("--stack", "torch").returncode == 0


def test_link_is_optional(project: Project) -> None:
    project.setup("--stack", "torch", "--link", "false")
    assert not (project.home / ".venv").exists() and (project.home / ".venv-torch").exists()
    (project.home / ".venv").mkdir()
    done = project.setup("--stack", "torch")
    assert done.returncode == 1 and ".venv was not created by this script" in done.stderr


def test_k2_comes_from_the_given_index(project: Project, tmp_path: Path) -> None:
    index = tmp_path / "wheels"
    index.mkdir()
    lock = (ROOT / "requirements/k2.txt").read_text()
    version = next(line for line in lock.splitlines() if line.startswith("k2=="))[4:]
    tag = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    (index / f"k2-{version}-{tag}-{tag}-manylinux_2_28_x86_64.whl").touch()
    done = project.setup("--stack", "k2", K2_INDEX=str(index))
    assert done.returncode == 0, done.stderr
    used = (project.home / ".venv-k2/k2.txt").read_text()
    assert f"--find-links {index}\n" in used and "https://" not in used
    assert f"-r {project.home}/requirements/torch.txt\n" in used
    assert ".venv-k2/k2.txt" in project.calls()[-1]


def test_path_sh_creates_and_activates_the_environment(project: Project, tmp_path: Path) -> None:
    show = 'set -euo pipefail; . "$1"; . "$1"; printf "%s\\n" "$ROOT" "$PYTHONPATH" "$PATH" '
    show += '"$LC_ALL" "$PYTHONUTF8" "$OMP_NUM_THREADS" "$(command -v python3)"'
    env = project.env | {"JOINTASR_STACK": "torch", "OMP_NUM_THREADS": "3"}
    command = ["bash", "-c", show, "bash", project.home / "path.sh"]
    done = run(*command, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    home = str(project.home)
    root, pythonpath, path, *rest = done.stdout.splitlines()
    venv = f"{home}/.venv-torch/bin"
    assert (root, pythonpath) == (home, home)
    assert path.startswith(f"{venv}:") and path.count(venv) == 1
    assert rest == ["C", "1", "3", f"{venv}/python3"]
    assert not (
        project.home / ".venv"
    ).exists()  # the stack is used once, it does not become the default
    own = run(*command, cwd=tmp_path, env=env | {"JOINTASR_VENV": "/no/such"})
    assert own.returncode == 1 and "/no/such has no bin/python3" in own.stderr
