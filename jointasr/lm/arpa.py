"""n-gram models as ARPA files, the format of SRILM, KenLM and kaldilm."""

import math
import re
from pathlib import Path

from jointasr.lm.ngram import BEGIN, UNKNOWN, Gram, NgramModel
from jointasr.utils import files
from jointasr.utils.errors import DataError

FILE_NAME = "lm.arpa"
LOG_ZERO = -99.0
"""log10 of zero in ARPA files"""


def write(path: Path, model: NgramModel) -> None:
    """Write ``model`` as an ARPA file."""
    files.write_text(path, text(model))


def text(model: NgramModel) -> str:
    """Return ``model`` in ARPA format: logarithms to base 10, n-grams sorted."""
    tables = [dict(table) for table in model.probs]
    tables[0][(BEGIN,)] = 0.0
    lines = ["\\data\\", *(f"ngram {size}={len(table)}" for size, table in enumerate(tables, 1))]
    for size, table in enumerate(tables, 1):
        lines += ["", f"\\{size}-grams:"]
        for gram, prob in sorted(table.items()):
            entry = f"{_log10(prob):.9g}\t{' '.join(gram)}"
            if gram in model.backoffs:
                entry += f"\t{_log10(model.backoffs[gram]):.9g}"
            lines.append(entry)
    return "\n".join([*lines, "", "\\end\\", ""])


def read(path: Path) -> NgramModel:
    """Read an ARPA file.

    Raises DataError naming a line that cannot be parsed, or the file if its n-gram counts differ
    from those in its header or the model has no <unk>.
    """
    probs: list[dict[Gram, float]] = []
    backoffs: dict[Gram, float] = {}
    expected: list[int] = []
    ended = False
    for number, line in enumerate(files.read_text(path).splitlines(), 1):
        fields = line.split()
        if not fields or fields == ["\\data\\"]:
            continue
        if (count := re.fullmatch(r"ngram (\d+)\s*=\s*(\d+)", line.strip())) and not probs:
            expected.append(int(count[2]))
        elif fields == [f"\\{len(probs) + 1}-grams:"] and len(probs) < len(expected):
            probs.append({})
        elif fields == ["\\end\\"]:
            ended = True
        elif not probs or ended or not _parse_entry(fields, probs[-1], len(probs), backoffs):
            raise DataError(f"{path}:{number}: not a line of an ARPA file: {line!r}")
    counts = [len(table) for table in probs]
    if counts != expected or not ended or not expected:
        raise DataError(
            f"{path}: {counts} n-grams, but its header has {expected}; is the file truncated?"
        )
    probs[0].pop((BEGIN,), None)
    if (UNKNOWN,) not in probs[0]:
        raise DataError(f"{path}: no {UNKNOWN}; estimate the model with an open vocabulary")
    return NgramModel(probs, backoffs)


def _parse_entry(
    fields: list[str], table: dict[Gram, float], size: int, backoffs: dict[Gram, float]
) -> bool:
    """Add the n-gram of a line to ``table``; return whether the line is valid."""
    gram = tuple(fields[1 : size + 1])
    if len(gram) < size or len(fields) > size + 2 or gram in table:
        return False
    try:
        prob, backoff = float(fields[0]), float(fields[size + 1]) if fields[size + 1 :] else 0.0
    except ValueError:
        return False
    if not (LOG_ZERO <= prob <= 0 and LOG_ZERO <= backoff <= -LOG_ZERO):
        return False
    table[gram] = 10.0**prob
    if fields[size + 1 :]:
        backoffs[gram] = 10.0**backoff
    return True


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else LOG_ZERO
