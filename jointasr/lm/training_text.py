"""What n-gram models are made from: a fold's training text, and files with more."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from jointasr.data import datadir
from jointasr.lm import arpa, ngram
from jointasr.text import lang
from jointasr.utils import files

ABOUT = "lm.json"


def estimate(texts: Iterable[str], extra: Sequence[Path], order: int) -> ngram.NgramModel:
    """The model of these transcripts and files, a sentence a line."""
    more = (line for path in extra for line in files.read_text(path).splitlines())
    return ngram.estimate((text.split() for text in sorted((*texts, *more))), order)


def check(path: Path, letters: str) -> None:
    """Raise DataError naming a line of a file that is not spelled as transcripts are."""
    for number, line in enumerate(files.read_text(path).splitlines(), 1):
        lang.check_characters(line, letters, source=f"{path}:{number}")


def differences(folder: Path, train: Mapping[str, str], extra: Sequence[Path]) -> list[str]:
    """What is wrong with a model's folder: [] where its file is what these texts give."""
    order = datadir.read_json(folder / ABOUT)["order"]
    expected = arpa.text(estimate(train.values(), extra, order))
    same = files.read_text(folder / arpa.NAME) == expected
    return [] if same else ["not what its fold's training text gives"]
