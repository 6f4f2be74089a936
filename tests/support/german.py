"""A small corpus in another language: calls of two speakers, 8 kHz stereo, three emotions.

Runs as a program, because the synthesis depends on earlier texts: ``german.py FOLDER CALLS``.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import soundfile
import soxr

from local.mini.voices import Voice, synthesize

LETTERS = "abcdefghijklmnopqrstuvwxyzäöüß"
RATE = 8000
EMOTIONS = {"froh": (1.15, 25, 95), "ruhig": (1.0, 0, 40), "traurig": (0.8, -20, 5)}
"""rate, pitch and pitch range"""
PAIRS = [
    (Voice("de+f1", "F", 48, 165), Voice("de+m1", "M", 45, 160)),
    (Voice("de+linda", "F", 45, 170), Voice("de+m3", "M", 50, 165)),
    (Voice("de+f4", "F", 50, 160, 1.03), Voice("de+m7", "M", 52, 170, 0.97)),
]
WHO = ["ich", "du", "er", "Müller", "Schröder"]
WHAT = {
    "froh": ["grüßt schöne Mädchen", "liebt süße Äpfel", "tanzt über grüne Wiesen"],
    "ruhig": ["zählt fünf Stühle", "öffnet müde die Tür", "hört draußen Vögel"],
    "traurig": ["verlässt böse Träume", "weiß keine Lösung", "verliert große Schätze"],
}
WHEN = ["heute,", "morgen.", "früh!", "spät?", "übermorgen"]
TURNS = 6  # per call


def main(folder: Path, calls: int) -> None:
    """Write ``calls.csv`` and its recordings: ``calls`` calls of each pair of speakers.

    One in 9 utterances has no transcript, and one has no emotion.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows = []
    for pair, voices in enumerate(PAIRS, 1):
        for call in range(calls):
            name = f"anruf{pair}-{call:02}.wav"
            sides: list[np.ndarray] = [np.zeros(0)]
            for turn in range(TURNS):
                emotion = sorted(EMOTIONS)[int(rng.integers(3))]
                parts = (WHO, WHAT[emotion], WHEN)
                text = " ".join(part[int(rng.integers(len(part)))] for part in parts)
                rate, pitch, pitch_range = EMOTIONS[emotion]
                wave = synthesize(text, voices[turn % 2], rate, pitch, pitch_range)
                start = sum(map(len, sides)) / RATE + 0.2
                sides += [np.zeros(RATE // 5), soxr.resample(wave, 16000, RATE)]
                end = sum(map(len, sides)) / RATE
                known = {"text": text, "emotion": emotion}
                if len(rows) % 9 in (4, 8):
                    known.pop("text" if len(rows) % 9 == 4 else "emotion")
                speaker = f"P{pair}{'AB'[turn % 2]}"
                cells = {"path": name, "start": f"{start:.3f}", "end": f"{end:.3f}"}
                cells |= {"channel": turn % 2 + 1, "speaker": speaker, "group": f"P{pair}"}
                rows.append(cells | known)
            _write(folder / name, sides)
    with (folder / "calls.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]], restval="", delimiter=";")
        writer.writeheader()
        writer.writerows(rows)


def _write(path: Path, sides: list[np.ndarray]) -> None:
    """Write utterances alternately to two channels, with a pause before each."""
    stereo = np.zeros((sum(map(len, sides)), 2))
    begin = 0
    for number, wave in enumerate(sides[1:]):
        stereo[begin : begin + len(wave), number // 2 % 2] = wave
        begin += len(wave)
    soundfile.write(path, stereo * 0.5, RATE, "PCM_16")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
