"""Write the actors' utterances as a corpus in the layout of IEMOCAP, with its irregularities.

Labels are in ``dialog/EmoEvaluation``, transcripts in ``dialog/transcriptions``, one wav per turn
in ``sentences/wav/<dialogue>``. Irregularities: folders of single annotators, ``.anvil`` binaries,
AppleDouble files, overlapping (XX) utterances, lines without id, carriage returns, non-ASCII bytes.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jointasr.utils.rng import stream
from local.mini import emotion, voices
from local.mini.dsp import RATE, write_wav
from local.mini.plan import PlannedTurn

Rng = np.random.Generator
APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(32)
_VALENCE = {"ang": (2, 4, 4), "hap": (4, 3, 3), "neu": (3, 2, 3), "sad": (2, 2, 2)}
_NAMES = {
    "ang": "Anger",
    "hap": "Happiness",
    "exc": "Excited",
    "neu": "Neutral",
    "sad": "Sadness",
    "fru": "Frustration",
    "sur": "Surprise",
    "fea": "Fear",
    "dis": "Disgust",
}
_BARE_LINES = ("M: Yeah.", "F: Okay.", "M: [LAUGHTER]", "F: What?")


def write_audio(
    seed: int, root: Path, speaker: str, turns: Sequence[PlannedTurn]
) -> dict[str, float]:
    """Write the wavs of a speaker, in order; return ``{utterance: seconds}``.

    Must run in a separate process, see :mod:`local.mini.voices`.
    """
    durations = {}
    for turn in turns:
        rng = stream(seed, "perform", turn.id)
        if turn.text:
            x = emotion.synthesize_emotional(rng, turn.text, voices.ACTORS[speaker], turn.style)
        else:
            x = emotion.breathing(rng, 0.6 + rng.random())
        folder = wav_folder(root, turn.dialogue)
        write_wav(folder / f"{turn.id}.wav", x)
        durations[turn.id] = len(x) / RATE
    return durations


def wav_folder(root: Path, dialogue: str) -> Path:
    """Return the folder of the wavs of a dialogue; create it if necessary."""
    folder = session_folder(root, dialogue) / "sentences" / "wav" / dialogue
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def session_folder(root: Path, dialogue: str) -> Path:
    """Return the folder ``Session3`` for the dialogue ``Ses03M_impro05a``."""
    return root / f"Session{dialogue[4]}"


def write_texts(
    seed: int, root: Path, turns: Sequence[PlannedTurn], durations: dict[str, float]
) -> None:
    """Write labels, transcripts and other files of all dialogues; ``durations`` in seconds."""
    dialogues = list(dict.fromkeys(turn.dialogue for turn in turns))
    for number, dialogue in enumerate(dialogues):
        rng = stream(seed, "files", dialogue)
        dialogue_turns = [turn for turn in turns if turn.dialogue == dialogue]
        times, now = [], 5.0
        for turn in dialogue_turns:
            now += 0.2 + rng.random()
            times.append((now, now + durations[turn.id]))
            now = times[-1][1]
        folder = session_folder(root, dialogue) / "dialog"
        _write_labels(rng, folder / "EmoEvaluation", dialogue, dialogue_turns, times, number)
        _write_transcript(rng, folder / "transcriptions", dialogue, dialogue_turns, times, number)
        if number % 3 == 0:
            wavs = wav_folder(root, dialogue)
            (wavs / f"._{dialogue_turns[0].id}.wav").write_bytes(APPLE_DOUBLE)


def _write_labels(
    rng: Rng,
    folder: Path,
    dialogue: str,
    turns: Sequence[PlannedTurn],
    times: Sequence[tuple[float, float]],
    number: int,
) -> None:
    for name in ("Categorical", "Attribute", "Self-evaluation"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    lines = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]", ""]
    votes = []
    for turn, (start, end) in zip(turns, times, strict=True):
        v, a, d = (x + rng.random() for x in _VALENCE.get(turn.emotion, (3, 3, 3)))
        name = _NAMES.get(turn.label, "Other")
        lines += [
            f"[{start:.4f} - {end:.4f}]\t{turn.id}\t{turn.label}\t[{v:.4f}, {a:.4f}, {d:.4f}]",
            f"C-E2:\t{name};\t()",
            f"C-E4:\t{name}; Neutral state;\t(calm)",
            f"A-E3:\tval {v:.0f}; act {a:.0f}; dom  {d:.0f};\t()",
            "",
        ]
        votes.append(f"{turn.id} :{name}; ()")
    _write(folder / f"{dialogue}.txt", lines, number)
    # Votes of single annotators have other label names, so that reading them would be an error.
    _write(folder / "Categorical" / f"{dialogue}_e2_cat.txt", votes, 0)
    _write(folder / "Attribute" / f"{dialogue}_e3_atr.txt", ["val 3; act 2; dom  2;"], 0)
    _write(folder / "Self-evaluation" / f"{dialogue}_f1_cat.txt", votes[:1], 0)
    (folder / f"{dialogue}.anvil").write_bytes(b"\xff\xfe<\x00?\x00x\x00m\x00l\x00" + bytes(64))
    if number % 4 == 0:
        (folder / f"._{dialogue}.txt").write_bytes(APPLE_DOUBLE)
        (folder / f"._{dialogue}.anvil").write_bytes(APPLE_DOUBLE)


def _write_transcript(
    rng: Rng,
    folder: Path,
    dialogue: str,
    turns: Sequence[PlannedTurn],
    times: Sequence[tuple[float, float]],
    number: int,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    overlaps = {"F": 0, "M": 0}
    for turn, (start, end) in zip(turns, times, strict=True):
        lines.append(f"{turn.id} [{start:08.4f}-{end:08.4f}]: {turn.raw}")
        chance = rng.random()
        if chance < 0.05:
            lines.append(_BARE_LINES[int(rng.random() * len(_BARE_LINES))])
        elif chance < 0.10:
            role = "FM"[int(rng.random() * 2)]
            name = f"{dialogue}_{role}XX{overlaps[role]}"
            overlaps[role] += 1
            lines.append(f"{name} [{end:08.4f}-{end + 0.5:08.4f}]: [LAUGHTER] Yeah.")
    _write(folder / f"{dialogue}.txt", lines, number)
    if number % 5 == 0:
        (folder / f"._{dialogue}.txt").write_bytes(APPLE_DOUBLE)


def _write(path: Path, lines: Sequence[str], number: int) -> None:
    """Write lines, with CRLF in every fifth dialogue and code page 1252 in every third."""
    end = "\r\n" if number % 5 == 4 else "\n"
    data = "".join(line + end for line in lines)
    path.write_bytes(data.encode("cp1252" if number % 3 == 1 else "utf-8"))


def truth_table(turns: Sequence[PlannedTurn]) -> str:
    """Return the style of each utterance as a tab-separated table with a header."""
    rows = ["\t".join(("utterance", "speaker", "label", "emotion", *emotion.DIMENSIONS, "words"))]
    for turn in turns:
        style = (f"{value:.4f}" for value in turn.style)
        rows.append("\t".join((turn.id, turn.speaker, turn.label, turn.emotion, *style, turn.text)))
    return "\n".join(rows) + "\n"
