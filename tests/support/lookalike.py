"""Trees in the layouts of IEMOCAP and MUSAN, with very short sounds and the real counts.

``python3 tests/support/lookalike.py OUT`` makes OUT/iemocap (10,039 turns) and OUT/musan in
seconds. Names of dialogues and counts are those of IEMOCAP; transcripts and audio are invented.
"""

import sys
import wave
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

LABELS = ("ang", "hap", "neu", "sad")
EMOTIONS = {  # turns per speaker, in the order of LABELS, excitement counted as happiness
    "Ses01F": (147, 132, 171, 78), "Ses01M": (82, 146, 213, 116),
    "Ses02F": (67, 166, 135, 113), "Ses02M": (70, 161, 227, 84),
    "Ses03F": (92, 128, 130, 172), "Ses03M": (148, 158, 190, 133),
    "Ses04F": (205, 185, 76, 62), "Ses04M": (122, 118, 182, 81),
    "Ses05F": (78, 159, 221, 132), "Ses05M": (92, 283, 163, 113),
}  # fmt: skip
SPEECH = dict(
    zip(EMOTIONS, (519, 555, 480, 541, 521, 629, 523, 503, 581, 648), strict=True)
)  # of these, turns with words
TAG_ONLY = ("hap",) * 21 + ("neu",) * 4 + ("sad",) * 6
OTHERS = {"xxx": 2507, "fru": 1849, "sur": 107, "fea": 40, "oth": 3, "dis": 2}
EXCITED, IMPROVISED, WORDS = 1041, 2943, 63848
SCRIPTS = ("01_1", "01_2", "01_3", "02_1", "02_2", "03_1", "03_2")
VOCABULARY = ("we", "never", "saw", "the", "blue", "boat", "come", "home", "again", "before", "it",
              "rained", "don't", "you", "think", "so")  # fmt: skip
RATE = 16000


@dataclass
class Turn:
    """A labelled utterance; ``id`` as in the corpus, ``raw`` its transcript."""

    id: str
    label: str
    raw: str

    @property
    def dialogue(self) -> str:
        return self.id.rpartition("_")[0]


def dialogues(session: int) -> list[str]:
    """Names of a session's dialogues: 28, 30, 32, 30 and 31 of them."""
    names = []
    for marker in "FM":
        numbers = [f"{n:02d}" for n in range(1, 8 if session == 1 else 9)]
        if (session, marker) == (3, "M"):
            numbers = ["01", "02", "03", "04", "05a", "05b", "06", "07", "08a", "08b"]
        scripts = [*SCRIPTS, *(["01_1b"] if (session, marker) == (5, "M") else [])]
        names += [f"Ses0{session}{marker}_impro{number}" for number in numbers]
        names += [f"Ses0{session}{marker}_script{script}" for script in scripts]
    return names


def full() -> list[Turn]:
    """10,039 utterances with all counts of IEMOCAP, words included."""
    planned = _emotional() + _other()
    numbers: Counter[tuple[str, str]] = Counter()
    dealt: Counter[tuple[str, str]] = Counter()
    turns = []
    for speaker, style, label, raw in planned:
        names = [name for name in dialogues(int(speaker[4])) if style in name]
        dialogue = names[dealt[speaker, style] % len(names)]
        dealt[speaker, style] += 1
        number = numbers[dialogue, speaker]
        numbers[dialogue, speaker] += 1
        turns.append(Turn(f"{dialogue}_{speaker[-1]}{number:03d}", label, raw))
    return turns


def _emotional() -> list[tuple[str, str, str, str]]:
    """(speaker, style, label, raw) of the 5,531 utterances with one of four emotions."""
    tags = list(TAG_ONLY)
    excited = spoken = 0
    result: list[tuple[str, str, str, str]] = []
    base, longer = divmod(WORDS, sum(SPEECH.values()))
    for speaker, counts in EMOTIONS.items():
        silent = Counter(tags.pop(0) for _ in range(sum(counts) - SPEECH[speaker]))
        for merged, count in zip(LABELS, counts, strict=True):
            for i in range(count):
                label = merged
                if merged == "hap" and excited < EXCITED and i % 3 < 2:
                    label, excited = "exc", excited + 1
                if i < silent[merged]:
                    raw = "[LAUGHTER]" if i % 2 else "[BREATHING] [LIPSMACK]"
                else:
                    raw = _sentence(spoken, base + (spoken < longer))
                    spoken += 1
                k = len(result)
                impro = (k + 1) * IMPROVISED // 5531 > k * IMPROVISED // 5531
                result.append((speaker, "_impro" if impro else "_script", label, raw))
    assert (len(result), spoken, excited) == (5531, 5500, EXCITED)
    return result


def _other() -> list[tuple[str, str, str, str]]:
    labels = [label for label, count in OTHERS.items() for _ in range(count)]
    speakers = list(EMOTIONS)
    return [
        (speakers[i % 10], ("_impro", "_script")[i // 10 % 2], label, _sentence(i, 1 + i % 9))
        for i, label in enumerate(labels)
    ]


def _sentence(index: int, words: int) -> str:
    """A sentence of so many words, with case, punctuation and noises as in transcripts."""
    chosen = [VOCABULARY[(index + 3 * i) % len(VOCABULARY)] for i in range(words)]
    raw = " ".join(chosen).capitalize() + (".", "?", "...", "!", " --")[index % 5]
    if index % 7 == 0:
        raw = raw.replace("'", "\u2019")
    return f"[LAUGHTER] {raw}" if index % 11 == 0 else raw


def tiny() -> list[Turn]:
    """Five sessions of one dialogue with four utterances, for tests of bad input."""
    return [
        Turn(f"Ses0{session}F_impro01_{role}{number:03d}", label, f"Turn {label} don't [SIGH].")
        for session in range(1, 6)
        for role, number, label in (("F", 0, "neu"), ("M", 0, "exc"), ("F", 1, "ang"),
                                    ("M", 1, "xxx"))
    ]  # fmt: skip


def write_iemocap(root: Path, turns: Iterable[Turn]) -> None:
    """Write labels, transcripts and wavs, and the irrelevant files that real copies contain."""
    by_dialogue: dict[str, list[Turn]] = defaultdict(list)
    for turn in turns:
        by_dialogue[turn.dialogue].append(turn)
    sound = _sound()
    for index, (dialogue, own) in enumerate(sorted(by_dialogue.items())):
        session = root / f"Session{dialogue[4]}"
        labels = session / "dialog" / "EmoEvaluation"
        transcripts = session / "dialog" / "transcriptions"
        wavs = session / "sentences" / "wav" / dialogue
        for folder in (labels / "Categorical", transcripts, wavs):
            folder.mkdir(parents=True, exist_ok=True)
        rows = ["% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n"]
        lines = ["M: Yeah.", f"{dialogue}_MXX0 [001.0000-001.5000]: [LAUGHTER]"]
        for n, turn in enumerate(own):
            start, end = 2.0 * n, 2.0 * n + 1.5
            rows += [f"[{start:.4f} - {end:.4f}]\t{turn.id}\t{turn.label}\t[2.5, 2.5, 2.5]",
                     "C-E2:\tNeutral;\t()\n"]  # fmt: skip
            lines.append(f"{turn.id} [{start:08.4f}-{end:08.4f}]: {turn.raw}")
            offset = 37 * n % 400
            samples = sound[offset : offset + 1600 + 16 * (n % 20)]
            write_wav(wavs / f"{turn.id}.wav", samples)
        end_of_line = "\r\n" if index % 2 else "\n"
        encoding = "cp1252" if index % 3 else "utf-8"
        text = end_of_line.join([*lines, ""]).encode(encoding)
        (labels / f"{dialogue}.txt").write_text("\n".join([*rows, ""]), encoding="utf-8")
        (transcripts / f"{dialogue}.txt").write_bytes(text)
        (labels / "Categorical" / f"{dialogue}_e2_cat.txt").write_text(":neutral\n")
        for junk in (transcripts / f"._{dialogue}.txt", wavs / f"._{own[0].id}.wav",
                     labels / f"._{dialogue}.txt", labels / f"{dialogue}.anvil"):  # fmt: skip
            junk.write_bytes(b"\0\5\26\7\xff")


def write_musan(root: Path, files: int = 6) -> None:
    """Write sounds of different lengths, in two sources for each type."""
    sources = {"music": ("fma", "jamendo"), "speech": ("librivox", "us-gov"),
               "noise": ("free-sound", "sound-bible")}  # fmt: skip
    sound = np.tile(_sound(), 8)
    for kind, names in sources.items():
        for number in range(files):
            folder = root / kind / names[number % 2]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "LICENSE").write_text("none\n")
            (folder / "ANNOTATIONS").write_text("none\n")
            path = folder / f"{kind}-{names[number % 2]}-{number // 2:04d}.wav"
            write_wav(path, sound[: 3000 * (1 + number)])


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE, channels: int = 1) -> None:
    """Write 16-bit PCM."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())


def _sound() -> np.ndarray:
    return np.random.default_rng(0).integers(-8000, 8000, 2400).astype(np.int16)


if __name__ == "__main__":
    write_iemocap(Path(sys.argv[1]) / "iemocap", full())
    write_musan(Path(sys.argv[1]) / "musan")
