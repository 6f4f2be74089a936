"""Digest of the code that a step runs, independent of file names, formatting and Python version.

The digest of a module covers its syntax tree, in which the name of an imported module of the
project is replaced by the digest of that module. File names, comments and docstrings have no
effect. ``ast.dump`` is not used because its output differs between Python versions.
"""

import ast
import hashlib
import sys
from functools import cache
from pathlib import Path

PACKAGES = ("jointasr", "local")
NOT_CODE = ("ctx", "kind", "type_comment", "type_ignores")
"""fields of syntax tree nodes that are redundant or have no effect at run time"""
STATEMENTS = ("body", "orelse", "finalbody", "handlers", "cases")
"""fields of syntax tree nodes that may contain statements"""


def code_digest(code: str, root: Path) -> str:
    """Return the digest, 16 hex digits, of a module (jointasr.bin.train) or script (local/x.py).

    ``root`` is the folder that contains the packages. Imports inside functions count like those at
    the top. Raises ValueError if the code does not exist or has an import cycle.
    """
    path = root / code if code.endswith(".py") else _module_file(code, root)
    if path is None or not path.is_file():
        raise ValueError(f"no such code: {code}")
    return _DigestCache(root).digest(path)


def normal_form(node: object) -> str:
    """Return a syntax tree as text that is the same on all Python versions from 3.10 on.

    Fields are in alphabetical order. Fields that are None or empty are omitted, because Python
    versions differ in which of them exist.
    """
    if isinstance(node, ast.Constant):  # keeps the constant None
        return f"{type(node).__name__}(value={type(node.value).__name__}:{node.value!a})"
    if isinstance(node, ast.AST):
        fields = []
        for name in _field_names(node._fields):
            value = getattr(node, name, None)
            if not (value is None or value == []):
                fields.append(f"{name}={normal_form(value)}")
        return f"{type(node).__name__}({','.join(fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(normal_form, node))}]"
    return ascii(node)


@cache
def _field_names(fields: tuple[str, ...]) -> list[str]:
    """Return the relevant fields of a kind of node in alphabetical order."""
    return sorted(name for name in fields if name not in NOT_CODE)


class _DigestCache:
    """Digests of the modules below ``root``, cached."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache: dict[Path, str] = {}
        self.in_progress: list[Path] = []

    def digest(self, path: Path) -> str:
        """Return the digest of a file and of everything it imports."""
        if path in self.in_progress:
            cycle = ", ".join(map(str, self.in_progress))
            raise ValueError(f"modules import each other: {cycle}")
        if path not in self.cache:
            self.in_progress.append(path)
            text, imports = _parse(path.read_text(encoding="utf-8"))
            lines = [text, *(f"{name} {self._import_digest(*names)}" for name, *names in imports)]
            self.cache[path] = hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
            self.in_progress.pop()
        return self.cache[path]

    def _import_digest(self, *names: str) -> str:
        """Return the digest of the first of ``names`` that is a module."""
        files = (_module_file(name, self.root) for name in names)
        return self.digest(next(file for file in files if file is not None))


@cache
def _parse(source: str) -> tuple[str, list[tuple[str, ...]]]:
    """Return the normal form of a module without its project imports, and its project imports.

    An import is the name that it binds, followed by the modules that the name may come from, most
    specific first.
    """
    tree = ast.parse(source)
    imports: list[tuple[str, ...]] = []
    _remove(tree, imports)
    return normal_form(tree), sorted(imports)


def _remove(node: ast.AST, imports: list[tuple[str, ...]]) -> None:
    """Remove docstrings and project imports below ``node``; append the imports to ``imports``."""
    for name in STATEMENTS:
        statements = getattr(node, name, None)
        if isinstance(statements, list):
            remaining = [
                child
                for child in statements
                if not _is_docstring(child) and not _is_project_import(child, imports)
            ]
            for child in remaining:
                _remove(child, imports)
            setattr(node, name, remaining)


def _is_docstring(node: ast.AST) -> bool:
    """Return whether a statement is a docstring, also that of a constant or a field."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
        return False
    return isinstance(node.value.value, str)


def _is_project_import(node: ast.AST, imports: list[tuple[str, ...]]) -> bool:
    """Append the project imports of a statement to ``imports``; return whether it has no others.

    Imports of other modules stay in ``node``.
    """
    if isinstance(node, ast.Import):  # import jointasr.a
        internal = [alias for alias in node.names if _is_internal(alias.name)]
        imports += [(alias.asname or "", alias.name) for alias in internal]
        node.names = [alias for alias in node.names if alias not in internal]
        return not node.names
    if isinstance(node, ast.ImportFrom):  # from jointasr import a; from jointasr.a import f
        if node.level or node.module is None or not _is_internal(node.module):
            return False
        for alias in node.names:
            bound = alias.asname or alias.name
            imports.append((bound, f"{node.module}.{alias.name}", node.module))
        return True
    return False


def _is_internal(name: str) -> bool:
    """Return whether a module belongs to the project."""
    return name.split(".")[0] in PACKAGES


def _module_file(name: str, root: Path) -> Path | None:
    """Return the file of a project module, or None."""
    path = root / Path(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


if __name__ == "__main__":  # a test compares the output of several Python versions
    print(normal_form(ast.parse(Path(sys.argv[1]).read_text(encoding="utf-8"))))
