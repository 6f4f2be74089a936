"""File layout of IEMOCAP, and error messages for folders without it."""

from dataclasses import dataclass
from pathlib import Path

from jointasr.utils.errors import DataError
from local import corpus

SESSIONS = tuple(f"Session{number}" for number in range(1, 6))
LABELS = Path("dialog", "EmoEvaluation")
TRANSCRIPTS = Path("dialog", "transcriptions")
WAVS = Path("sentences", "wav")


@dataclass(frozen=True)
class Dialogue:
    """The files of a dialogue; ``name`` is e.g. ``Ses03M_impro05a``."""

    name: str
    labels: Path
    transcript: Path
    wavs: Path


def dialogues(root: Path) -> tuple[list[Dialogue], list[str]]:
    """Return all labelled dialogues, in order, and a message for each missing part.

    Raises DataError if ``root`` does not have the layout, suggesting a folder where possible.
    """
    sessions = [name for name in SESSIONS if (root / name).is_dir()]
    if not sessions:
        raise DataError(f"{root}: {_suggestion(root)}")
    missing = [f"{root / name} does not exist" for name in SESSIONS if name not in sessions]
    result = []
    for session in (root / name for name in sessions):
        for part in (LABELS, TRANSCRIPTS, WAVS):
            if not (session / part).is_dir():
                raise DataError(f"{session / part} does not exist: {session} is incomplete")
        labels = {path.stem for path in corpus.without_hidden((session / LABELS).glob("*.txt"))}
        transcripts = {
            path.stem for path in corpus.without_hidden((session / TRANSCRIPTS).glob("*.txt"))
        }
        missing += [
            f"{session / LABELS / name}.txt does not exist, its transcript does"
            for name in sorted(transcripts - labels)
        ]
        result += [
            Dialogue(
                name,
                session / LABELS / f"{name}.txt",
                session / TRANSCRIPTS / f"{name}.txt",
                session / WAVS / name,
            )
            for name in sorted(labels)
        ]
    return result, missing


def files(root: Path) -> list[Path]:
    """Return all files that are read: labels, transcripts and wavs."""
    result: list[Path] = []
    for session in (root / name for name in SESSIONS):
        result += corpus.without_hidden((session / LABELS).glob("*.txt"))
        result += corpus.without_hidden((session / TRANSCRIPTS).glob("*.txt"))
        result += corpus.without_hidden((session / WAVS).glob("*/*.wav"))
    return result


def ignored(root: Path) -> dict[str, int]:
    """Return the numbers of files that are not read, by kind."""
    files = [path for name in SESSIONS for path in corpus.walk(root / name, lambda _: True)]
    annotators = ("Categorical", "Attribute", "Self-evaluation")
    return {
        "AppleDouble and other hidden files": corpus.count_hidden(files),
        ".anvil files": sum(p.suffix == ".anvil" and p.name[0] != "." for p in files),
        "label files of single annotators": sum(p.parent.name in annotators for p in files),
    }


def _suggestion(root: Path) -> str:
    """Return the reason why ``root`` is not the corpus folder, and what to do."""
    expected = "give the folder that holds Session1 ... Session5 (IEMOCAP_full_release)"
    if not root.exists():
        return f"no such folder; {expected}"
    if not root.is_dir():
        return f"is a file; unpack it: {expected}"
    if root.name in SESSIONS or (root / LABELS).is_dir():
        return f"is a single session; give its parent, {root.parent}"
    for above in root.parents:
        if (above / "Session1").is_dir():
            return f"is inside the corpus; give {above}"
    for below in sorted(root.glob("*/Session1")) + sorted(root.glob("*/*/Session1")):
        return f"has no sessions; did you mean {below.parent}?"
    if all((root / name).is_dir() for name in ("music", "speech", "noise")):
        return f"looks like MUSAN; {expected}"
    packed = sorted(root.glob("IEMOCAP*.tar*")) + sorted(root.glob("IEMOCAP*.zip"))
    if packed:
        return f"holds {packed[0].name}, not unpacked; unpack it: {expected}"
    return f"has none of the sessions; {expected}"
