"""Finished steps: a ``.done`` file, written last, says what a result was made from.

A step is up to date when its options, the digests of what it read and the code it ran are those
recorded in ``<out>/.done``. Anything else is said and stops the run, because results of different
origin must not be mixed silently. The way on is the user's choice, handed down by ``run.sh`` in
the environment variable ``JOINTASR_ON_CHANGE``: ``stop`` (default), ``accept-code`` (go on with
results made by other code; recorded in ``.done``) or ``force`` (make the step again).
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

from jointasr.utils import files, locks
from jointasr.utils.code_digest import code_digest
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

NAME = ".done"
SETTLED_SECONDS = 2.0  # age from which a file's time changes with its content

_digests: dict[tuple[object, ...], str] = {}


class Step(NamedTuple):
    """What a step writes and what decides its result: the arguments of :func:`step`."""

    out: Path
    code: str
    options: Mapping[str, object]
    inputs: Sequence[Path] = ()


@contextmanager
def step(
    out: Path, code: str, options: Mapping[str, object], inputs: Sequence[Path] = ()
) -> Iterator[bool]:
    """Yield whether ``out`` has to be made; record it as finished when the block ends well.

    ``code`` is the entry module ("jointasr.bin.make_folds") or script ("local/make_mini.py").
    ``options`` are those that can change the result. ``inputs`` are folders of finished steps or
    plain files. The lock of ``out`` is held meanwhile. Raises DataError when ``out`` was made from
    something else, when an input is missing or unfinished, or changes while the block is at work.
    """
    with locks.held(out):
        todo = check(out, code, options, inputs)
        before = fingerprint(code, options, inputs) if todo else {}
        yield todo
        if todo:
            now = fingerprint(code, options, inputs)
            if now["inputs"] != before["inputs"]:
                changed = "; ".join(_changes({**now, "inputs": before["inputs"]}, now))
                raise DataError(
                    f"{out}: {changed} changed while it was made; nothing is recorded: run it again"
                )
            _record(out, before)  # the code that ran, should a file have been edited since


def check(
    out: Path,
    code: str,
    options: Mapping[str, object],
    inputs: Sequence[Path] = (),
    dry_run: bool = False,
) -> bool:
    """Return whether ``out`` has to be made; report one that is up to date.

    ``dry_run``: write nothing. Raises DataError as :func:`step` does.
    """
    now = fingerprint(code, options, inputs)
    done = out / NAME
    if not done.is_file():
        return True
    before = json.loads(done.read_text(encoding="utf-8"))
    changes = _changes(before, now)
    policy = os.environ.get("JOINTASR_ON_CHANGE", "stop")
    if changes and policy == "force":
        if not dry_run:
            done.unlink()
        return True
    if changes == ["the code"] and policy == "accept-code":
        if not dry_run:
            _record(out, {**before, "accepted_code": now["code"]})
        changes = []
    if changes:
        way = "make it again with --force true, or use another conf name or recipe folder"
        if changes == ["the code"]:
            way = f"go on with --accept-code true (you know that it does not matter), or {way}"
        raise DataError(
            f"{out} was made with other settings: {'; '.join(changes)} changed since; {way}"
        )
    print(f"{out}: up to date")
    return False


def write(out: Path, code: str, options: Mapping[str, object], inputs: Sequence[Path] = ()) -> None:
    """Record that ``out`` is finished, by rename, so that a kill leaves no half record."""
    _record(out, fingerprint(code, options, inputs))


def fingerprint(
    code: str, options: Mapping[str, object], inputs: Sequence[Path]
) -> dict[str, object]:
    """What decides a result: options as text, digests of inputs, digest of the code."""
    return {
        "options": {key: str(value) for key, value in sorted(options.items())},
        "inputs": {str(path): _input_digest(path) for path in inputs},
        "code": _code(code),
    }


def digest(code: str, options: Mapping[str, object], inputs: Sequence[Path]) -> str:
    """The fingerprint in a word, for what a step leaves half done."""
    return _sha(json.dumps(fingerprint(code, options, inputs), sort_keys=True).encode())


@cache
def _code(code: str) -> str:
    """The digest of the code as this process found it."""
    return code_digest(code, ROOT)


def _changes(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    changes = []
    for kind in ("options", "inputs"):
        old, new = before.get(kind), now[kind]
        assert isinstance(old, dict) and isinstance(new, dict)
        for key in sorted(old.keys() | new.keys()):
            if old.get(key) == new.get(key):
                continue
            if kind == "inputs":
                changes.append(f"the input {key}")
            else:
                changes.append(f"option {key} (was {old.get(key)}, now {new.get(key)})")
    if now["code"] not in (before.get("code"), before.get("accepted_code")):
        changes.append("the code")
    return changes


def _input_digest(path: Path) -> str:
    if path.is_dir():
        done = path / NAME
        if not done.is_file():
            raise DataError(f"{path} is not finished: run the stage that makes it first")
        return _sha(json.dumps(_identity(done), sort_keys=True).encode())
    if not path.is_file():
        raise DataError(f"{path} does not exist: run the stage that makes it first")
    about = path.stat()
    key = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns)
    if key not in _digests or time.time() - about.st_mtime < SETTLED_SECONDS:
        _digests[key] = files.sha256(path)
    return _digests[key]


def _identity(done: Path) -> dict[str, object]:
    """A finished step's record without what was merely accepted later."""
    record = json.loads(done.read_text(encoding="utf-8"))
    record.pop("accepted_code", None)
    return record


def _record(out: Path, record: Mapping[str, object]) -> None:
    files.write_text(out / NAME, json.dumps(record, indent=1, sort_keys=True) + "\n")


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
