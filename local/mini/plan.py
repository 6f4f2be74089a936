"""Plan the mini corpus: speaker, text, emotion and style of all utterances, before synthesis.

The plan depends only on the seed, and only on uniform random numbers, so that the counts in
``conf/counts.tsv`` are the same on all machines.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from jointasr.utils.rng import stream
from local.mini import emotion, sentences

Rng = np.random.Generator
TURNS = {
    "Ses01F": 98,
    "Ses01M": 101,
    "Ses02F": 96,
    "Ses02M": 103,
    "Ses03F": 100,
    "Ses03M": 104,
    "Ses04F": 99,
    "Ses04M": 97,
    "Ses05F": 102,
    "Ses05M": 100,
}
"""utterances with words and one of the four emotions, by speaker"""
TAG_ONLY = {
    "Ses01F": 3,
    "Ses01M": 1,
    "Ses02F": 2,
    "Ses02M": 1,
    "Ses03F": 1,
    "Ses03M": 0,
    "Ses04F": 4,
    "Ses04M": 1,
    "Ses05F": 4,
    "Ses05M": 3,
}
"""utterances with one of the four emotions and tags only"""
OTHERS = ("xxx", "fru", "xxx", "fru", "sur", "xxx", "fru", "fea", "xxx", "fru", "oth", "dis")
"""labels of the utterances of each speaker without one of the four emotions"""
WEIGHTS = {"ang": 0.22, "hap": 0.28, "neu": 0.28, "sad": 0.22}
"""probabilities of the emotions"""
EXCITED = 0.45
"""share of happy utterances labelled as excited"""
SCRIPT_TURNS = 10
"""utterances per role of a script"""
VERBATIM = 0.35
"""share of the lines of a script that are spoken as written"""


@dataclass
class PlannedTurn:
    """A labelled utterance; ``style`` controls the synthesis."""

    id: str
    speaker: str
    dialogue: str
    label: str  # as annotated: neu, hap, exc, ang, sad, xxx ...
    emotion: str  # exc merged into hap
    text: str  # words as spoken, with commas; "" for an utterance without words
    raw: str  # transcript as typed
    style: NDArray[np.float64] = field(repr=False)


def dialogues(session: int) -> list[str]:
    """Return the names of a session's dialogues, with all letter suffixes of IEMOCAP."""
    women = ["impro01", "impro02", "impro03", "script01_1", "script02_1"]
    men = list(women)
    if session == 3:
        men[:3] = ["impro05a", "impro05b", "impro08a", "impro08b"]
    if session == 5:
        men.insert(4, "script01_1b")
    return [
        f"Ses0{session}{marker}_{name}"
        for marker, names in (("F", women), ("M", men))
        for name in names
    ]


def plan(seed: int = 0, scale: float = 1.0) -> list[PlannedTurn]:
    """Return all utterances by session, dialogue and time; ``scale`` shortens all dialogues."""
    return [turn for session in range(1, 6) for turn in _session(seed, session, scale)]


def _session(seed: int, session: int, scale: float) -> list[PlannedTurn]:
    names = dialogues(session)
    per_role: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for role in "FM":
        per_role[role] = _lines_of_speaker(seed, f"Ses0{session}{role}", names, scale)
    turns = []
    for name in names:
        lines = {role: per_role[role][name] for role in "FM"}
        turns += _dialogue(seed, name, lines)
    return turns


def _lines_of_speaker(
    seed: int, speaker: str, names: list[str], scale: float
) -> dict[str, list[tuple[str, str]]]:
    """Return (label, text) of a speaker's utterances by dialogue; text is "" for tags only."""
    scripted = [name for name in names if "script" in name]
    free = [name for name in names if "impro" in name]
    lines = {name: _script(seed, speaker, name) for name in scripted}
    remaining = TURNS[speaker] - SCRIPT_TURNS * len(scripted)
    for i, name in enumerate(free):
        share = remaining * (i + 1) // len(free) - remaining * i // len(free)
        lines[name] = _improvised(stream(seed, "impro", speaker, name), share)
    if scale < 1:
        lines = {name: items[: max(1, round(scale * len(items)))] for name, items in lines.items()}
    rng = stream(seed, "extra", speaker)
    extra = [(label, sentences.sentence(rng, "fru")) for label in OTHERS]
    extra += [(_label(rng, _emotion(rng, "")), "") for _ in range(TAG_ONLY[speaker])]
    for label, text in extra[: max(2, round(scale * len(extra)))]:
        items = lines[names[int(rng.random() * len(names))]]
        items.insert(int(rng.random() * (len(items) + 1)), (label, text))
    return lines


def _script(seed: int, speaker: str, name: str) -> list[tuple[str, str]]:
    """Return the lines of a role: the same in all sessions, except those that the actor changes."""
    script = name.split("_", 1)[1]
    written = stream(seed, "script", script, speaker[-1])
    ad_lib = stream(seed, "ad lib", speaker, name)
    lines = []
    for _ in range(SCRIPT_TURNS):
        emotion_label = _emotion(written, "")
        label, text = _label(written, emotion_label), sentences.sentence(written, emotion_label)
        changed = sentences.sentence(ad_lib, emotion_label)
        lines.append((label, text if ad_lib.random() < VERBATIM else changed))
    return lines


def _improvised(rng: Rng, n: int) -> list[tuple[str, str]]:
    """Return (label, text) of ``n`` utterances of a dialogue with a theme."""
    theme = _emotion(rng, "")
    labels = [_emotion(rng, theme) for _ in range(n)]
    return [(_label(rng, label), sentences.sentence(rng, label)) for label in labels]


def _emotion(rng: Rng, theme: str) -> str:
    """Draw one of the four emotions; with probability 0.2, ``theme`` unless it is ""."""
    if rng.random() < 0.2 and theme:
        return theme
    edges = np.cumsum(list(WEIGHTS.values()))
    return list(WEIGHTS)[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def _label(rng: Rng, emotion_label: str) -> str:
    """Return the label of an emotion: happy utterances may be labelled as excited."""
    return "exc" if rng.random() < EXCITED and emotion_label == "hap" else emotion_label


def _dialogue(seed: int, name: str, lines: dict[str, list[tuple[str, str]]]) -> list[PlannedTurn]:
    """Alternate the utterances of both speakers until all are used."""
    rng = stream(seed, "dialogue", name)
    turns: list[PlannedTurn] = []
    spoken = {"F": 0, "M": 0}
    while any(spoken[role] < len(lines[role]) for role in "FM"):
        for role in ("FM", "MF")["M" in name[5]]:
            number = spoken[role]
            if number < len(lines[role]):
                spoken[role] += 1
                label, text = lines[role][number]
                speaker = f"{name[:5]}{role}"
                turns.append(_turn(rng, f"{name}_{role}{number:03d}", speaker, name, label, text))
    return turns


def _turn(rng: Rng, id: str, speaker: str, dialogue: str, label: str, text: str) -> PlannedTurn:
    merged = "hap" if label == "exc" else label
    if text:
        raw = sentences.decorate(rng, text, label)
    else:
        raw = sentences.ONLY_TAGS[int(rng.random() * len(sentences.ONLY_TAGS))]
    style = emotion.draw_style(rng, merged)
    return PlannedTurn(id, speaker, dialogue, label, merged, text, raw, style)
