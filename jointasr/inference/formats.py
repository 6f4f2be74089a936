"""Results of recognition and their output formats: JSON lines, CTM, RTTM, TSV and plain text."""

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from jointasr.inference.recognizer import RecognizedTurn, RecognizedWord
from jointasr.utils.errors import DataError

NOT_SURE = "not_sure"
"""written instead of an emotion where the confidence is too low"""


class Recognition(NamedTuple):
    """The recognized turns of a recording or of one of its channels."""

    id: str
    source: str
    """where the audio was read from"""
    channel: int | None
    """from 0; None if the channels were mixed"""
    duration: float
    """seconds"""
    turns: list[RecognizedTurn]


def to_json(recognition: Recognition) -> str:
    """Return a line of JSON as in docs/recognition.schema.json.

    Times are rounded to milliseconds, probabilities to four digits.
    """
    values = {
        **recognition._asdict(),
        "duration": round(recognition.duration, 3),
        "turns": [turn_to_dict(turn) for turn in recognition.turns],
    }
    return json.dumps(values, ensure_ascii=False)


def turn_to_dict(turn: RecognizedTurn) -> dict[str, Any]:
    """Return the JSON values of a turn."""
    words = [
        {
            "word": word.text,
            "begin": round(word.begin, 3),
            "end": round(word.end, 3),
            "confidence": round(word.confidence, 4),
        }
        for word in turn.words
    ]
    return {
        "begin": round(turn.begin, 3),
        "end": round(turn.end, 3),
        "text": turn.text,
        "words": words,
        "emotion": (turn.emotion or NOT_SURE) if turn.posteriors else None,
        "confidence": None if turn.confidence is None else round(turn.confidence, 4),
        "posteriors": {name: round(value, 4) for name, value in turn.posteriors.items()},
    }


def from_json(line: str, where: str) -> Recognition:
    """Parse a line of ``to_json``. Raises DataError naming ``where`` for any other line."""
    try:
        values = json.loads(line)
        turns = [_turn_from_dict(turn) for turn in values.pop("turns")]
        return Recognition(**values, turns=turns)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{where}: not a recognition ({error}); remove the file") from None


def _turn_from_dict(values: dict[str, Any]) -> RecognizedTurn:
    words = [
        RecognizedWord(w["word"], w["begin"], w["end"], w["confidence"])
        for w in values.pop("words")
    ]
    values["emotion"] = None if values["emotion"] == NOT_SURE else values["emotion"]
    return RecognizedTurn(**values, words=words)


def ctm(recognition: Recognition) -> Iterable[str]:
    """Yield NIST CTM lines: recording, channel from 1, begin, duration, word, confidence."""
    recording, channel = _field(recognition.id), _channel_number(recognition)
    for turn in recognition.turns:
        for word in turn.words:
            times = f"{word.begin:.3f} {word.end - word.begin:.3f}"
            yield f"{recording} {channel} {times} {word.text} {word.confidence:.4f}"


def rttm(recognition: Recognition) -> Iterable[str]:
    """Yield NIST RTTM lines with the emotion in the field of the speaker, and its confidence."""
    recording, channel = _field(recognition.id), _channel_number(recognition)
    for turn in recognition.turns:
        if turn.posteriors:
            times = f"{turn.begin:.3f} {turn.end - turn.begin:.3f}"
            emotion = f"{turn.emotion or NOT_SURE} {turn.confidence:.4f}"
            yield f"SPEAKER {recording} {channel} {times} <NA> <NA> {emotion} <NA>"


def tsv(recognition: Recognition) -> Iterable[str]:
    """Yield a row for each turn, with the columns of TSV_HEADER."""
    recording = recognition.id.replace("\t", " ")
    for turn in recognition.turns:
        emotion = (turn.emotion or NOT_SURE) if turn.posteriors else ""
        confidence = "" if turn.confidence is None else f"{turn.confidence:.4f}"
        times = [f"{turn.begin:.3f}", f"{turn.end:.3f}"]
        channel = str(_channel_number(recognition))
        yield "\t".join([recording, channel, *times, emotion, confidence, turn.text])


def text(recognition: Recognition) -> Iterable[str]:
    """Yield human-readable lines."""
    channel = "" if recognition.channel is None else f", channel {recognition.channel + 1}"
    yield f"{recognition.source}{channel} ({format_time(recognition.duration)})"
    for turn in recognition.turns:
        emotion = ""
        if turn.posteriors:
            ranked = sorted(turn.posteriors.items(), key=lambda item: -item[1])
            posteriors = " ".join(f"{label} {value:.0%}" for label, value in ranked)
            emotion = f"[{turn.emotion or 'not sure'}: {posteriors}]"
        times = f"  {format_time(turn.begin)} - {format_time(turn.end)}"
        parts = [times, turn.text or "(no words)", emotion]
        yield "  ".join(part for part in parts if part)
    if not recognition.turns:
        yield "  (no speech)"


def format_time(seconds: float) -> str:
    """Format seconds as 1:02.3 or 1:00:02.3."""
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02}.{rest % 10}"
    return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


TSV_HEADER = "recording\tchannel\tbegin\tend\temotion\tconfidence\ttext"
FORMATS: dict[str, Callable[[Recognition], Iterable[str]]] = {
    "jsonl": lambda recognition: [to_json(recognition)],
    "ctm": ctm,
    "rttm": rttm,
    "tsv": tsv,
    "text": text,
}


def _channel_number(recognition: Recognition) -> int:
    return 1 if recognition.channel is None else recognition.channel + 1


def _field(name: str) -> str:
    """Replace blanks, which separate the fields of a line, by underscores."""
    return "_".join(name.split())
