"""Labelled utterances of IEMOCAP: ids, labels and transcripts."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from jointasr.text.normalizer import normalise
from jointasr.utils.errors import DataError
from local import corpus
from local.iemocap.layout import Dialogue

# The F or M of the last field is the speaker; that of the dialogue is the actor with markers.
UTTERANCE = re.compile(r"(Ses0[1-5])[FM]_(impro\d\d[ab]?|script\d\d_\d[b]?)_([FM])(\d{3})")
_OVERLAP = re.compile(r"Ses0[1-5][FM]_(impro\d\d[ab]?|script\d\d_\d[b]?)_[FM]XX\d+")
_LABEL = re.compile(r"\[\d+\.\d+ - \d+\.\d+\]\t(\S+)\t(\S+)\t\[.*\]")
_SPOKEN = re.compile(r"(Ses0\S+) +\[[\d.]+-[\d.]+\]:(.*)")
FOUR = ("ang", "hap", "neu", "sad")
MERGED = {"exc": "hap"}
"""excited utterances count as happy, as in the paper (IEM4)"""
KNOWN = (*FOUR, "exc", "fru", "sur", "fea", "dis", "oth", "xxx")


@dataclass(frozen=True)
class IemocapTurn:
    """A labelled utterance; ``text`` is normalised, and empty if only tags were transcribed."""

    utterance: str
    dialogue: str
    label: str
    text: str
    wav: Path

    @property
    def session(self) -> str:
        """Session, e.g. ``Ses03``."""
        return self.utterance[:5]

    @property
    def gender(self) -> str:
        """Gender of the speaker, ``F`` or ``M``."""
        return self.utterance[-4]

    @property
    def speaker(self) -> str:
        """Session and gender of the speaker, e.g. ``Ses03F``."""
        return self.session + self.gender

    @property
    def id(self) -> str:
        """Kaldi id, which begins with the speaker, so that utterances and speakers sort alike."""
        return f"{self.speaker}-{self.utterance}"

    @property
    def emotion(self) -> str:
        """The label, with excitement merged into happiness."""
        return MERGED.get(self.label, self.label)

    @property
    def style(self) -> str:
        """``improvised`` or ``scripted``."""
        return "improvised" if "_impro" in self.dialogue else "scripted"


def read(dialogues: Sequence[Dialogue]) -> tuple[list[IemocapTurn], Counter[str]]:
    """Return all labelled utterances, sorted by id, and counts of ignored lines by kind.

    Raises DataError with file and line for unknown labels, malformed lines, duplicate ids, and
    labelled utterances without transcript or wav.
    """
    turns: list[IemocapTurn] = []
    ignored: Counter[str] = Counter()
    problems: list[str] = []
    for dialogue in dialogues:
        labels = read_labels(dialogue.labels)
        texts = read_transcript(dialogue.transcript, ignored)
        ignored["transcripts without a label"] += len(texts.keys() - labels.keys())
        for utterance, (line, label) in labels.items():
            where = f"{dialogue.labels}:{line}: {utterance} is labelled"
            wav = dialogue.wavs / f"{utterance}.wav"
            if utterance not in texts:
                problems.append(f"{where}, but has no transcript in {dialogue.transcript}")
            elif not wav.is_file():
                problems.append(f"{where}, but {wav} does not exist")
            else:
                text = normalise(texts[utterance])
                turns.append(IemocapTurn(utterance, dialogue.name, label, text, wav))
    corpus.raise_problems(problems, "labelled utterances are incomplete")
    return sorted(turns, key=lambda turn: turn.id), ignored


def read_labels(path: Path) -> dict[str, tuple[int, str]]:
    """Read ``{utterance: (line, label)}`` from a file of EmoEvaluation, without single votes."""
    labels: dict[str, tuple[int, str]] = {}
    for number, line in _lines(path):
        if not line.startswith("["):
            continue
        match = _LABEL.fullmatch(line)
        if not match:
            form = "[start - end]<TAB>turn<TAB>label<TAB>[V, A, D]"
            raise DataError(f"{path}:{number}: not of the form {form!r}")
        utterance, label = match.groups()
        if not UTTERANCE.fullmatch(utterance) or utterance.rpartition("_")[0] != path.stem:
            raise DataError(f"{path}:{number}: {utterance} is not an utterance of {path.stem}")
        if label not in KNOWN:
            raise DataError(f"{path}:{number}: unknown label {label!r}; known: {' '.join(KNOWN)}")
        if utterance in labels:
            first = labels[utterance][0]
            raise DataError(f"{path}:{number}: {utterance} occurs twice, first on line {first}")
        labels[utterance] = (number, label)
    return labels


def read_transcript(path: Path, ignored: Counter[str]) -> dict[str, str]:
    """Read ``{utterance: raw text}``; count ignored lines by kind in ``ignored``."""
    if not path.is_file():
        raise DataError(f"{path} does not exist: utterances of {path.stem} are labelled")
    texts: dict[str, str] = {}
    lines: dict[str, int] = {}
    for number, line in _lines(path):
        match = _SPOKEN.fullmatch(line)
        name = match[1] if match else ""
        if match and UTTERANCE.fullmatch(name):
            if name in texts:
                raise DataError(
                    f"{path}:{number}: {name} occurs twice, first on line {lines[name]}"
                )
            texts[name], lines[name] = match[2], number
        elif match and _OVERLAP.fullmatch(name):
            ignored["XX lines (no wav, no label)"] += 1
        elif match or line.startswith("Ses0"):
            ignored["lines with an invalid id"] += 1
        elif line.strip():
            ignored["bare lines (no id)"] += 1
    return texts


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield numbered lines, decoded as UTF-8 or, where that fails, as Windows code page 1252.

    Lines end with line feeds; str.splitlines would split at other characters as well.
    """
    for number, data in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            line = data.decode("utf-8")
        except UnicodeDecodeError:
            line = data.decode("cp1252", errors="replace")
        yield number, line.rstrip("\r").replace("\r", " ")
