"""What is wrong with a corpus of one's own, all of it at once, and what it comes down to."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from jointasr.config.schema import Data
from jointasr.ctc.loss import min_frames
from jointasr.data import audio, wav_scp
from jointasr.prep import folds
from jointasr.text.normalizer import normalise, removed_characters
from jointasr.utils.errors import DataError
from local.own.rows import CorpusRow

SHORTEST, LONGEST = 0.1, 60.0
"""seconds that an utterance may last: a few frames of the encoder, and what memory allows"""
FRAMES = 50
"""frames a second of wav2vec2-like encoders (PAPER.md, 3.1: a stride of 20 ms)"""
ROUNDED = 0.01
"""seconds that an end may be beyond the audio's, as its table was rounded"""
LONGEST_ID = 200
"""bytes, of what names files"""
TO_THE_END = ("", "-1")  # -1 as in Kaldi's segments
PARTS = 5
"""groups that dialogues are dealt into where neither speakers nor groups are known"""


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


class Recording(NamedTuple):
    """A file, or an archive's entry, that rows name."""

    file: str
    header: wav_scp.AudioHeader | None
    """None where it cannot be read"""
    problem: str
    name: str
    """in ids"""
    part: str
    """speaker and group, where neither is known"""


def rows(found: Sequence[CorpusRow], home: Path, letters: str) -> Checked:
    """Judge each row by itself; relative paths count from ``home``.

    Characters that are none of ``letters``, labels with blanks, times outside of the audio, audio
    that cannot be opened, texts too long for their audio, ids that occur twice ... are problems.
    """
    recordings = _recordings(found, home)
    named = any(row.speaker or row.group for row in found)
    good: dict[str, Utterance] = {}
    problems: list[str] = []
    for row in found:
        one, wrong = _judge(row, recordings[row.path], letters)
        if named and not (row.speaker or row.group):
            wrong.append("no speaker, though others have one")
        if one.id in good:
            before = good[one.id].where
            wrong.append(f"the id {one.id} is that of {before} too; give ids in column id")
        if wrong:
            problems += [f"{row.where}: {what}" for what in wrong]
        else:
            good[one.id] = one
    return Checked([good[name] for name in sorted(good)], problems)


def whole(utterances: Sequence[Utterance], data: Data) -> list[str]:
    """What is wrong with the corpus as a whole for a conf's ``data``: emotions, folds."""
    used = [one for one in utterances if data.turns == "all" or one.text != ""]
    problems = []
    labels = Counter(one.emotion for one in used if one.emotion)
    absent = [emotion for emotion in data.emotions if not labels[emotion]]
    if labels and absent:
        there = ", ".join(f"{label} ({n})" for label, n in sorted(labels.items()))
        problems.append(
            f"no utterance has the emotion {' or '.join(absent)}; there are {there}; say in "
            "conf/base.yaml which are meant: data: {emotions: [" + ", ".join(sorted(labels)) + "]}"
        )
    used = [one for one in used if one.emotion is None or one.emotion in data.emotions]
    turns = [
        folds.FoldUtterance(o.id, o.speaker, o.group, o.dialogue, o.style, o.text or "", o.fold)
        for o in used
    ]
    try:
        made = folds.make(turns, data.scheme, data.dev, data.dev_fraction, data.seed)
    except DataError as error:
        return [*problems, f"folds cannot be made (data.scheme: {data.scheme}): {error}"]
    if not made:
        problems.append("no utterance is left to learn from")
    written = {one.id for one in used if one.text is not None}
    labelled = {one.id for one in used if one.emotion}
    for fold in made:
        for part, split in (("train", fold.train), ("dev", fold.dev)):
            for known, what in ((written, "transcript"), (labelled, "emotion")):
                if known and not known & {turn.id for turn in split}:
                    problems.append(
                        f"fold {fold.name}: nothing in {part} has a known {what}; another "
                        "data.seed or a larger data.dev_fraction helps"
                    )
    return problems


def _recordings(found: Iterable[CorpusRow], home: Path) -> dict[str, Recording]:
    """What each path is. A recording's name is its stem, or all of its path where others have the
    same stem."""
    paths = sorted({row.path for row in found})
    dialogues = {row.path: row.dialogue or row.path for row in found}
    dealt = {name: f"part{n % PARTS + 1}" for n, name in enumerate(sorted(set(dialogues.values())))}
    stems = Counter(Path(path).stem for path in paths)
    recordings = {}
    for path in paths:
        stem = Path(path).stem
        name = re.sub(r"[^\w.-]+", "_", stem if stems[stem] == 1 else path).strip("._-") or "audio"
        try:
            header, problem = _header(path, home), ""
        except (DataError, OSError) as error:
            header, problem = None, str(error)
        recordings[path] = Recording(
            str(home / path), header, problem, name, dealt[dialogues[path]]
        )
    return recordings


def _header(path: str, home: Path) -> wav_scp.AudioHeader:
    if not path:
        raise DataError("no path")
    wav_scp.refuse(wav_scp.split(path)[0], path)
    file = str(home / path)
    if wav_scp.split(file)[1] is not None:
        return wav_scp.header(file)
    found = audio.header(Path(file), file)
    wav_scp.complete(file)
    return found


def _judge(row: CorpusRow, recording: Recording, letters: str) -> tuple[Utterance, list[str]]:
    """The row's utterance, and what is wrong with it."""
    start, end, wrong = _times(row, recording)
    numeric = row.channel.isascii() and row.channel.isdigit() and len(row.channel) < 6
    channel = int(row.channel) - 1 if numeric else None
    count = recording.header.channels if recording.header else 1 << 16
    if row.channel and (channel is None or not 0 <= channel < count):
        wrong.append(f"channel {row.channel!r}: the audio has channels 1 to {count}")
    wrong += _odd_words(row)
    text = None if row.text is None else normalise(row.text, letters)
    wrong += _odd_text(row.text or "", text or "", end - start, letters)
    if row.text is None and not row.emotion:
        wrong.append("neither transcript nor emotion: nothing to learn")
    speaker = row.speaker or row.group or recording.part
    id = row.id or _id(row, recording, start, end)
    if len(f"{speaker}-{id}".encode()) > LONGEST_ID:
        wrong.append(f"speaker and id take more than {LONGEST_ID} bytes: give a short id")
    one = Utterance(
        row.where,
        id if id.startswith(speaker) else f"{speaker}-{id}",
        recording.file,
        start,
        end,
        channel,
        text,
        row.emotion or None,
        speaker,
        row.group or speaker,
        row.dialogue or recording.name,
        row.fold,
        row.style,
    )
    return one, ([recording.problem] if recording.problem else []) + wrong


def _times(row: CorpusRow, recording: Recording) -> tuple[float, float, list[str]]:
    """Begin and end in seconds, those of the recording where none are given, and what is wrong."""
    length = recording.header.duration if recording.header else float("inf")
    try:
        start, end = float(row.start or 0), length if row.end in TO_THE_END else float(row.end)
    except ValueError:
        start = end = float("nan")
    if math.isnan(start) or math.isnan(end):
        return 0.0, length, [f"start {row.start!r}, end {row.end!r}: seconds are expected"]
    wrong = []
    if start < 0 or end > length + ROUNDED:
        wrong.append(f"from {start:.3f} to {end:.3f} s, but the audio lasts {length:.3f} s")
    elif recording.header and not SHORTEST <= end - start <= LONGEST:
        wrong.append(
            f"lasts {end - start:.2f} s; utterances of {SHORTEST:g} to {LONGEST:g} s are meant: "
            "divide it into turns by start and end"
        )
    return start, min(end, length), wrong


def _odd_words(row: CorpusRow) -> list[str]:
    """Ids and labels that cannot be names of files and entries of tables."""
    return [
        f"{key} {value!r}: no blanks or slashes, and no dot or dash in front"
        for key in ("speaker", "group", "emotion", "fold", "id", "style")
        if re.search(r"[\s/]", value := getattr(row, key)) or value.startswith((".", "-"))
    ]


def _odd_text(raw: str, text: str, seconds: float, letters: str) -> list[str]:
    """Letters of a transcript that the alphabet lacks; more of them than the audio can have."""
    if lost := removed_characters(raw, letters):
        return [
            f"the transcript has {' '.join(lost)}, which data.letters lacks: add to conf/base.yaml "
            "or write words (digits as they are spoken)"
        ]
    if text and min_frames([ord(letter) for letter in text]) > max(1, seconds * FRAMES):
        return [
            f"{len(text)} letters in {seconds:.2f} s are more than the encoder has frames: are the "
            "times right?"
        ]
    return []


def _id(row: CorpusRow, recording: Recording, start: float, end: float) -> str:
    """Of recording, times in hundredths of seconds, and channel, as far as they are given."""
    times = f"-{start * 100:07.0f}-{end * 100:07.0f}" if row.start or row.end else ""
    return recording.name + times + (f"-c{row.channel}" if row.channel else "")
