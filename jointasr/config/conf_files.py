"""Find, merge and check configuration files. :mod:`jointasr.config.schema` defines their keys.

A conf file names its base (``base: joint.yaml``) and contains only the differences. Names are
relative to ``conf/``. A file of the same name in the ``conf/`` of a recipe is merged right after
that of the project, so that one ablation file works for all recipes. Unknown keys and invalid
values are errors that name the file and the nearest key.
"""

import argparse
import difflib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from jointasr.config.decode_schema import Decode
from jointasr.config.fields import Section
from jointasr.config.report_schema import Report
from jointasr.config.schema import Config
from jointasr.utils import files
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

Options = TypeVar("Options", bound=Section)
Layer = tuple[Path, dict[str, Any]]


def load(name: str, recipe: Path = Path("."), overrides: Sequence[str] = ()) -> Config:
    """Return the configuration ``name`` of a recipe with ``key.sub=value`` overrides applied.

    ``name`` is a file, or a name below ``conf/`` of the project or the recipe. Raises DataError
    naming file and key for unknown keys and invalid values.
    """
    return _load(Config, name, recipe, overrides)


def load_decode(name: str, recipe: Path = Path("."), overrides: Sequence[str] = ()) -> Decode:
    """Return the decoding options ``name`` (usually decode.yaml); see :func:`load`."""
    return _load(Decode, name, recipe, overrides)


def load_report(name: str, recipe: Path = Path("."), overrides: Sequence[str] = ()) -> Report:
    """Return the report options ``name`` (usually report.yaml); see :func:`load`."""
    return _load(Report, name, recipe, overrides)


def add_options(parser: argparse.ArgumentParser, nargs: str = "+") -> None:
    """Add the arguments of :func:`load_all`, ``confs`` and ``--set``, to ``parser``."""
    parser.add_argument("confs", nargs=nargs, help="conf files, e.g. conf/joint.yaml")
    parser.add_argument("--set", default="", help="overrides: key=value, separated by spaces")


def load_all(names: Sequence[str], overrides: str) -> dict[str, Config]:
    """Return the configurations ``names`` of the recipe in the current folder, by name.

    ``overrides`` is the value of an option ``--set``. Raises DataError as :func:`load` does.
    """
    words = split_overrides(overrides)
    return {name: load(name, overrides=words) for name in names}


def _load(kind: type[Options], name: str, recipe: Path, overrides: Sequence[str]) -> Options:
    layers = _layers(name, recipe.resolve(), [])
    layers.append((Path("--set"), _overrides(overrides)))
    merged: dict[str, Any] = {}
    for path, values in layers:
        _refuse_unknown(kind, values, path, "")
        merged = _merge(merged, values)
    try:
        return kind.model_validate(merged)
    except ValidationError as error:
        raise DataError(_explain(error, layers)) from None


def split_overrides(text: str) -> list[str]:
    """Split the value of an option ``--set`` into ``key=value`` words, quoted as in a shell.

    Raises DataError for unbalanced quotes.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise DataError(f"--set {text}: {str(error).lower()}") from None


def find(name: str, recipe: Path) -> list[Path]:
    """Return the files that define ``name``: first that of the project, then that of the recipe.

    A file that is in neither ``conf/`` folder stands alone. Raises DataError if there is no file.
    """
    given = Path(name)
    parts = given.parts
    logical = Path(*parts[parts.index("conf") + 1 :]) if "conf" in parts[:-1] else given
    candidates = [ROOT / "conf" / logical, recipe.resolve() / "conf" / logical]
    paths = list(dict.fromkeys(path for path in candidates if path.is_file()))
    if given.is_file() and given.resolve() not in paths:
        return [given.resolve()]
    if not paths:
        raise DataError(f"conf file {name} not found: searched {candidates[0]} and {candidates[1]}")
    return paths


def data_name(config: Config, name: str, recipe: Path) -> str:
    """Return the data folder of a conf: ``data``, or ``data-<stem>`` if it changes ``data:``.

    The reference is the ``data:`` section of joint.yaml in the same recipe.
    """
    default = load("joint.yaml", recipe).data
    return "data" if config.data == default else f"data-{Path(name).stem}"


def dump(config: Section) -> str:
    """Return the configuration as YAML; loading it gives an equal configuration."""
    return yaml.safe_dump(json.loads(config.model_dump_json()), sort_keys=False)


def get(config: Section, key: str) -> Any:
    """Return the value of a dotted key. Raises DataError if the key is unknown."""
    value: Any = config
    for part in key.split("."):
        if not hasattr(value, part):
            raise DataError(f"configuration key {key}: unknown")
        value = getattr(value, part)
    return value


def _layers(name: str, recipe: Path, seen: list[Path]) -> list[Layer]:
    """Return the files of ``name`` and its bases with their values, bases first."""
    layers: list[Layer] = []
    for path in find(name, recipe):
        if path in seen:
            raise DataError(f"{path}: `base:` refers to itself; remove the cycle")
        values = _read(path)
        base = values.pop("base", None)
        if base is not None:
            layers = _layers(str(base), recipe, [*seen, path])
        layers.append((path, values))
    return layers


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(files.read_text(path)) or {}
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected `key: value` lines")
    return values


def _overrides(pairs: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise DataError(f"--set {pair}: expected key=value")
        try:
            nested: Any = yaml.safe_load(text)
        except yaml.YAMLError as error:
            reason = getattr(error, "problem", None) or "not valid YAML"
            raise DataError(f"--set {pair}: invalid value: {reason}") from None
        for part in reversed(key.split(".")):
            nested = {part: nested}
        values = _merge(values, nested)
    return values


def _merge(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            value = _merge(before, value)
        merged[key] = value
    return merged


def _refuse_unknown(kind: type[BaseModel], values: object, path: Path, prefix: str) -> None:
    if not isinstance(values, dict):
        return
    for key, value in values.items():
        if key not in kind.model_fields:
            near = difflib.get_close_matches(str(key), kind.model_fields, n=1, cutoff=0)
            raise DataError(f"{path}: unknown key {prefix}{key}; the nearest is {prefix}{near[0]}")
        inner = kind.model_fields[key].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            _refuse_unknown(inner, value, path, f"{prefix}{key}.")


def _explain(error: ValidationError, layers: Sequence[Layer]) -> str:
    """Describe the first error: the last file that sets the key, the key, the reason, the value."""
    first = error.errors()[0]
    # For a key of several types, pydantic appends the name of the type to the location.
    keys = [key for key in first["loc"] if isinstance(key, str) and key.isidentifier()]
    source = layers[0][0]
    for path, values in layers:
        value: Any = values
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            source = path
    reason = first["msg"].removeprefix("Value error, ")
    return f"{source}: key {'.'.join(keys)}: {reason} (got {first['input']!r})"
