"""Helpers to prepare raw corpora: lists of files, audio headers, digests, error messages."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jointasr.data import wav_scp
from jointasr.utils.errors import DataError

_THREADS = 8  # reading headers is bound by disk or network latency
_MAX_SHOWN = 5  # number of problems in an error message


def without_hidden(paths: Iterable[Path]) -> list[Path]:
    """Return the paths, sorted, without AppleDouble and other hidden files."""
    return sorted(path for path in paths if not path.name.startswith("."))


def count_hidden(paths: Iterable[Path]) -> int:
    """Count AppleDouble and other hidden files."""
    return sum(path.name.startswith(".") for path in paths)


def read_headers(paths: Sequence[Path]) -> list[wav_scp.AudioHeader]:
    """Read the headers of mono 16 kHz files, in order. Raises DataError naming all other files."""
    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(_read_header, paths))
    raise_problems(
        [error for error in results if isinstance(error, DataError)], "audio files are unusable"
    )
    return [header for header in results if isinstance(header, wav_scp.AudioHeader)]


def _read_header(path: Path) -> wav_scp.AudioHeader | DataError:
    try:
        header = wav_scp.header(str(path))
        wav_scp.check_format(header, str(path))
    except DataError as error:
        return error
    except OSError as error:
        return DataError(f"{path}: {error.strerror or error}")
    return header


def raise_problems(problems: Sequence[object], what: str, remedy: str = "") -> None:
    """Raise a DataError that counts the problems and lists the first ones, if there are any."""
    if not problems:
        return
    shown = "\n  ".join(str(problem) for problem in problems[:_MAX_SHOWN])
    end = f"\n  {remedy}" if remedy else ""
    if len(problems) == 1:
        raise DataError(shown + end)
    more = f"\n  ... and {len(problems) - _MAX_SHOWN} more" if len(problems) > _MAX_SHOWN else ""
    raise DataError(f"{len(problems)} {what}:\n  {shown}{more}{end}")


def digest(files: Iterable[Path], root: Path) -> str:
    """Return a digest of names and sizes, and of the contents of .txt files, to detect changes.

    Audio is not read here; its archives are verified against it.
    """
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(f"{path.relative_to(root)}\t{path.stat().st_size}\n".encode())
        if path.suffix == ".txt":
            total.update(path.read_bytes())
    return total.hexdigest()[:16]


def walk(root: Path, accept: Callable[[str], bool]) -> Iterator[Path]:
    """Yield all files below ``root``, including hidden ones, whose name satisfies ``accept``."""
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names if accept(name))


def require_outside(out: Path, corpus: Path) -> None:
    """Raise DataError if the output folder is inside the corpus."""
    if corpus.resolve() in (out.resolve(), *out.resolve().parents):
        raise DataError(f"{out} is inside the corpus {corpus}, which is never written to")
