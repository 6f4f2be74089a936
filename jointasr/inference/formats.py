"""What was recognised in a recording, and the formats it is written in."""

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from jointasr.inference.recognizer import RecognizedTurn, RecognizedWord
from jointasr.utils.errors import DataError

NOT_SURE = "not_sure"


class Recognition(NamedTuple):
    """The turns of one recording, or of one of its channels."""

    id: str
    source: str
    """where the audio was read from"""
    channel: int | None
    """from 0; None where all were mixed"""
    duration: float
    """seconds"""
    turns: list[RecognizedTurn]


def to_json(found: Recognition) -> str:
    """One line of JSON, as docs/recognition.schema.json describes it; times in ms, the rest to four
    digits."""
    turns = [turn_values(turn) for turn in found.turns]
    values = {**found._asdict(), "duration": round(found.duration, 3), "turns": turns}
    return json.dumps(values, ensure_ascii=False)


def turn_values(turn: RecognizedTurn) -> dict[str, Any]:
    """A turn as it stands in JSON."""
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
    """What ``to_json`` wrote. Raises DataError naming ``where`` for any other line."""
    try:
        values = json.loads(line)
        turns = [_turn(each) for each in values.pop("turns")]
        return Recognition(**values, turns=turns)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise DataError(f"{where}: not a recognition ({error}); remove the file") from None


def _turn(values: dict[str, Any]) -> RecognizedTurn:
    words = [
        RecognizedWord(w["word"], w["begin"], w["end"], w["confidence"])
        for w in values.pop("words")
    ]
    values["emotion"] = None if values["emotion"] == NOT_SURE else values["emotion"]
    return RecognizedTurn(**values, words=words)


def ctm(found: Recognition) -> Iterable[str]:
    """NIST's CTM: recording, channel from 1, begin, duration, word, confidence."""
    for turn in found.turns:
        for word in turn.words:
            length = word.end - word.begin
            times = f"{word.begin:.3f} {length:.3f}"
            yield f"{_label(found.id)} {_side(found)} {times} {word.text} {word.confidence:.4f}"


def rttm(found: Recognition) -> Iterable[str]:
    """NIST's RTTM, with the emotion of a turn where a speaker's name would stand, and how sure."""
    for turn in found.turns:
        if turn.posteriors:
            times = f"{turn.begin:.3f} {turn.end - turn.begin:.3f}"
            name = turn.emotion or NOT_SURE
            head = f"SPEAKER {_label(found.id)} {_side(found)} {times}"
            yield f"{head} <NA> <NA> {name} {turn.confidence:.4f} <NA>"


def tsv(found: Recognition) -> Iterable[str]:
    """A row for each turn: recording, channel, begin, end, emotion, its confidence, text."""
    for turn in found.turns:
        emotion = (turn.emotion or NOT_SURE) if turn.posteriors else ""
        sure = "" if turn.confidence is None else f"{turn.confidence:.4f}"
        times = [f"{turn.begin:.3f}", f"{turn.end:.3f}"]
        name = found.id.replace("\t", " ")
        yield "\t".join([name, str(_side(found)), *times, emotion, sure, turn.text])


def text(found: Recognition) -> Iterable[str]:
    """For people to read."""
    side = "" if found.channel is None else f", channel {found.channel + 1}"
    yield f"{found.source}{side} ({clock(found.duration)})"
    for turn in found.turns:
        felt = ""
        if turn.posteriors:
            name = turn.emotion or "not sure"
            ranked = sorted(turn.posteriors.items(), key=lambda item: -item[1])
            each = " ".join(f"{label} {value:.0%}" for label, value in ranked)
            felt = f"[{name}: {each}]"
        parts = [f"  {clock(turn.begin)} - {clock(turn.end)}", turn.text or "(no words)", felt]
        yield "  ".join(part for part in parts if part)
    if not found.turns:
        yield "  nobody speaks"


def clock(seconds: float) -> str:
    """Seconds as 1:02.3 or 1:00:02.3."""
    tenths = round(10 * seconds)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 10:02}.{rest % 10}"
    return f"{hours}:{minutes:02}:{tail}" if hours else f"{minutes}:{tail}"


TSV_HEADER = "recording\tchannel\tbegin\tend\temotion\tconfidence\ttext"
FORMATS: dict[str, Callable[[Recognition], Iterable[str]]] = {
    "jsonl": lambda found: [to_json(found)],
    "ctm": ctm,
    "rttm": rttm,
    "tsv": tsv,
    "text": text,
}


def _side(found: Recognition) -> int:
    return 1 if found.channel is None else found.channel + 1


def _label(name: str) -> str:
    """An id without blanks, which would be other fields of the line."""
    return "_".join(name.split())
