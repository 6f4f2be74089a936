"""What the preparation of any raw corpus needs: a look at its tree and at its audio headers."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jointasr.data import wav_scp
from jointasr.utils.errors import DataError

_THREADS = 8  # opening files waits for the disk, or the network, more than for the processor
_SHOWN = 5


def visible(paths: Iterable[Path]) -> list[Path]:
    """Sorted, without AppleDouble and other hidden files."""
    return sorted(path for path in paths if not path.name.startswith("."))


def hidden(paths: Iterable[Path]) -> int:
    """How many AppleDouble and other hidden files there are."""
    return sum(path.name.startswith(".") for path in paths)


def headers(paths: Sequence[Path]) -> list[wav_scp.AudioHeader]:
    """Headers of mono 16 kHz files, in order; DataError names the files that are not so."""
    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(_header, paths))
    refuse([error for error in results if isinstance(error, DataError)], "audio files are unusable")
    return [header for header in results if isinstance(header, wav_scp.AudioHeader)]


def _header(path: Path) -> wav_scp.AudioHeader | DataError:
    try:
        found = wav_scp.header(str(path))
        wav_scp.check(found, str(path))
    except DataError as error:
        return error
    except OSError as error:
        return DataError(f"{path}: {error.strerror or error}")
    return found


def refuse(problems: Sequence[object], what: str, remedy: str = "") -> None:
    """Raise one DataError for all problems, the first few in full; nothing when there are none."""
    if not problems:
        return
    shown = "\n  ".join(str(problem) for problem in problems[:_SHOWN])
    end = f"\n  {remedy}" if remedy else ""
    if len(problems) == 1:
        raise DataError(shown + end)
    more = f"\n  ... and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    raise DataError(f"{len(problems)} {what}:\n  {shown}{more}{end}")


def digest(files: Iterable[Path], root: Path) -> str:
    """Of names and sizes, and of the content of .txt files: tells that a corpus was changed.

    Audio is not read here; the archives, made from it, are verified against it.
    """
    total = hashlib.sha256()
    for path in sorted(files):
        total.update(f"{path.relative_to(root)}\t{path.stat().st_size}\n".encode())
        if path.suffix == ".txt":
            total.update(path.read_bytes())
    return total.hexdigest()[:16]


def walk(root: Path, keep: Callable[[str], bool]) -> Iterator[Path]:
    """All files below ``root`` whose name ``keep`` accepts, hidden ones included."""
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names if keep(name))


def outside(out: Path, corpus: Path) -> None:
    """Refuse to write below a corpus."""
    if corpus.resolve() in (out.resolve(), *out.resolve().parents):
        raise DataError(f"{out} is inside the corpus {corpus}, which is never written to")
