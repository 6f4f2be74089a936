"""The built package: complete, with declared dependencies, usable without the project's folder."""

import ast
import importlib.metadata
import json
import re
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import numpy as np
import pytest
import soundfile
from recipe import Copy

from jointasr.utils.project import ROOT

OPTIONAL = {"k2", "kaldilm", "flashlight"}
"""imported where they are installed; their absence is an error message that names them"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built by setuptools from the files of the working tree, without a network."""
    home = tmp_path_factory.mktemp("wheel")
    Copy(home / "project")
    out = home / "dist"
    out.mkdir()
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(out)!r})"
    subprocess.run(
        [sys.executable, "-c", build], cwd=home / "project", check=True, capture_output=True
    )
    (path,) = out.glob("*.whl")
    return path


def third_party() -> set[str]:
    """Modules that the package imports from libraries."""
    names: set[str] = set()
    for path in (ROOT / "jointasr").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.split(".")[0])
    ours = {"jointasr", "local"}
    return {name for name in names if not name.startswith("_")} - ours - sys.stdlib_module_names


def normalized(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def test_the_wheel_has_all_modules_and_data_files_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "jointasr"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert names == {name for name in files.split() if (ROOT / name).is_file()}
    assert any(name.endswith("card.md.j2") for name in names)
    assert any(name.endswith("demo_page/demo.js") for name in names)


def test_every_import_is_declared(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = message_from_bytes(archive.read(path))
    required = metadata.get_all("Requires-Dist") or []
    declared = {normalized(re.split(r"[ ;<>=!~]", text)[0]) for text in required}
    providers = importlib.metadata.packages_distributions()
    for module in third_party() - OPTIONAL:
        names = {normalized(name) for name in providers.get(module, [module])}
        assert names & declared, f"{module} is imported, but not declared in pyproject.toml"


def test_the_installed_package_recognizes_as_the_project_does(
    wheel: Path, packed_recipe: Path, tmp_path: Path
) -> None:
    """From another folder, with a packed model; the same results as the checkout's."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    audio = tmp_path / "tone.wav"
    soundfile.write(audio, 0.1 * np.sin(np.arange(16000) / 4.0), 16000)
    options = [
        "recognize",
        "--model",
        str(packed_recipe / "model"),
        "--format",
        "jsonl",
        str(audio),
    ]
    outputs = [
        subprocess.run(
            [sys.executable, "-m", "jointasr", *options],
            cwd=tmp_path,
            env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for root in (tmp_path / "site", ROOT)
    ]
    assert outputs[0] == outputs[1]
    assert json.loads(outputs[0])["turns"]
