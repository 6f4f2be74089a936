"""What n-gram models are made from: a fold's training text, and files with more."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jointasr import arpa, datadir, files, lang, ngram

ABOUT = "lm.json"


def estimate(texts: Iterable[str], extra: Sequence[Path], order: int) -> ngram.Model:
    """The model of these transcripts and files.

    Raises DataError naming a line of a file that is not spelled as transcripts are.
    """
    more = (line for path in extra for line in read(path))
    return ngram.estimate((text.split() for text in sorted((*texts, *more))), order)


def read(path: Path) -> list[str]:
    """The sentences of a text file, a line each; DataError naming one that cannot be written."""
    lines = files.read_text(path).splitlines()
    for number, line in enumerate(lines, 1):
        lang.check_characters(line, source=f"{path}:{number}")
    return lines


def differences(folder: Path, train: Mapping[str, str], extra: Sequence[Path]) -> list[str]:
    """What is wrong with a model's folder: [] where its file is what these texts give."""
    order = datadir.read_json(folder / ABOUT)["order"]
    expected = arpa.text(estimate(train.values(), extra, order))
    same = files.read_text(folder / arpa.NAME) == expected
    return [] if same else ["not what its fold's training text gives"]
