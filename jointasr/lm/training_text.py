"""Training text of n-gram models: the transcripts of a fold and additional files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jointasr.lm import arpa, ngram
from jointasr.text import lang
from jointasr.utils import files

META = "lm.json"


def estimate(texts: Iterable[str], extra: Sequence[Path], order: int) -> ngram.NgramModel:
    """Estimate a model from transcripts and from files with one sentence per line.

    Raises DataError as :func:`jointasr.lm.ngram.estimate` does.
    """
    lines = (line for path in extra for line in files.read_text(path).splitlines())
    return ngram.estimate((text.split() for text in sorted((*texts, *lines))), order)


def check_characters(path: Path, letters: str) -> None:
    """Raise DataError naming a line of a file with characters that transcripts cannot have."""
    for number, line in enumerate(files.read_text(path).splitlines(), 1):
        lang.check_characters(line, letters, source=f"{path}:{number}")


def find_differences(folder: Path, train: Mapping[str, str], extra: Sequence[Path]) -> list[str]:
    """Return the problems of a model's folder, one line each.

    [] if its model equals the one estimated from the transcripts ``train`` and the files ``extra``.
    """
    order = files.read_json(folder / META)["order"]
    expected = arpa.text(estimate(train.values(), extra, order))
    same = files.read_text(folder / arpa.FILE_NAME) == expected
    return [] if same else ["not the model of its fold's training text"]
