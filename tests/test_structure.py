"""The house rules of the tree: imports go one way, and asking for help costs nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for folder in ("jointasr", "local")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path.name != "__init__.py"
}
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
