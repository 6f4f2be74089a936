"""The configurations that the project ships."""

from pathlib import Path

import yaml

from jointasr.config import conf_files
from jointasr.utils.project import ROOT

RECIPES = sorted(path for path in (ROOT / "egs").iterdir() if path.is_dir())


def names(recipe: Path) -> list[str]:
    """Confs of the project and of a recipe, relative to ``conf``."""
    folders = (ROOT / "conf", recipe / "conf")
    paths = {path.relative_to(folder) for folder in folders for path in folder.rglob("*.yaml")}
    return sorted(map(str, paths))


def is_system(name: str, recipe: Path) -> bool:
    """Whether a conf or one of its bases defines a system; others are shared keys alone."""
    text = "".join(path.read_text() for path in conf_files.find(name, recipe))
    base = yaml.safe_load(text).get("base") if text else None
    return "system:" in text or (bool(base) and is_system(base, recipe))
