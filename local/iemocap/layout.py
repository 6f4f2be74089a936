"""Where things are in a release of IEMOCAP, and what is wrong when they are not there."""

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
    """A dialogue's three places; ``name`` is e.g. ``Ses03M_impro05a``."""

    name: str
    labels: Path
    transcript: Path
    wavs: Path


def dialogues(root: Path) -> tuple[list[Dialogue], list[str]]:
    """All dialogues that have labels, in order, and what of a full release is missing.

    Raises DataError when ``root`` is not a release at all, saying what it looks like instead.
    """
    found = [name for name in SESSIONS if (root / name).is_dir()]
    if not found:
        raise DataError(f"{root}: {_suggestion(root)}")
    missing = [f"{root / name} does not exist" for name in SESSIONS if name not in found]
    result = []
    for session in (root / name for name in found):
        for part in (LABELS, TRANSCRIPTS, WAVS):
            if not (session / part).is_dir():
                raise DataError(f"{session / part} does not exist: {session} is not complete")
        labels = {path.stem for path in corpus.visible((session / LABELS).glob("*.txt"))}
        transcripts = {path.stem for path in corpus.visible((session / TRANSCRIPTS).glob("*.txt"))}
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
    """What a preparation depends on: label and transcript files, and wavs."""
    result: list[Path] = []
    for session in (root / name for name in SESSIONS):
        result += corpus.visible((session / LABELS).glob("*.txt"))
        result += corpus.visible((session / TRANSCRIPTS).glob("*.txt"))
        result += corpus.visible((session / WAVS).glob("*/*.wav"))
    return result


def ignored(root: Path) -> dict[str, int]:
    """Files that are there and not read, by kind."""
    files = [path for name in SESSIONS for path in corpus.walk(root / name, lambda _: True)]
    annotators = ("Categorical", "Attribute", "Self-evaluation")
    return {
        "AppleDouble and other hidden files": corpus.hidden(files),
        ".anvil files": sum(p.suffix == ".anvil" and p.name[0] != "." for p in files),
        "label files of single annotators": sum(p.parent.name in annotators for p in files),
    }


def _suggestion(root: Path) -> str:
    """Why this may not be the folder of the corpus, and which one may be."""
    wanted = "the folder that holds Session1 ... Session5 is needed (IEMOCAP_full_release)"
    if not root.exists():
        return f"no such folder; {wanted}"
    if not root.is_dir():
        return f"is a file; unpack it: {wanted}"
    if root.name in SESSIONS or (root / LABELS).is_dir():
        return f"is a single session; give its parent, {root.parent}"
    for above in root.parents:
        if (above / "Session1").is_dir():
            return f"is inside the corpus; give {above}"
    for below in sorted(root.glob("*/Session1")) + sorted(root.glob("*/*/Session1")):
        return f"has no sessions; did you mean {below.parent}?"
    if all((root / name).is_dir() for name in ("music", "speech", "noise")):
        return f"looks like MUSAN; {wanted}"
    packed = sorted(root.glob("IEMOCAP*.tar*")) + sorted(root.glob("IEMOCAP*.zip"))
    if packed:
        return f"holds {packed[0].name}, still packed; unpack it: {wanted}"
    return f"has none of the sessions; {wanted}"
