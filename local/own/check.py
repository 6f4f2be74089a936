"""What is wrong with a corpus of one's own, all of it at once, and what it comes down to."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from jointasr import folds, sound, wavio
from jointasr.ctc import min_frames
from jointasr.errors import DataError
from jointasr.schema import Data
from jointasr.text import normalise, unspelt
from local.own.rows import Row

SHORTEST, LONGEST = 0.1, 60.0
"""seconds that an utterance may last: a frame or two of the encoder, and what memory allows"""
FRAMES = 50
"""frames a second of wav2vec2-like encoders (PAPER.md, 3.1: a stride of 20 ms)"""
ROUNDED = 0.01
"""seconds that an end may be beyond the audio's, as its table was rounded"""
TO_THE_END = ("", "-1")  # -1 as in Kaldi's segments
PARTS = 5
"""groups that recordings are dealt into where neither speakers nor groups are known"""


class Utterance(NamedTuple):
    """A row that has been found good."""

    where: str
    id: str
    path: str
    """a file, or an entry of an archive"""
    start: float
    """seconds into it"""
    end: float
    channel: int | None
    """from 0; None is the mean of all"""
    text: str | None
    """normalised; None where it is not known"""
    emotion: str | None
    speaker: str
    group: str
    dialogue: str
    fold: str
    style: str


class Checked(NamedTuple):
    """Good utterances, sorted by id, and one line for each thing that is wrong."""

    utterances: list[Utterance]
    problems: list[str]


def rows(found: Sequence[Row], home: Path, data: Data) -> Checked:
    """Judge each row by itself; relative paths count from ``home``.

    Letters that ``data.letters`` lacks, labels with blanks, times outside of the audio, audio that
    cannot be opened, texts too long for their audio, ids that occur twice ... are problems.
    """
    audio = _headers(found, home)
    stems = Counter(Path(path).stem for path in {row.path for row in found})
    names = {row.path: _name(row.path, stems) for row in found}
    dealt = {path: f"part{n % PARTS + 1}" for n, path in enumerate(sorted(audio))}
    good: dict[str, Utterance] = {}
    problems: list[str] = []
    for row in found:
        told = audio[row.path]
        header = None if isinstance(told, DataError) else told
        wrong: list[str] = [] if header else [str(told)]
        one = _utterance(row, header, home, names[row.path], dealt[row.path], data, wrong)
        if one.id in good:
            wrong.append(
                f"the id {one.id} is that of {good[one.id].where} too; give ids in column id"
            )
        if wrong:
            problems += [f"{row.where}: {what}" for what in wrong]
        else:
            good[one.id] = one
    return Checked([good[name] for name in sorted(good)], problems)


def whole(utterances: Sequence[Utterance], data: Data) -> list[str]:
    """What is wrong with the corpus as a whole: emotions, folds."""
    problems = []
    labels = Counter(one.emotion for one in utterances if one.emotion)
    absent = [emotion for emotion in data.emotions if not labels[emotion]]
    if labels and absent:
        there = ", ".join(f"{label} ({n})" for label, n in sorted(labels.items()))
        problems.append(
            f"no utterance has the emotion {' or '.join(absent)}; there are {there}; say in "
            "conf/base.yaml which are meant: data: {emotions: [" + ", ".join(sorted(labels)) + "]}"
        )
    used = [one for one in utterances if one.emotion is None or one.emotion in data.emotions]
    turns = [
        folds.Turn(
            one.id, one.speaker, one.group, one.dialogue, one.style, one.text or "", one.fold
        )
        for one in used
    ]
    try:
        if turns:
            folds.make(turns, data.scheme, data.dev, data.dev_fraction, data.seed)
    except DataError as error:
        problems.append(f"folds cannot be made (data.scheme: {data.scheme}): {error}")
    return problems


def _headers(found: Iterable[Row], home: Path) -> dict[str, wavio.Header | DataError]:
    """What each file is, or why it cannot be read."""
    audio: dict[str, wavio.Header | DataError] = {}
    for path in dict.fromkeys(row.path for row in found):
        try:
            audio[path] = _header(path, home)
        except (DataError, OSError) as error:
            audio[path] = DataError(str(error))
    return audio


def _header(path: str, home: Path) -> wavio.Header:
    if not path:
        raise DataError("no path")
    wavio.refuse(wavio.split(path)[0], path)
    file = str(home / path)
    if wavio.split(file)[1] is not None:
        return wavio.header(file)
    return sound.header(Path(file), file)


def _utterance(
    row: Row,
    header: wavio.Header | None,
    home: Path,
    name: str,
    part: str,
    data: Data,
    wrong: list[str],
) -> Utterance:
    """The row's utterance; what is wrong with it goes to ``wrong``."""
    start, end = _times(row, header, wrong)
    channel = _channel(row, header, wrong)
    fields = {
        key: getattr(row, key) for key in ("speaker", "group", "emotion", "fold", "id", "style")
    }
    for key, value in fields.items():
        if re.search(r"[\s/]", value) or value.startswith((".", "-")):
            wrong.append(f"{key} {value!r}: no blanks or slashes, and no dot or dash in front")
    text = None if row.text is None else normalise(row.text, data.letters)
    if row.text is not None and (lost := unspelt(row.text, data.letters)):
        wrong.append(
            f"the transcript has {' '.join(lost)}, which data.letters lacks: add to conf/base.yaml "
            "or write words (digits as they are spoken)"
        )
    elif text and min_frames([ord(c) for c in text]) > max(1, (end - start) * FRAMES):
        wrong.append(
            f"{len(text)} letters in {end - start:.2f} s are more than the encoder has frames: are "
            "the times right?"
        )
    if row.text is None and not row.emotion:
        wrong.append("neither transcript nor emotion: nothing to learn")
    speaker = row.speaker or row.group or part
    part_of = row.start or row.end not in TO_THE_END
    own = f"{name}-{_centi(start)}-{_centi(end)}" if part_of else name
    own += "" if channel is None else f"-c{channel + 1}"
    id = row.id or own
    return Utterance(
        row.where,
        id if id.startswith(speaker) else f"{speaker}-{id}",
        str(home / row.path),
        start,
        end,
        channel,
        text,
        row.emotion or None,
        speaker,
        row.group or speaker,
        row.dialogue or name,
        row.fold,
        row.style,
    )


def _times(row: Row, header: wavio.Header | None, wrong: list[str]) -> tuple[float, float]:
    """Begin and end in seconds; those of the file where none are given."""
    length = header.duration if header else float("inf")
    try:
        start, end = float(row.start or 0), length if row.end in TO_THE_END else float(row.end)
    except ValueError:
        start = end = float("nan")
    if start != start or end != end:
        wrong.append(f"start {row.start!r}, end {row.end!r}: seconds are expected")
        return 0.0, length
    if start < 0 or end > length + ROUNDED:
        wrong.append(f"from {start:.3f} to {end:.3f} s, but the audio lasts {length:.3f} s")
    elif header and not SHORTEST <= end - start <= LONGEST:
        wrong.append(
            f"lasts {end - start:.2f} s; utterances of {SHORTEST:g} to {LONGEST:g} s are meant: "
            "divide it into turns by start and end"
        )
    return start, min(end, length)


def _channel(row: Row, header: wavio.Header | None, wrong: list[str]) -> int | None:
    """From 0; None for the mean of all."""
    if not row.channel:
        return None
    count = header.channels if header else 1 << 16
    if not (row.channel.isascii() and row.channel.isdigit() and 1 <= int(row.channel) <= count):
        wrong.append(f"channel {row.channel!r}: the audio has channels 1 to {count}")
        return None
    return int(row.channel) - 1


def _centi(seconds: float) -> str:
    return f"{round(seconds * 100):07d}"


def _name(path: str, stems: Counter[str]) -> str:
    """What a recording is called in ids: its stem, or its whole path where several have it."""
    stem = Path(path).stem
    name = stem if stems[stem] == 1 else path
    return re.sub(r"[^\w.-]+", "_", name).strip("._-") or "audio"
