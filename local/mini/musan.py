"""Write a noise corpus in the layout of MUSAN: music, speech and noise, with its text files.

Durations vary from less than a second to 45 seconds. The talkers are not in other corpora.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from jointasr.utils.rng import stream
from local.mini import sounds, voices
from local.mini.dsp import RATE, Wave, level, write_wav
from local.mini.sentences import sentence

FILES = {"music": 30, "noise": 48, "speech": len(voices.TALKERS)}
SOURCES = {
    "music": ("fma", "hd-classical", "jamendo"),
    "noise": ("free-sound", "sound-bible"),
    "speech": ("librivox", "us-gov"),
}
SECONDS = {"music": (12.0, 45.0), "noise": (0.4, 20.0), "speech": (10.0, 40.0)}


def names(kind: str, scale: float) -> list[str]:
    """Return the file names of a type, ``music-fma-0000`` ...; at least ten, for three pools."""
    sources = SOURCES[kind]
    count = min(FILES[kind], max(10, round(scale * FILES[kind])))
    return [f"{kind}-{sources[i % len(sources)]}-{i // len(sources):04d}" for i in range(count)]


def write_files(seed: int, root: Path, kind: str, scale: float, part: int, parts: int) -> None:
    """Write every ``parts``-th file of a type from number ``part``, in a separate process."""
    for index, name in enumerate(names(kind, scale)):
        if index % parts != part:
            continue
        rng = stream(seed, "musan", name)
        short, long = SECONDS[kind]
        seconds = short * (long / short) ** rng.random() * max(scale, 0.1)
        folder = root / kind / name.split("-", 1)[1].rsplit("-", 1)[0]
        folder.mkdir(parents=True, exist_ok=True)
        write_wav(folder / f"{name}.wav", _sound(rng, kind, index, max(seconds, 0.3)))


def _sound(rng: np.random.Generator, kind: str, index: int, seconds: float) -> Wave:
    n = int(seconds * RATE)
    if kind == "music":
        return sounds.music(rng, n)
    if kind == "noise":
        return sounds.NOISES[index % len(sounds.NOISES)](rng, n)
    return continuous_speech(rng, voices.TALKERS[index], n)


def continuous_speech(rng: np.random.Generator, voice: voices.Voice, n: int) -> Wave:
    """Synthesize ``n`` samples of a talker's sentences with short pauses, at an RMS of 0.1."""
    parts: list[Wave] = []
    total = 0
    while total < n:
        text = sentence(rng, ("ang", "hap", "neu", "sad")[int(rng.random() * 4)])
        x = voices.synthesize(
            text, voice, rate=0.9 + 0.2 * rng.random(), pitch=10 * rng.random() - 5
        )
        parts += [level(x, 0.1), np.zeros(int(RATE * 0.25 * rng.random()), np.float32)]
        total += len(parts[-2]) + len(parts[-1])
    return sounds.unit(np.concatenate(parts)[:n])


def write_texts(root: Path, scale: float) -> None:
    """Write README, LICENSE and ANNOTATIONS of each source, and an AppleDouble file."""
    (root / "README").write_text("A synthetic stand-in in the layout of MUSAN.\n", encoding="utf-8")
    for kind, sources in SOURCES.items():
        all_names = names(kind, scale)
        for source in sources:
            folder = root / kind / source
            source_names = [name for name in all_names if name.startswith(f"{kind}-{source}-")]
            _lines(folder / "LICENSE", ["Made by local/make_mini.py.", *source_names])
            _lines(folder / "ANNOTATIONS", [f"{name} synthetic {kind}" for name in source_names])
    (root / "noise" / "free-sound" / "._noise-free-sound-0000.wav").write_bytes(b"\0\5\26\7")


def _lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
