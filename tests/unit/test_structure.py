"""Rules of the source tree: direction of imports, size of modules, programs that start fast."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from jointasr.utils.project import ROOT

MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for folder in ("jointasr", "local")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "__init__.py"
}
PACKAGES = {
    "utils": set[str](),
    "text": {"utils"},
    "config": {"text"},
    "data": {"config"},
    "scoring": {"data"},
    "lm": {"data"},
    "ctc": {"scoring", "lm"},
    "models": {"ctc"},
    "prep": {"models"},
    "training": {"models"},
    "decoding": {"models"},
    "inference": {"prep", "decoding"},
    "report": {"prep"},
    "doctor": {"ctc"},
    "bench": {"prep", "training", "decoding"},
}
"""the neighbours that each package may import, besides all that these may import"""
LONGEST = 300
PROGRAMS = sorted(name for name in MODULES if name.startswith("jointasr.bin."))


def imports(path: Path) -> set[str]:
    """Project modules that a file imports, late imports included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names & MODULES.keys()


def test_no_import_cycles() -> None:
    graph = {name: imports(path) for name, path in MODULES.items()}
    while leaves := [name for name, used in graph.items() if not used & graph.keys()]:
        for name in leaves:
            del graph[name]
    assert not graph, f"these import each other: {sorted(graph)}"


def below(package: str) -> set[str]:
    """All packages that ``package`` may import."""
    return PACKAGES[package].union(*map(below, PACKAGES[package]))


def test_packages_import_only_their_neighbours() -> None:
    folders = {path.parent.name for path in (ROOT / "jointasr").glob("*/__init__.py")}
    assert folders - {"bin"} == PACKAGES.keys()
    for name, path in MODULES.items():
        _, package, *rest = name.split(".")
        if not rest or package == "bin" or not name.startswith("jointasr."):
            continue
        used = {other.split(".")[1] for other in imports(path) if other.startswith("jointasr.")}
        assert used <= {package} | below(package), f"{name} imports {used}"


def test_modules_are_short() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert not {name: length for name, length in lengths.items() if length > LONGEST}


def test_package_docstrings_name_the_allowed_neighbours() -> None:
    for package, allowed in PACKAGES.items():
        path = ROOT / "jointasr" / package / "__init__.py"
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        named = docstring.splitlines()[-1].split(" and the packages")[0]
        assert all(name in named for name in allowed), docstring


def test_the_package_knows_no_corpus_and_no_program_is_imported() -> None:
    for name, path in MODULES.items():
        used = imports(path)
        if name.startswith("jointasr."):
            assert not [other for other in used if other.startswith("local.")], name
        assert not [other for other in used if other.startswith("jointasr.bin.")], name


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_there_and_imports_nothing_heavy(program: str) -> None:
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['{program}', '--help']\n"
        "try:\n"
        f"    runpy.run_module('{program}', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'torch', 'transformers', 'lhotse', 'k2', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "usage" in result.stdout
