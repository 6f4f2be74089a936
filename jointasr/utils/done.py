"""Finished steps. A ``.done`` file, written last, records what an output was made from.

A step is up to date if its options, the digests of its inputs and the digest of its code equal
those in ``<out>/.done``. Otherwise the run stops and reports the differences, because results of
different origin must not be mixed silently. ``run.sh`` passes the user's choice in the environment
variable ``JOINTASR_ON_CHANGE``: ``stop`` (default), ``accept-code`` (continue with results of other
code; recorded in ``.done``) or ``force`` (run the step again).
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
SETTLED_SECONDS = 2.0
"""age from which a file's change time (ctime) is sure to change with its content: file systems
store times coarsely, some in whole seconds"""

_digests: dict[tuple[object, ...], str] = {}


class Step(NamedTuple):
    """The arguments of :func:`step`."""

    out: Path
    code: str
    options: Mapping[str, object]
    inputs: Sequence[Path] = ()


@contextmanager
def step(
    out: Path, code: str, options: Mapping[str, object], inputs: Sequence[Path] = ()
) -> Iterator[bool]:
    """Yield whether the step has to run; record ``out`` as finished if the block succeeds.

    ``code`` is the entry module ("jointasr.bin.make_folds") or script ("local/make_mini.py").
    ``options`` are those that can change the result. ``inputs`` are folders of finished steps or
    plain files. The lock of ``out`` is held during the block. Raises DataError if ``out`` was made
    from other options, inputs or code, or if an input is missing, unfinished, or changes during the
    block.
    """
    with locks.held(out):
        todo = check(out, code, options, inputs)
        before = fingerprint(code, options, inputs) if todo else {}
        yield todo
        if todo:
            now = fingerprint(code, options, inputs, read_again=True)
            if now["inputs"] != before["inputs"]:
                changed = "; ".join(_changes({**now, "inputs": before["inputs"]}, now))
                raise DataError(
                    f"{out}: {changed} changed while the step ran; it is not recorded as finished: "
                    "run it again"
                )
            _record(out, before)  # digest of the code that ran, even if files were edited since


def check(
    out: Path,
    code: str,
    options: Mapping[str, object],
    inputs: Sequence[Path] = (),
    dry_run: bool = False,
) -> bool:
    """Return whether the step has to run. Print a line if ``out`` is up to date instead.

    ``dry_run``: write nothing. Raises DataError as :func:`step` does.
    """
    now = fingerprint(code, options, inputs)
    done = out / NAME
    if not done.is_file():
        return True
    before = json.loads(done.read_text(encoding="utf-8"))
    changes = _changes(before, now)
    if changes and policy() == "force":
        if not dry_run:
            done.unlink()
        return True
    if changes == ["the code"] and policy() == "accept-code":
        if not dry_run:
            _record(out, {**before, "accepted_code": now["code"]})
        changes = []
    if changes:
        remedy = "recreate it with --force true, or use another conf name or recipe folder"
        if changes == ["the code"]:
            remedy = f"keep it with --accept-code true if the change does not matter, or {remedy}"
        raise DataError(
            f"{out} was made with other settings: {'; '.join(changes)} changed since; {remedy}"
        )
    print(f"{out}: up to date")
    return False


def policy() -> str:
    """Return the user's choice for changed steps: stop, accept-code or force."""
    return os.environ.get("JOINTASR_ON_CHANGE", "stop")


def write(out: Path, code: str, options: Mapping[str, object], inputs: Sequence[Path] = ()) -> None:
    """Record ``out`` as finished, for work that does not run inside :func:`step`.

    Raises DataError if an input is missing or unfinished.
    """
    _record(out, fingerprint(code, options, inputs))


def fingerprint(
    code: str, options: Mapping[str, object], inputs: Sequence[Path], read_again: bool = False
) -> dict[str, object]:
    """Return what determines a result: options as text, digests of inputs, digest of the code.

    ``read_again``: read all input files, also those whose digest is cached in this process. Raises
    DataError if an input is missing or unfinished.
    """
    return {
        "options": {key: str(value) for key, value in sorted(options.items())},
        "inputs": {str(path): _input_digest(path, read_again) for path in inputs},
        "code": _cached_code_digest(code),
    }


def digest(code: str, options: Mapping[str, object], inputs: Sequence[Path]) -> str:
    """Return a digest of the :func:`fingerprint`, to identify intermediate files of a step."""
    return _short_digest(json.dumps(fingerprint(code, options, inputs), sort_keys=True).encode())


@cache
def _cached_code_digest(code: str) -> str:
    """Return the digest of ``code``, computed once per process."""
    return code_digest(code, ROOT)


def _changes(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Describe the differences between two fingerprints, for error messages."""
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


def _input_digest(path: Path, read_again: bool) -> str:
    if path.is_dir():
        done = path / NAME
        if not done.is_file():
            raise DataError(f"{path} is not finished: run the stage that creates it first")
        return _short_digest(json.dumps(_identity(done), sort_keys=True).encode())
    if not path.is_file():
        raise DataError(f"{path} does not exist: run the stage that creates it first")
    status = path.stat()
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if read_again or key not in _digests or time.time() - status.st_ctime < SETTLED_SECONDS:
        _digests[key] = files.sha256(path)
    return _digests[key]


def _identity(done: Path) -> dict[str, object]:
    """Return the record of a finished step without code accepted later."""
    record = json.loads(done.read_text(encoding="utf-8"))
    record.pop("accepted_code", None)
    return record


def _record(out: Path, record: Mapping[str, object]) -> None:
    files.write_text(out / NAME, json.dumps(record, indent=1, sort_keys=True) + "\n")


def _short_digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]
