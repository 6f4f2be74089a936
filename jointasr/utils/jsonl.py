"""Gzipped JSON lines: written atomically, and equal content gives equal bytes."""

import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jointasr.utils import files
from jointasr.utils.errors import DataError


def write(path: Path, items: Iterable[dict[str, Any]]) -> None:
    """Write one object per line to ``path`` (gzip), atomically."""
    with writing(path) as put:
        for item in items:
            put(item)


@contextmanager
def writing(path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Yield a function that appends an object to ``path``. The file appears when the block ends.

    The gzip header has neither time nor name.
    """
    with (
        files.replacing(path) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
    ):

        def put(item: dict[str, Any]) -> None:
            text.write(json.dumps(item, ensure_ascii=False) + "\n")

        yield put


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of ``path``. Raises DataError naming file and line if it is damaged."""
    if not path.is_file():
        raise DataError(f"{path} does not exist: run the stage that creates it first")
    number = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)
                number += 1
    except (EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:  # also text and JSON
        raise DataError(f"{path}: damaged after line {number} ({error}); recreate it") from error
