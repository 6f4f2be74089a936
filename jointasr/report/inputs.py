"""Digest of the inputs of a report: a report with unchanged inputs is not generated again.

The digest includes name, size and modification time of the recipe's files, and the content of
results.json. It does not include corpora outside of the recipe folder.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from jointasr.config import layout
from jointasr.utils import files, provenance
from jointasr.utils.code_digest import code_digest
from jointasr.utils.project import ROOT

RECORD = ".report.json"
OUTPUTS = ("RESULTS.md", "report.html")
DERIVED = {RECORD, *OUTPUTS, layout.RESULTS, "scoring_kaldi", "scoring_ser", "errs", "tb", "log"}
"""names of the outputs of stages 9 and 10, and of logs"""


def digest(exp: Path, options: Mapping[str, object]) -> str:
    """Return the digest for a report with ``options`` of the recipe in the current folder."""
    results = exp / layout.RESULTS
    parts = [json.dumps({key: str(value) for key, value in options.items()}, sort_keys=True)]
    parts += [code_digest("jointasr.bin.report", ROOT), provenance.commit(), provenance.stack()]
    parts.append(files.read_text(results) if results.is_file() else "")
    folders = [exp, Path("conf"), *sorted(Path().glob("data*")), ROOT / "conf"]
    for folder in (*folders, Path(__file__).parent):
        parts += _file_states(folder)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def read_summary(exp: Path, inputs: str) -> str | None:
    """Return the summary of the existing report, None if its digest is not ``inputs``."""
    if not all((exp / name).is_file() for name in (*OUTPUTS, RECORD)):
        return None
    record = json.loads(files.read_text(exp / RECORD))
    return str(record["summary"]) if record["inputs"] == inputs else None


def record(exp: Path, inputs: str, summary: str) -> None:
    """Record the digest ``inputs`` and the printed summary of a report."""
    files.write_json(exp / RECORD, {"inputs": inputs, "summary": summary})


def _file_states(folder: Path) -> Iterator[str]:
    """Yield name, size and modification time of each file below ``folder``, sorted."""
    for parent, below, names in os.walk(folder):
        below[:] = sorted(set(below) - DERIVED - {"__pycache__"})
        for name in sorted(set(names) - DERIVED):
            if not name.endswith((".log", ".lock")):
                with suppress(FileNotFoundError):  # temporary file, dangling link
                    state = os.stat(os.path.join(parent, name))
                    yield f"{parent}/{name} {state.st_size} {state.st_mtime_ns}"
