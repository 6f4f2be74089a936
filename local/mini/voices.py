"""Synthetic speech: espeak-ng through ctypes, and the voices of the mini corpora.

The library comes with the ``espeakng-loader`` package (GPL; a dependency of the mini corpus only).
Its output depends slightly on the texts that the process has synthesized before: a new process that
synthesizes the same texts in the same order returns the same samples. Each speaker therefore has a
separate process and a fixed order of texts. Voice variants with a ``breath`` line in their file use
random numbers that differ between processes; they raise AssertionError.
"""

import ctypes
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from local.mini.dsp import RATE, Wave, resample, trim

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS; mode 1 is 100 times slower
_UTF8 = 1
_WORDS_PER_MINUTE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@dataclass(frozen=True)
class Voice:
    """A voice. ``tract`` scales all frequencies (formants, pitch); ``channel`` is in dB/octave."""

    name: str  # espeak "language+variant"
    gender: str  # "F" or "M"
    pitch: int = 50  # 0..99
    rate: int = 175  # words per minute
    tract: float = 1.0
    channel: float = 0.0


class Espeak:
    """The espeak-ng library; at most one instance per process."""

    def __init__(self) -> None:
        import espeakng_loader

        self.data = Path(espeakng_loader.get_data_path())
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._chunks: list[np.ndarray] = []
        # Keep a reference: the library has only a pointer.
        self._callback = _CALLBACK(self._collect)
        self.rate: int = self._library.espeak_Initialize(
            _SYNCHRONOUS, 0, str(self.data).encode(), 1 << 15
        )
        assert self.rate > 0, "espeak_Initialize failed"
        self._library.espeak_SetSynthCallback(self._callback)

    def synthesize(
        self, text: str, voice: Voice, rate: float, pitch: float, pitch_range: float
    ) -> Wave:
        """Return samples (T,) in [-1, 1) at ``self.rate`` Hz.

        ``rate``: words per minute, 80 to 400; ``pitch`` and ``pitch_range``: 0 to 99.
        """
        check_variant(self.data, voice.name)
        assert self._library.espeak_SetVoiceByName(voice.name.encode()) == 0, voice.name
        for number, value in (
            (_WORDS_PER_MINUTE, np.clip(rate, 80, 400)),
            (_VOLUME, 70),
            (_PITCH, np.clip(pitch, 0, 99)),
            (_RANGE, np.clip(pitch_range, 0, 99)),
        ):
            self._library.espeak_SetParameter(number, round(float(value)), 0)
        self._chunks = []
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
        assert self._chunks, f"espeak-ng returned no samples for {text!r}"
        return np.concatenate(self._chunks).astype(np.float32) / 32768

    def _collect(self, samples: "ctypes._Pointer[ctypes.c_short]", n: int, _: object) -> int:
        if samples and n > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (n,)).copy())
        return 0


@cache
def check_variant(data: Path, name: str) -> None:
    """Assert that a voice variant exists, which the library does not check, and is repeatable."""
    variant = name.partition("+")[2]
    if not variant:
        return
    file = data / "voices" / "!v" / variant
    assert file.is_file(), f"espeak-ng has no voice variant {variant!r}"
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    assert not any(line.startswith("breath") for line in lines), f"{variant} is not repeatable"


@cache
def _espeak() -> Espeak:
    return Espeak()


def synthesize(
    text: str, voice: Voice, rate: float = 1.0, pitch: float = 0.0, pitch_range: float = 50.0
) -> Wave:
    """Synthesize ``text`` at 16 kHz; silence at both ends is trimmed.

    ``rate`` is a factor of the rate of the voice; ``pitch`` is added to its pitch; ``pitch_range``
    is the range of the intonation. Pitches are in units of espeak-ng, 0 to 99.
    """
    engine = _espeak()
    # Resampling by the tract factor also changes the tempo, which the speaking rate compensates.
    speaking_rate = voice.rate * rate / voice.tract
    wave = engine.synthesize(text, voice, speaking_rate, voice.pitch + pitch, pitch_range)
    return trim(resample(wave, engine.rate * voice.tract / RATE))


# The ten actors, in the order of the sessions; other voices have other accents or variants.
ACTORS = {
    "Ses01F": Voice("en-us+f1", "F", 48, 175, 1.00, 0.0),
    "Ses01M": Voice("en-us+m1", "M", 45, 170, 1.00, 0.5),
    "Ses02F": Voice("en-us+linda", "F", 40, 180, 0.98, -0.7),
    "Ses02M": Voice("en-us+m3", "M", 50, 175, 0.97, 0.0),
    "Ses03F": Voice("en-us+steph", "F", 52, 185, 1.03, 0.6),
    "Ses03M": Voice("en-us+m2", "M", 42, 180, 1.02, -0.4),
    "Ses04F": Voice("en-us+f4", "F", 50, 170, 1.05, 0.3),
    "Ses04M": Voice("en-us+m7", "M", 55, 185, 0.95, -0.8),
    "Ses05F": Voice("en-us+Andrea", "F", 42, 180, 0.97, 0.8),
    "Ses05M": Voice("en-us+m4", "M", 50, 175, 1.04, 0.2),
}


def _make_voices(women: str, men: str, languages: str) -> list[Voice]:
    """Return alternately female and male voices with various pitch, rate, tract and channel."""
    accents = languages.split()
    pairs = [
        pair
        for woman, man in zip(women.split(), men.split(), strict=True)
        for pair in ((woman, "F"), (man, "M"))
    ]
    return [
        Voice(
            f"{accents[i % len(accents)]}+{variant}",
            gender,
            pitch=40 + (7 * i) % 17,
            rate=163 + (11 * i) % 29,
            tract=round(0.94 + 0.01 * ((5 * i) % 15), 2),
            channel=round(-1.0 + 0.25 * ((3 * i) % 9), 2),
        )
        for i, (variant, gender) in enumerate(pairs)
    ]


# The pretraining corpus: other variants of the same and similar accents.
READERS = _make_voices(
    "Annie aunty belinda anika grandma steph3 shelby Annie aunty belinda anika grandma steph2 zac",
    "Alex Andy Denis Gene Jacky Lee Marco Mario m5 m6 m8 Michael Mike antonio",
    "en-us en-us en-us-nyc en-us en",
)
# The talkers of the noise corpus: other accents or variants.
TALKERS = _make_voices(
    "f1 f4 Andrea linda Annie aunty belinda anika steph shelby grandma f4 Andrea f1 linda",
    "m2 m3 m4 m7 boris ed gustave ian iven john marcelo michel norbert pablo robert",
    "en-gb-scotland en-gb-x-rp en-029 en-gb-x-gbclan en-gb-x-gbcwmd",
)
