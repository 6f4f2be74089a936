"""Digest of the inputs of a report: a report with unchanged inputs is not generated again.

The digest includes name, size and modification time of the recipe's files, and the content of
results.json and of the given tables. It does not include corpora outside of the recipe folder.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from jointasr.config import layout
from jointasr.utils import files, provenance
from jointasr.utils.code_digest import code_digest
from jointasr.utils.project import ROOT

RECORD = ".report.json"
OUTPUTS = ("RESULTS.md", "report.html")
NOT_READ = (".log", ".lock")
"""extensions of files that a report does not depend on"""


def digest(exp: Path, options: Mapping[str, object], tables: Sequence[Path] = ()) -> str:
    """Return the digest for a report with ``options`` of the recipe in the current folder.

    ``tables`` are files that may be outside of the recipe.
    """
    parts = [json.dumps({key: str(value) for key, value in options.items()}, sort_keys=True)]
    parts += [code_digest("jointasr.bin.report", ROOT), provenance.commit(), provenance.stack()]
    templates = sorted(Path(__file__).parent.glob("*.j2"))
    for path in (exp / layout.RESULTS, *tables, *templates):
        parts.append(f"{path} {files.sha256(path) if path.is_file() else 'missing'}")
    for folder in (exp, Path("conf"), *sorted(Path().glob("data*")), ROOT / "conf"):
        parts += _file_states(folder, exp)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read_summary(exp: Path, inputs: str) -> str | None:
    """Return the summary of the existing report.

    None if its digest is not ``inputs``, or if the report or its record is missing or damaged.
    """
    try:
        record = json.loads(files.read_text(exp / RECORD))
        summary = str(record["summary"])
        return summary if record["sha256"] == _sha256(exp, inputs, summary) else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def record(exp: Path, inputs: str, summary: str) -> None:
    """Record the digest ``inputs`` and the printed summary of the report in ``exp``."""
    contents = {"summary": summary, "sha256": _sha256(exp, inputs, summary)}
    files.write_json(exp / RECORD, contents)


def _sha256(exp: Path, inputs: str, summary: str) -> str:
    """Return the SHA-256 of the inputs' digest, the report's files and its summary."""
    parts = [inputs, *(files.sha256(exp / name) for name in OUTPUTS), summary]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _file_states(folder: Path, exp: Path) -> Iterator[str]:
    """Yield name, size and modification time of each file below ``folder``, sorted.

    Links to folders are followed, each folder once. The report's own files in ``exp`` are skipped.
    """
    visited: set[str] = set()
    for parent, below, names in os.walk(folder, followlinks=True):
        resolved = os.path.realpath(parent)
        if resolved in visited:  # by another link, or by a cycle of links
            below.clear()
            yield f"{parent} -> {resolved}"
            continue
        visited.add(resolved)
        below.sort()
        own = {RECORD, *OUTPUTS} if resolved == os.path.realpath(exp) else set()
        for name in sorted(set(names) - own):
            if not name.endswith(NOT_READ):
                with suppress(OSError):  # temporary file, dangling link
                    state = os.stat(os.path.join(parent, name))
                    yield f"{parent}/{name} {state.st_size} {state.st_mtime_ns}"
