"""Validation of a custom corpus: returns all problems, and the utterances without problems."""

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
from local.own.tables import CorpusRow

MIN_SECONDS, MAX_SECONDS = 0.1, 60.0
"""allowed durations of utterances: at least a few encoder frames; at most what fits into memory"""
FRAME_RATE = 50
"""frames per second of wav2vec2-like encoders (stride 20 ms: wav2vec 2.0, section 4.2)"""
END_TOLERANCE = 0.01
"""seconds by which the end of an utterance may exceed the audio, because of rounding"""
MAX_ID_BYTES = 200
"""maximum length of ids, which are used as file names"""
OPEN_END = ("", "-1")
"""values for the end of the audio; -1 as in Kaldi's segments"""
NUM_PARTS = 5
"""number of groups that dialogues are assigned to if neither speakers nor groups are known"""


class Utterance(NamedTuple):
    """An utterance of a valid row."""

    where: str
    """location of the row, for messages"""
    id: str
    path: str
    """file, or entry of an archive"""
    start: float
    """in seconds"""
    end: float
    channel: int | None
    """from 0; None: mean of all channels"""
    text: str | None
    """normalised; None if unknown"""
    emotion: str | None
    speaker: str
    group: str
    dialogue: str
    fold: str
    style: str


class CheckedRows(NamedTuple):
    """Valid utterances, sorted by id, and one line per problem."""

    utterances: list[Utterance]
    problems: list[str]


class SourceRecording(NamedTuple):
    """A file, or an entry of an archive, that rows refer to."""

    file: str
    header: wav_scp.AudioHeader | None
    """None if it cannot be read"""
    problem: str
    """why it cannot be read; "" if it can"""
    name: str
    """used in ids"""
    part: str
    """used as speaker and group if neither is known"""


def check_rows(rows: Sequence[CorpusRow], root: Path, letters: str) -> CheckedRows:
    """Validate each row; paths are relative to ``root``.

    Problems are, for example, characters not in ``letters``, labels with blanks, times outside the
    audio, unreadable audio, texts too long for their audio, and duplicate ids.
    """
    recordings = _read_recordings(rows, root)
    any_speaker = any(row.speaker or row.group for row in rows)
    valid: dict[str, Utterance] = {}
    problems: list[str] = []
    for row in rows:
        utterance, row_problems = _check_row(row, recordings[row.path], letters)
        if any_speaker and not (row.speaker or row.group):
            row_problems.append("no speaker, though other utterances have one")
        if utterance.id in valid:
            other = valid[utterance.id].where
            row_problems.append(
                f"the id {utterance.id} is also that of {other}; give ids in column id"
            )
        if row_problems:
            problems += [f"{row.where}: {problem}" for problem in row_problems]
        else:
            valid[utterance.id] = utterance
    return CheckedRows([valid[name] for name in sorted(valid)], problems)


def check_corpus(utterances: Sequence[Utterance], data: Data) -> list[str]:
    """Check emotions and folds for the ``data`` section of a conf; return the problems."""
    used = [u for u in utterances if data.turns == "all" or u.text != ""]
    problems = []
    labels = Counter(u.emotion for u in used if u.emotion)
    absent = [emotion for emotion in data.emotions if not labels[emotion]]
    if labels and absent:
        present = ", ".join(f"{label} ({n})" for label, n in sorted(labels.items()))
        problems.append(
            f"no utterance has the emotion {' or '.join(absent)}; there are {present}; list the "
            "emotions in conf/base.yaml: data: {emotions: [" + ", ".join(sorted(labels)) + "]}"
        )
    used = [u for u in used if u.emotion is None or u.emotion in data.emotions]
    fold_utterances = [
        folds.FoldUtterance(u.id, u.speaker, u.group, u.dialogue, u.style, u.text or "", u.fold)
        for u in used
    ]
    try:
        all_folds = folds.make(fold_utterances, data.scheme, data.dev, data.dev_fraction, data.seed)
    except DataError as error:
        return [*problems, f"folds cannot be made (data.scheme: {data.scheme}): {error}"]
    if not all_folds:
        problems.append("no utterance is left to train on")
    transcribed = {u.id for u in used if u.text is not None}
    labelled = {u.id for u in used if u.emotion}
    for fold in all_folds:
        for split, split_utterances in (("train", fold.train), ("dev", fold.dev)):
            for ids, kind in ((transcribed, "transcript"), (labelled, "emotion")):
                if ids and not ids & {u.id for u in split_utterances}:
                    problems.append(
                        f"fold {fold.name}: nothing in {split} has a known {kind}; try another "
                        "data.seed or a larger data.dev_fraction"
                    )
    return problems


def _read_recordings(rows: Iterable[CorpusRow], root: Path) -> dict[str, SourceRecording]:
    """Read the headers of all audio, by path.

    The name of a recording is its stem, or its full path where several have the same stem.
    """
    paths = sorted({row.path for row in rows})
    dialogues = {row.path: row.dialogue or row.path for row in rows}
    names = sorted(set(dialogues.values()))
    parts = {name: f"part{n % NUM_PARTS + 1}" for n, name in enumerate(names)}
    stems = Counter(Path(path).stem for path in paths)
    recordings = {}
    for path in paths:
        stem = Path(path).stem
        name = re.sub(r"[^\w.-]+", "_", stem if stems[stem] == 1 else path).strip("._-") or "audio"
        try:
            header, problem = _read_header(path, root), ""
        except (DataError, OSError) as error:
            header, problem = None, str(error)
        recordings[path] = SourceRecording(
            str(root / path), header, problem, name, parts[dialogues[path]]
        )
    return recordings


def _read_header(path: str, root: Path) -> wav_scp.AudioHeader:
    if not path:
        raise DataError("no path")
    wav_scp.check_source(wav_scp.split(path)[0], path)
    file = str(root / path)
    if wav_scp.split(file)[1] is not None:
        return wav_scp.header(file)
    header = audio.header(Path(file), file)
    wav_scp.check_complete(file)
    return header


def _check_row(
    row: CorpusRow, recording: SourceRecording, letters: str
) -> tuple[Utterance, list[str]]:
    """Return the utterance of a row, and its problems."""
    start, end, problems = _check_times(row, recording)
    numeric = row.channel.isascii() and row.channel.isdigit() and len(row.channel) < 6
    channel = int(row.channel) - 1 if numeric else None
    count = recording.header.channels if recording.header else 1 << 16
    if row.channel and (channel is None or not 0 <= channel < count):
        problems.append(f"channel {row.channel!r}: the audio has channels 1 to {count}")
    problems += _check_names(row)
    text = None if row.text is None else normalise(row.text, letters)
    problems += _check_text(row.text or "", text or "", end - start, letters)
    if row.text is None and not row.emotion:
        problems.append("neither transcript nor emotion: nothing to train on")
    speaker = row.speaker or row.group or recording.part
    id = row.id or _make_id(row, recording, start, end)
    if len(f"{speaker}-{id}".encode()) > MAX_ID_BYTES:
        problems.append(f"speaker and id have more than {MAX_ID_BYTES} bytes: give a short id")
    utterance = Utterance(
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
    return utterance, ([recording.problem] if recording.problem else []) + problems


def _check_times(row: CorpusRow, recording: SourceRecording) -> tuple[float, float, list[str]]:
    """Return start and end in seconds, by default those of the recording, and problems."""
    duration = recording.header.duration if recording.header else float("inf")
    try:
        start, end = float(row.start or 0), duration if row.end in OPEN_END else float(row.end)
    except ValueError:
        start = end = float("nan")
    if math.isnan(start) or math.isnan(end):
        return 0.0, duration, [f"start {row.start!r}, end {row.end!r}: seconds are expected"]
    problems = []
    if start < 0 or end > duration + END_TOLERANCE:
        problems.append(f"from {start:.3f} to {end:.3f} s, but the audio lasts {duration:.3f} s")
    elif recording.header and not MIN_SECONDS <= end - start <= MAX_SECONDS:
        problems.append(
            f"lasts {end - start:.2f} s; utterances of {MIN_SECONDS:g} to {MAX_SECONDS:g} s are "
            "supported: split it with start and end"
        )
    return start, min(end, duration), problems


def _check_names(row: CorpusRow) -> list[str]:
    """Return problems of ids and labels that cannot be file names or fields of tables."""
    return [
        f"{key} {value!r}: no blanks or slashes, and no leading dot or dash"
        for key in ("speaker", "group", "emotion", "fold", "id", "style")
        if re.search(r"[\s/]", value := getattr(row, key)) or value.startswith((".", "-"))
    ]


def _check_text(raw: str, text: str, seconds: float, letters: str) -> list[str]:
    """Return problems: characters that are not in ``letters``, a text too long for its audio."""
    if lost := removed_characters(raw, letters):
        return [
            f"the transcript has {' '.join(lost)}, which data.letters lacks: add to conf/base.yaml "
            "or write words (spell out digits)"
        ]
    if text and min_frames([ord(letter) for letter in text]) > max(1, seconds * FRAME_RATE):
        return [
            f"{len(text)} letters in {seconds:.2f} s are more than the encoder has frames: "
            "check the times"
        ]
    return []


def _make_id(row: CorpusRow, recording: SourceRecording, start: float, end: float) -> str:
    """Return an id from recording name and, where given, times (1/100 s) and channel."""
    times = f"-{start * 100:07.0f}-{end * 100:07.0f}" if row.start or row.end else ""
    return recording.name + times + (f"-c{row.channel}" if row.channel else "")
