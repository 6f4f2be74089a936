"""The digest of code is equal after moves and on all Pythons, and differs for other code."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

from jointasr.utils.code_digest import code_digest, normal_form
from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
SYNTAX = ROOT / "tests/data/syntax.py"
RECORDED = ROOT / "tests/data/syntax.txt"
"""output of :func:`normal_form` for the file, verified on Python 3.10 to 3.13"""


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def interpreters() -> list[str]:
    """All Python versions on this machine that a stack may use."""
    pyenv = [str(p) for p in Path.home().glob(".pyenv/versions/3.*/bin/python3")]
    return [
        path
        for path in (*(f"python{version}" for version in VERSIONS), *sorted(pyenv))
        if any(f"Python {version}." in version_of(path) for version in VERSIONS)
    ]


def version_of(path: str) -> str:
    try:
        return subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=False
        ).stdout
    except OSError:
        return ""


def test_normal_form_is_the_recorded_one() -> None:
    assert normal_form(ast.parse(SYNTAX.read_text())) == RECORDED.read_text().rstrip("\n")


def test_normal_form_is_the_same_on_every_python_here() -> None:
    program = ROOT / "jointasr/utils/code_digest.py"
    for python in interpreters():
        done = subprocess.run([python, program, SYNTAX], capture_output=True, text=True, check=True)
        assert done.stdout == RECORDED.read_text(), version_of(python)


def test_comments_and_docstrings_do_not_count(tmp_path: Path) -> None:
    before = {
        "jointasr/a.py": '"""Doc."""\nfrom jointasr import b\n',
        "jointasr/b.py": 'X = 1  # why\n"""Of X."""\nclass C:\n    y: int\n    """Of y."""\n',
    }
    after = {
        "jointasr/a.py": '"""Other."""\nfrom jointasr import b\n',
        "jointasr/b.py": "# another\nX = (1)\nclass C:\n    y: int\n",
    }
    found = [
        code_digest("jointasr.a", write(tmp_path / str(n), x))
        for n, x in enumerate((before, after))
    ]
    assert found[0] == found[1]


def test_a_move_does_not_count(tmp_path: Path) -> None:
    late = "import local.c\ndef f(x):\n    from jointasr{}.files import X\n    return X\n"
    entry = "from jointasr{} import files\nfrom jointasr{}.b import f\nf(files.X)\n"
    flat = {
        "jointasr/bin/train.py": entry.format("", ""),
        "jointasr/files.py": "X = 1\n",
        "jointasr/b.py": late.format(""),
        "local/c.py": "Y = 1\n",
    }
    packages = {
        "jointasr/bin/train.py": entry.format(".utils", ".models"),
        "jointasr/utils/files.py": "X = 1\n",
        "jointasr/utils/__init__.py": '"""Utilities."""\n',
        "jointasr/models/b.py": late.format(".utils"),
        "local/c.py": "Y = 1\n",
    }
    found = [
        code_digest("jointasr.bin.train", write(tmp_path / str(n), files))
        for n, files in enumerate((flat, packages))
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("jointasr/a.py", "from jointasr.b import f\nf(2)\n"),
        ("jointasr/a.py", "from jointasr.c import f\nf(1)\n"),
        ("jointasr/b.py", "def f(x):\n    return 2 * x\n"),
        ("jointasr/c.py", "def f(x):\n    return 4 * x\n"),
    ],
)
def test_other_code_counts(tmp_path: Path, file: str, text: str) -> None:
    files = {
        "jointasr/a.py": "from jointasr.b import f\nf(1)\n",
        "jointasr/b.py": "from jointasr.c import f as g\ndef f(x):\n    return g(x)\n",
        "jointasr/c.py": "def f(x):\n    return 3 * x\n",
    }
    before = code_digest("jointasr.a", write(tmp_path, files))
    write(tmp_path, {file: text})
    assert code_digest("jointasr.a", tmp_path) != before


def test_what_it_cannot_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape("no such code: jointasr.a")):
        code_digest("jointasr.a", tmp_path)
    write(
        tmp_path, {"jointasr/a.py": "import jointasr.b\n", "jointasr/b.py": "import jointasr.a\n"}
    )
    with pytest.raises(ValueError, match="import each other"):
        code_digest("jointasr.a", tmp_path)
