"""Configuration files: found, layered and checked; their keys are :mod:`jointasr.config.schema`'s.

A conf file names what it refines (``base: joint.yaml``) and states only its differences. Names are
relative to ``conf/``. A recipe refines any of them by a file of the same name in its own ``conf/``,
merged right after it, so that one ablation file serves every recipe. An unknown key or a value of
the wrong kind is an error that names the file and the nearest key.
"""

import difflib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from jointasr.config.schema import Config, Decode, Report, Section
from jointasr.utils import files
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

Model = TypeVar("Model", bound=Section)
Layer = tuple[Path, dict[str, Any]]


def load(name: str, recipe: Path = Path("."), overrides: Sequence[str] = ()) -> Config:
    """The configuration ``name`` as ``recipe`` refines it, with ``key.sub=value`` overrides.

    ``name`` is a file, or a name below ``conf/`` of the project or the recipe.
    Raises DataError naming the file and key for anything unknown, ill-typed or out of range.
    """
    return _load(Config, name, recipe, overrides)


def load_decode(name: str, recipe: Path = Path("."), overrides: Sequence[str] = ()) -> Decode:
    """The search options ``name`` (usually decode.yaml), found and checked as ``load`` does."""
    return _load(Decode, name, recipe, overrides)


def load_report(name: str, recipe: Path = Path("."), overrides: Sequence[str] = ()) -> Report:
    """The report's options ``name`` (usually report.yaml), found and checked as ``load`` does."""
    return _load(Report, name, recipe, overrides)


def _load(kind: type[Model], name: str, recipe: Path, overrides: Sequence[str]) -> Model:
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
    """The ``key=value`` words of an option ``--set``: blank between, quotes as in a shell."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise DataError(f"--set {text}: {str(error).lower()}") from None


def find(name: str, recipe: Path) -> list[Path]:
    """Files that define ``name``: the project's, then the recipe's refinement of it."""
    given = Path(name)
    parts = given.parts
    logical = Path(*parts[parts.index("conf") + 1 :]) if "conf" in parts[:-1] else given
    places = [ROOT / "conf" / logical, recipe.resolve() / "conf" / logical]
    files = list(dict.fromkeys(path for path in places if path.is_file()))
    if given.is_file() and given.resolve() not in files:
        return [given.resolve()]
    if not files:
        raise DataError(f"conf file {name} not found: looked for {places[0]} and {places[1]}")
    return files


def data_name(config: Config, name: str, recipe: Path) -> str:
    """Folder of the data a conf needs: ``data``, or ``data-<stem>`` where it changes ``data:``."""
    usual = load("joint.yaml", recipe).data
    return "data" if config.data == usual else f"data-{Path(name).stem}"


def dump(config: Section) -> str:
    """The resolved configuration as YAML; loading it gives the same configuration."""
    return yaml.safe_dump(json.loads(config.model_dump_json()), sort_keys=False)


def get(config: Section, key: str) -> Any:
    """Value of a dotted key. Raises DataError for an unknown one."""
    value: Any = config
    for part in key.split("."):
        if not hasattr(value, part):
            raise DataError(f"configuration key {key}: unknown")
        value = getattr(value, part)
    return value


def _layers(name: str, recipe: Path, seen: list[Path]) -> list[Layer]:
    layers: list[Layer] = []
    for path in find(name, recipe):
        if path in seen:
            raise DataError(f"{path}: `base:` leads back to itself")
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
            raise DataError(f"--set {pair}: the value cannot be read: {reason}") from None
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
    first = error.errors()[0]
    # of a key that may be of several types the last part is pydantic's name of one
    keys = [p for p in first["loc"] if isinstance(p, str) and p.isidentifier()]
    culprit = layers[0][0]
    for path, values in layers:
        value: Any = values
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            culprit = path
    reason = first["msg"].removeprefix("Value error, ")
    return f"{culprit}: key {'.'.join(keys)}: {reason} (got {first['input']!r})"
