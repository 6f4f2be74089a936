"""What a report is made from, as one digest: an unchanged report is shown, not made again.

Files of the recipe count by name, size and time of change, results.json by its content. The corpora
outside of the recipe, from which the audit renders some mixtures again, do not count.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from jointasr.utils import files, provenance
from jointasr.utils.code_digest import code_digest
from jointasr.utils.project import ROOT

RECORD = ".report.json"
OUTPUTS = ("RESULTS.md", "report.html")
RESULTS = "results.json"
DERIVED = {RECORD, *OUTPUTS, RESULTS, "scoring_kaldi", "scoring_ser", "errs", "tb", "log"}
"""files and folders that stages 9 and 10 write anew, and logs"""


def digest(exp: Path, options: Mapping[str, object]) -> str:
    """Return the digest of all that a report of the recipe in the current folder is made from."""
    parts = [json.dumps({key: str(value) for key, value in options.items()}, sort_keys=True)]
    parts += [code_digest("jointasr.bin.report", ROOT), provenance.commit(), provenance.stack()]
    parts.append(files.read_text(exp / RESULTS) if (exp / RESULTS).is_file() else "")
    folders = [exp, Path("conf"), *sorted(Path().glob("data*")), ROOT / "conf"]
    for folder in (*folders, Path(__file__).parent):
        parts += _states(folder)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def read_summary(exp: Path, inputs: str) -> str | None:
    """Return the summary of the report that is there, None unless it was made from ``inputs``."""
    if not all((exp / name).is_file() for name in (*OUTPUTS, RECORD)):
        return None
    record = json.loads(files.read_text(exp / RECORD))
    return str(record["summary"]) if record["inputs"] == inputs else None


def record(exp: Path, inputs: str, summary: str) -> None:
    """Record what the report was made from and what was printed."""
    files.write_json(exp / RECORD, {"inputs": inputs, "summary": summary})


def _states(folder: Path) -> Iterator[str]:
    """Name, size and time of change of each file below ``folder``, in a fixed order."""
    for parent, below, names in os.walk(folder):
        below[:] = sorted(set(below) - DERIVED - {"__pycache__"})
        for name in sorted(set(names) - DERIVED):
            if not name.endswith((".log", ".lock")):
                with suppress(FileNotFoundError):  # a temporary file of another run, a dead link
                    state = os.stat(os.path.join(parent, name))
                    yield f"{parent}/{name} {state.st_size} {state.st_mtime_ns}"
