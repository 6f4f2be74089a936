"""Text and tensor files, written atomically, and digests of files."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointasr.utils.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 1 << 20
"""bytes read at a time"""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path next to ``path``; the file written there replaces ``path``.

    The file is synced to disk before the rename, so that a power failure leaves the old or the new
    file. After an error the temporary file is deleted; that of a killed run is overwritten by the
    next one. Two processes must not write the same file at once: see :mod:`jointasr.utils.locks`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".tmp.{path.name}")  # keeps the extension
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename is None:  # errors of write() do not name the file
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """Return the contents of a UTF-8 text file.

    Raises DataError naming the file if it is not UTF-8, OSError if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        where = f"byte 0x{byte:02x} at offset {error.start}"
        raise DataError(f"{path}: not UTF-8 text ({where}); convert or recreate it") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_text_if_changed(path: Path, text: str) -> None:
    """Write a text file atomically unless it has this content: its modification time stays."""
    if not path.is_file() or path.read_bytes() != text.encode("utf-8"):
        write_text(path, text)


def read_json(path: Path) -> Any:
    """Return the value of a JSON file. Raises DataError naming it if it is missing or damaged."""
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not JSON ({error}); recreate it") from error


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, indented, atomically."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_tensors(path: Path, tensors: dict[str, "Tensor"]) -> None:
    """Write CPU tensors as a safetensors file, atomically. Raises OSError if that fails."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        try:
            save_file(tensors, temporary)
        except SafetensorError as error:
            code = re.search(r"os error (\d+)", str(error))
            number = int(code[1]) if code else errno.EIO
            raise OSError(number, os.strerror(number), str(path)) from error
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # safetensors creates files that only their owner can read


def sha256(*paths: Path, prefix: bytes = b"") -> str:
    """Return the SHA-256, in hexadecimal, of ``prefix`` followed by the contents of the files."""
    digest = hashlib.sha256(prefix)
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    return digest.hexdigest()
