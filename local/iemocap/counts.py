"""Expected counts of a corpus: ``conf/counts.tsv`` with the columns set, item and count.

Sets: ``labelled`` (all labelled utterances), ``emotions`` (those of the four emotions), ``speech``
(those of the four emotions with words). Items: ``turns``, ``words``, ``dialogues``,
``improvised-dialogues``, ``scripted-dialogues``, ``improvised``, ``scripted``, ``empty``, a speaker
(``Ses01F``), a merged label (``hap``), an annotated one (``label:exc``), both (``Ses01F:hap``).
Counts that the file does not give are not checked.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from jointasr.utils import files
from jointasr.utils.errors import DataError
from local.iemocap.turns import FOUR, IemocapTurn

HEADER = "set\titem\tcount"
Counts = Counter[tuple[str, str]]


def count(turns: Sequence[IemocapTurn]) -> Counts:
    """Count all items of all sets."""
    emotions = [turn for turn in turns if turn.emotion in FOUR]
    speech = [turn for turn in emotions if turn.text]
    counts: Counts = Counter()
    for name, subset in (("labelled", turns), ("emotions", emotions), ("speech", speech)):
        for item, number in _items(subset).items():
            counts[name, item] = number
    return counts


def _items(turns: Sequence[IemocapTurn]) -> Counter[str]:
    items: Counter[str] = Counter()
    items["turns"] = len(turns)
    items["words"] = sum(len(turn.text.split()) for turn in turns)
    items["empty"] = sum(not turn.text for turn in turns)
    for style in {turn.dialogue: turn.style for turn in turns}.values():
        items["dialogues"] += 1
        items[f"{style}-dialogues"] += 1
    for turn in sorted(turns, key=lambda turn: (turn.speaker, turn.label)):
        items[turn.style] += 1
        items[turn.speaker] += 1
        items[turn.emotion] += 1
        items[f"label:{turn.label}"] += 1
        items[f"{turn.speaker}:{turn.emotion}"] += 1
    return items


def read(path: Path) -> Counts:
    """Read counts. Raises DataError naming a malformed or repeated line."""
    if not path.is_file():
        raise DataError(f"{path} does not exist; it gives the expected counts of the corpus")
    counts: Counts = Counter()
    lines = files.read_text(path).splitlines()
    for number, line in enumerate(lines, 1):
        if not line or line.startswith("#") or line == HEADER:
            continue
        fields = line.split("\t")
        if len(fields) != 3 or not fields[2].isdigit():
            raise DataError(f"{path}:{number}: not 'set<TAB>item<TAB>count': {line!r}")
        key = (fields[0], fields[1])
        if key in counts:
            raise DataError(f"{path}:{number}: {' '.join(key)} occurs twice")
        counts[key] = int(fields[2])
    return counts


def write(path: Path, counts: Counts, title: str) -> None:
    """Write counts in the format of :func:`read`, after the comment line ``title``."""
    rows = [f"{name}\t{item}\t{number}" for (name, item), number in counts.items()]
    files.write_text(path, "\n".join([f"# {title}", HEADER, *rows]) + "\n")


def differences(counts: Counts, expected: Counts) -> list[str]:
    """Return a message for each count that differs from the expected one."""
    return [
        f"{name} {item}: {counts[name, item]}, but {number} are expected"
        for (name, item), number in expected.items()
        if counts[name, item] != number
    ]
