"""Digest of the code that a step runs; independent of file names, formatting and Python version.

The digest of a module covers its syntax tree. Where the module imports another module of the
project, the digest of that module stands in place of its name. Comments, docstrings and file names
do not count. ``ast.dump`` is not used, because its text differs between versions of Python.
"""

import ast
import hashlib
import sys
from functools import cache
from pathlib import Path

PACKAGES = ("jointasr", "local")
NOT_CODE = ("ctx", "kind", "type_comment", "type_ignores")
"""fields of syntax trees that follow from the rest of the tree, or that no program can see"""


def code_digest(code: str, root: Path) -> str:
    """Digest, 16 hexadecimal digits, of a module ("jointasr.bin.train") or script ("local/x.py").

    ``root`` is the folder that holds the packages. Late imports count as those at the top do.
    Raises ValueError where there is no such code, or where modules import each other.
    """
    path = root / code if code.endswith(".py") else _module_file(code, root)
    if path is None or not path.is_file():
        raise ValueError(f"no such code: {code}")
    return _Digests(root).of(path)


def normal_form(node: object) -> str:
    """A syntax tree as text that is the same on all versions of Python from 3.10 on.

    Fields are written in alphabetical order. Those that are None or empty are left out, because
    versions differ in which of them exist.
    """
    if isinstance(node, ast.AST):
        fields = [
            f"{name}={normal_form(value)}"
            for name, value in sorted(ast.iter_fields(node))
            if name not in NOT_CODE and not (value is None or value == [])
        ]
        if isinstance(node, ast.Constant):  # None is a value here
            fields = [f"value={type(node.value).__name__}:{node.value!a}"]
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(normal_form, node))}]"
    return ascii(node)


class _Digests:
    """Digests of the modules below ``root``, each computed once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: dict[Path, str] = {}
        self.open: list[Path] = []

    def of(self, path: Path) -> str:
        """The digest of one file and of all that it imports."""
        if path in self.open:
            raise ValueError(f"modules import each other: {', '.join(map(str, self.open))}")
        if path not in self.found:
            self.open.append(path)
            parts = []
            for text, imports in _statements(path.read_text(encoding="utf-8")):
                modules = [(name, self._module(*names)) for name, *names in imports]
                parts += [text, *(f"{name} {digest}" for name, digest in modules)]
            self.found[path] = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
            self.open.pop()
        return self.found[path]

    def _module(self, *names: str) -> str:
        """The digest of the first of these names that is a module."""
        files = (_module_file(name, self.root) for name in names)
        return self.of(next(file for file in files if file is not None))


@cache
def _statements(source: str) -> list[tuple[str, list[tuple[str, ...]]]]:
    """The normal form of a module without its project imports; after it, for each name that such an
    import binds, that name and the modules that it may come from, the likeliest first."""
    tree = ast.parse(source)
    remover = _Remover()
    tree = remover.visit(tree)
    return [(normal_form(tree), sorted(remover.imports))]


class _Remover(ast.NodeTransformer):
    """Removes docstrings and project imports from a syntax tree, and collects the imports."""

    def __init__(self) -> None:
        self.imports: list[tuple[str, ...]] = []

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        """``import jointasr.a``"""
        other = [alias for alias in node.names if not _is_ours(alias.name)]
        ours = [alias for alias in node.names if _is_ours(alias.name)]
        self.imports += [(alias.asname or "", alias.name) for alias in ours]
        return ast.Import(names=other) if other else None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """``from jointasr import a`` and ``from jointasr.a import f``"""
        if node.level or node.module is None or not _is_ours(node.module):
            return node
        for alias in node.names:
            bound = alias.asname or alias.name
            self.imports.append((bound, f"{node.module}.{alias.name}", node.module))
        return None

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """Docstrings of modules, classes and functions."""
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                node.body = node.body[1:]
        return super().generic_visit(node)


def _is_ours(name: str) -> bool:
    return name.split(".")[0] in PACKAGES


def _module_file(name: str, root: Path) -> Path | None:
    """The file of a project module, or None."""
    path = root / Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


if __name__ == "__main__":  # a test compares the output of several Python versions
    print(normal_form(ast.parse(Path(sys.argv[1]).read_text(encoding="utf-8"))))
