"""A trained model in use: what is said in a piece of audio, when, how sure, and how it is felt."""

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from jointasr.config import conf_files, layout
from jointasr.config.decode_schema import Decode
from jointasr.ctc.loss import Engine
from jointasr.data import audio, vad
from jointasr.data.batch import pad
from jointasr.data.sampler import pack_batches
from jointasr.data.wav_scp import RATE
from jointasr.decoding import alignment, tuning
from jointasr.decoding.alignment import TimedLabel
from jointasr.decoding.decoder import Decoder, Scales
from jointasr.models import checkpoint, hub, systems
from jointasr.scoring.calibration import Calibration
from jointasr.utils import files
from jointasr.utils.errors import DataError

DECODE, CERTAINTY, TUNED = "decode.yaml", "certainty.json", "tune"
DECIDE = (".safetensors", ".json", ".arpa", ".txt")
"""endings of the files of a model that decide what is recognised; its options do besides"""
UNSURE = 0.5
"""an emotion that is right less often than this on dev is not named"""


class RecognizedWord(NamedTuple):
    """A word in time; seconds from the beginning of the recording."""

    text: str
    begin: float
    end: float
    confidence: float
    """how often such a word is right on dev, 0 to 1"""


class RecognizedTurn(NamedTuple):
    """What is said and felt in a stretch of a recording; what the model does not do is empty."""

    begin: float
    """seconds"""
    end: float
    text: str
    words: list[RecognizedWord]
    emotion: str | None
    """the most probable; None where the model is not sure, or knows none"""
    confidence: float | None
    """how often such an emotion is right on dev, 0 to 1"""
    posteriors: dict[str, float]
    """of all emotions"""


class ConfidenceCalibration(NamedTuple):
    """From what the model says of itself to how often it is right, as measured on dev."""

    words: Calibration = Calibration()
    emotion: Calibration = Calibration()


class Recognizer:
    """A model folder, ready for use. Turns are recognised in batches, and the same in any batch."""

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        method: str | None = None,
        batch_seconds: float | None = None,
    ) -> None:
        """``folder``: a packed model, or the ``best`` of a training. ``method``: of search, if not
        the folder's. Raises DataError naming what is missing or does not fit."""
        model = checkpoint.load(folder)
        conf = decode_options(folder, method, batch_seconds)
        engine: Engine = "k2" if model.conf.ctc == "k2" and find_spec("k2") else "torch"
        self.model = model._replace(conf=model.conf.model_copy(update={"ctc": engine}))
        # torchaudio aligns where there is no k2: those that k2 goes with may be too old to
        self.aligner: Engine = "k2" if find_spec("k2") else "torch"
        self.device = device
        orders = conf.orders if model.conf.has_ctc else []
        lms = {order: layout.lm_dir(folder, order) for order in orders}
        if missing := [path for path in lms.values() if not path.is_dir()]:
            raise DataError(f"{missing[0]}: no language model for method {conf.method}; pack it")
        self.decoder = Decoder(self.model, conf, device, lms)
        self.scales = tuning.read_scales(folder / TUNED) if lms else Scales()
        self.certainty = read_certainty(folder)
        self._origin = folder, conf
        self.model.system.to(device).eval()

    @property
    def labels(self) -> list[str]:
        """The emotions that the model tells apart; none where it hears words only."""
        return self.model.labels if self.model.conf.has_emotion else []

    @cached_property
    def digest(self) -> str:
        """Of the folder's files and the search: what results hang on."""
        folder, conf = self._origin
        search = json.dumps(conf.options(), sort_keys=True).encode()
        paths = sorted(path for path in folder.rglob("*") if path.suffix in DECIDE)
        return files.sha256(*paths, prefix=search)[:16]

    def recognize(
        self,
        samples: np.ndarray,
        rate: int,
        how: vad.Mode = "auto",
        longest: float = 20.0,
        pause: float = 0.5,
    ) -> list[RecognizedTurn]:
        """The turns of an array (T,) or (T, channels), which are mixed, at ``rate`` Hz.

        ``how``, ``longest``, ``pause``: as :func:`jointasr.data.vad.segment`. Raises DataError for
        samples that are no audio.
        """
        wave = audio.convert(samples, rate)
        found = vad.segment(wave, how, longest, pause)
        heard = self.hear([wave[first:end] for first, end in found])
        return [moved(turn, first / RATE) for turn, (first, _) in zip(heard, found, strict=True)]

    @torch.no_grad()
    def hear(self, waves: Sequence[np.ndarray]) -> list[RecognizedTurn]:
        """One turn for each of these samples (T,) float32 at 16 kHz, its times from 0."""
        seconds = [len(wave) / RATE for wave in waves]
        order = sorted(range(len(waves)), key=lambda place: -seconds[place])
        found: dict[int, RecognizedTurn] = {}
        for places in pack_batches(seconds, order, self.decoder.conf.max_duration):
            batch = [self._long_enough(waves[place]) for place in places]
            for place, turn in zip(places, self._batch(batch), strict=True):
                found[place] = turn._replace(end=seconds[place])
        return [found[place] for place in range(len(waves))]

    def _long_enough(self, wave: np.ndarray) -> np.ndarray:
        """With silence after it, where there is too little for one frame of the encoder."""
        return np.pad(wave, (0, max(0, self.model.system.encoder.min_samples - len(wave))))

    def _batch(self, waves: list[np.ndarray]) -> list[RecognizedTurn]:
        lengths = torch.tensor([len(wave) for wave in waves])
        output = systems.forward(self.model.system, pad(waves).to(self.device), lengths)
        words: list[list[RecognizedWord]] = [[] for _ in waves]
        if output.log_probs is not None:
            words = self._words(output.log_probs, output.frames)
        posteriors: list[list[float]] = [[] for _ in waves]
        if output.emotion_logits is not None:
            posteriors = output.emotion_logits.double().softmax(-1).tolist()
        return [self._turn(*pair) for pair in zip(words, posteriors, strict=True)]

    def _turn(self, words: list[RecognizedWord], posteriors: list[float]) -> RecognizedTurn:
        emotion, confidence = None, None
        if posteriors:
            confidence = self.certainty.emotion(max(posteriors))
            if confidence >= UNSURE:
                emotion = self.labels[int(np.argmax(posteriors))]
        named = dict(zip(self.labels, posteriors, strict=True))
        text = " ".join(word.text for word in words)
        return RecognizedTurn(0.0, 0.0, text, words, emotion, confidence, named)

    def _words(self, log_probs: Tensor, frames: Tensor) -> list[list[RecognizedWord]]:
        """Words of each utterance. One that does not fit into its frames, which a search through
        words may find, has the times of the whole utterance."""
        found = self.decoder.transcribe(log_probs, frames, self.scales)
        units = self.model.units
        step = alignment.seconds_per_frame(self.model.system.encoder)
        targets = [units.encode(each.text) for each in found]
        paths = alignment.align(log_probs, frames, targets, self.aligner)
        rows = []
        for row, (transcript, path) in enumerate(zip(found, paths, strict=True)):
            if path is None:
                whole = TimedLabel("", 0.0, int(frames[row]) * step)
                spans = [whole._replace(text=word) for word in transcript.text.split()]
                raw = [0.0] * len(spans)
            else:
                _, spans = alignment.unit_and_word_times(path, units, step)
                raw = word_confidences(
                    log_probs[row], path, units.words([unit for unit, _, _ in path])
                )
            sure = transcript.word_posteriors or [self.certainty.words(value) for value in raw]
            pairs = zip(spans, sure, strict=True)
            rows.append([RecognizedWord(text, begin, end, p) for (text, begin, end), p in pairs])
        return rows


def word_confidences(
    log_probs: Tensor, path: Sequence[tuple[int, int, int]], words: Iterable[Sequence[int]]
) -> list[float]:
    """Of each word the geometric mean of its units' posteriors, a unit's being its best frame's, of
    log-posteriors (T, C) and a path of units with their frames."""
    best = [float(log_probs[begin:end, unit].max()) for unit, begin, end in path]
    return [float(np.exp(np.mean([best[place] for place in places]))) for places in words]


def moved(turn: RecognizedTurn, seconds: float) -> RecognizedTurn:
    """The turn, so much later."""
    words = [w._replace(begin=w.begin + seconds, end=w.end + seconds) for w in turn.words]
    return turn._replace(begin=turn.begin + seconds, end=turn.end + seconds, words=words)


def load(
    model: str,
    device: str | None = None,
    method: str | None = None,
    batch_seconds: float | None = None,
) -> Recognizer:
    """The recogniser of a model folder or hub id; ``device``: cpu, cuda, cuda:1 ..., by default a
    GPU where there is one. Raises DataError where there is no such model or device."""
    usual = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(device or usual)
        torch.zeros(1, device=place)
    except (RuntimeError, AssertionError) as error:
        raise DataError(f"device {device}: {str(error).splitlines()[0]}") from None
    return Recognizer(hub.find_folder(model), place, method, batch_seconds)


def decode_options(folder: Path, method: str | None, seconds: float | None) -> Decode:
    """Those of a packed model, else the project's."""
    overrides = [f"method={method}"] if method else []
    overrides += [f"max_duration={seconds}"] if seconds else []
    packed = folder / DECODE
    if not packed.is_file():
        return conf_files.load_decode(DECODE, Path(), overrides)
    return conf_files.load_decode(str(packed.resolve()), folder, overrides)


def read_certainty(folder: Path) -> ConfidenceCalibration:
    """What ``write_certainty`` wrote; as the model says where a folder has none."""
    if not (folder / CERTAINTY).is_file():
        return ConfidenceCalibration()
    try:
        values = json.loads(files.read_text(folder / CERTAINTY))
        return ConfidenceCalibration(**{name: Calibration(**each) for name, each in values.items()})
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{folder / CERTAINTY}: damaged ({error}); pack the model again") from None


def write_certainty(folder: Path, certainty: ConfidenceCalibration) -> None:
    """Write certainty.json."""
    values = {name: each._asdict() for name, each in certainty._asdict().items()}
    files.write_json(folder / CERTAINTY, values)
