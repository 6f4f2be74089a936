"""Every script of steps/, local/ and utils/ works by itself: usage text, links, any folder."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from recipe import Copy
from shell import run

from jointasr.utils.project import ROOT

PROGRAMS = sorted(
    str(path.relative_to(ROOT))
    for folder in ("steps", "local", "utils")
    for path in (ROOT / folder).iterdir()
    if path.is_file() and os.access(path, os.X_OK)
)
SCRIPTS = [name for name in PROGRAMS if name.endswith(".sh")]
PYTHON = [name for name in PROGRAMS if name.endswith(".py")]
RECIPES = sorted(path.parent for path in ROOT.glob("egs/*/recipe.sh"))
OPTION = re.compile(r"  --[a-z][a-z-]* (\"[^\"]+\"|\S+) +\S.*")
BARE = {"PATH": "/usr/bin:/bin", "JOINTASR_VENV": "/nowhere", "PYTHONPATH": ""}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_of_scripts(script: str, tmp_path: Path) -> None:
    """The common form, without an environment, from a recipe folder, by a link and elsewhere."""
    calls = [(f"../../{script}", ROOT / "egs/mini"), (script, ROOT / "egs/mini")]
    calls.append((str(ROOT / script), tmp_path))
    for call, folder in calls:
        done = run(call, "--help", cwd=folder, env=BARE)
        assert (done.returncode, done.stderr) == (0, "")
        first, *lines = done.stdout.splitlines()
        assert first.startswith("Usage: ") and call in first
        options = "Options:" in lines
        assert options == ("[options]" in first)
        if options:
            start = lines.index("Options:")
            assert start > 0, "no description of the output"
            last = ""
            for line in lines[start + 1 :]:
                assert OPTION.fullmatch(line) or line.startswith("     "), line
                last = line
            assert last
        assert all(len(line) <= 120 for line in lines), max(lines, key=len)


@pytest.mark.parametrize("program", PYTHON)
def test_help_of_python_programs(program: str, tmp_path: Path) -> None:
    """They find the environment that path.sh gives, whatever python3 is on PATH."""
    env = BARE | {"JOINTASR_VENV": sys.prefix}
    for call, folder in ((program, ROOT / "egs/mini"), (str(ROOT / program), tmp_path)):
        done = run(call, "--help", cwd=folder, env=env)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("usage: ")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_links_of_recipes(recipe: Path, tmp_path: Path) -> None:
    """Relative, so that a copied recipe has them too."""
    for name in ("steps", "local", "utils"):
        assert os.readlink(recipe / name) == f"../../{name}"
    copied = Copy(tmp_path).home / "egs" / recipe.name
    new = shutil.copytree(copied, copied.with_name("new"), symlinks=True)
    done = run(new / "steps/train.sh", "--help", cwd=new)
    assert done.returncode == 0 and done.stdout.startswith("Usage: ")
    done = run("./run.sh", "--stage", "11", cwd=new)
    assert "error: run.sh: stage 11: stages are 0 to 10" in done.stderr


def test_a_step_called_by_itself(tmp_path: Path) -> None:
    """It uses the environment of path.sh and the recipe in the current folder."""
    shutil.copytree(ROOT / "egs/mini/conf", tmp_path / "conf")
    env = BARE | {"JOINTASR_VENV": sys.prefix}
    done = run(
        ROOT / "steps/train.sh", "--dry-run", "true", "conf/none.yaml", cwd=tmp_path, env=env
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "none.yaml" in done.stderr
    without = run(ROOT / "steps/train.sh", "conf/none.yaml", cwd=tmp_path, env=BARE)
    assert without.returncode == 1 and "/nowhere has no bin/python3" in without.stderr
