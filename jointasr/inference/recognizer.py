"""Recognition with a trained model: words with times and confidences, and emotions."""

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

DECODE, CALIBRATION, TUNED = "decode.yaml", "certainty.json", "tune"
MODEL_SUFFIXES = (".safetensors", ".json", ".arpa", ".txt")
"""suffixes of the files of a model that determine the results"""
MIN_CONFIDENCE = 0.5
"""an emotion with a lower confidence is not reported"""


class RecognizedWord(NamedTuple):
    """A word with its times in seconds from the beginning of the recording."""

    text: str
    begin: float
    end: float
    confidence: float
    """probability that the word is correct, 0 to 1, calibrated on dev"""


class RecognizedTurn(NamedTuple):
    """Words and emotion of a turn; outputs that the model does not have are empty or None."""

    begin: float
    """seconds from the beginning of the recording"""
    end: float
    text: str
    words: list[RecognizedWord]
    emotion: str | None
    """most probable emotion; None if its confidence is below MIN_CONFIDENCE, or for asr"""
    confidence: float | None
    """probability that the emotion is correct, 0 to 1, calibrated on dev"""
    posteriors: dict[str, float]
    """posterior of each emotion; they sum to one"""


class ConfidenceCalibration(NamedTuple):
    """Calibrations of word and emotion posteriors, fitted on dev."""

    words: Calibration = Calibration()
    emotion: Calibration = Calibration()


class Recognizer:
    """Recognition with a packed model. Batching does not change the results."""

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        method: str | None = None,
        batch_seconds: float | None = None,
    ) -> None:
        """Load a model.

        Args:
            folder: a packed model, or the folder ``best`` of a training.
            device: where the model runs.
            method: decoding method, by default that of the folder.
            batch_seconds: duration of the audio of a batch, by default that of the folder.

        Raises DataError naming a missing or inconsistent file.
        """
        model = checkpoint.load(folder)
        conf = decode_options(folder, method, batch_seconds)
        engine: Engine = "k2" if model.conf.ctc == "k2" and find_spec("k2") else "torch"
        self.model = model._replace(conf=model.conf.model_copy(update={"ctc": engine}))
        # Torchaudio aligns only where k2 is missing: next to k2, it may be too old for alignment.
        self.align_engine: Engine = "k2" if find_spec("k2") else "torch"
        self.device = device
        orders = conf.orders if model.conf.has_ctc else []
        ngram_dirs = {order: layout.lm_dir(folder, order) for order in orders}
        if missing := [path for path in ngram_dirs.values() if not path.is_dir()]:
            raise DataError(
                f"{missing[0]}: no language model for method {conf.method}; pack the model with it"
            )
        self.decoder = Decoder(self.model, conf, device, ngram_dirs)
        self.scales = tuning.read_scales(folder / TUNED) if ngram_dirs else Scales()
        self.calibration = read_calibration(folder)
        self._folder = folder
        self.model.system.to(device).eval()

    @property
    def labels(self) -> list[str]:
        """The emotions of the model, [] if it recognizes only words."""
        return self.model.labels if self.model.conf.has_emotion else []

    @cached_property
    def digest(self) -> str:
        """Hexadecimal digest of the files and options that the results depend on."""
        search = json.dumps(self.decoder.conf.options(), sort_keys=True).encode()
        paths = sorted(path for path in self._folder.rglob("*") if path.suffix in MODEL_SUFFIXES)
        return files.sha256(*paths, prefix=search)[:16]

    def recognize(
        self,
        samples: np.ndarray,
        rate: int,
        mode: vad.Mode = "auto",
        max_seconds: float = 20.0,
        min_silence: float = 0.5,
    ) -> list[RecognizedTurn]:
        """Recognize the turns of samples (T,) or (T, channels), which are mixed, at ``rate`` Hz.

        ``mode``, ``max_seconds`` and ``min_silence`` control segmentation, see
        :func:`jointasr.data.vad.segment`. Raises DataError for samples that are not audio.
        """
        wave = audio.convert(samples, rate)
        segments = vad.segment(wave, mode, max_seconds, min_silence)
        turns = self.recognize_batch([wave[first:end] for first, end in segments])
        pairs = zip(turns, segments, strict=True)
        return [shift_turn(turn, first / RATE) for turn, (first, _) in pairs]

    @torch.no_grad()
    def recognize_batch(self, waves: Sequence[np.ndarray]) -> list[RecognizedTurn]:
        """Recognize each array of samples (T,), float32 at 16 kHz, as a turn beginning at 0 s."""
        seconds = [len(wave) / RATE for wave in waves]
        order = sorted(range(len(waves)), key=lambda index: -seconds[index])
        turns: dict[int, RecognizedTurn] = {}
        for indices in pack_batches(seconds, order, self.decoder.conf.max_duration):
            batch = [self._pad_to_one_frame(waves[index]) for index in indices]
            for index, turn in zip(indices, self._forward(batch), strict=True):
                turns[index] = turn._replace(end=seconds[index])
        return [turns[index] for index in range(len(waves))]

    def _pad_to_one_frame(self, wave: np.ndarray) -> np.ndarray:
        """Append silence to audio that is too short for one frame of the encoder."""
        return np.pad(wave, (0, max(0, self.model.system.encoder.min_samples - len(wave))))

    def _forward(self, waves: list[np.ndarray]) -> list[RecognizedTurn]:
        lengths = torch.tensor([len(wave) for wave in waves])
        output = systems.forward(self.model.system, pad(waves).to(self.device), lengths)
        words: list[list[RecognizedWord]] = [[] for _ in waves]
        if output.log_probs is not None:
            words = self._timed_words(output.log_probs, output.frames)
        posteriors: list[list[float]] = [[] for _ in waves]
        if output.emotion_logits is not None:
            posteriors = output.emotion_logits.double().softmax(-1).tolist()
        return [self._make_turn(*pair) for pair in zip(words, posteriors, strict=True)]

    def _make_turn(self, words: list[RecognizedWord], posteriors: list[float]) -> RecognizedTurn:
        emotion, confidence = None, None
        if posteriors:
            confidence = self.calibration.emotion(max(posteriors))
            if confidence >= MIN_CONFIDENCE:
                emotion = self.labels[int(np.argmax(posteriors))]
        by_label = dict(zip(self.labels, posteriors, strict=True))
        text = " ".join(word.text for word in words)
        return RecognizedTurn(0.0, 0.0, text, words, emotion, confidence, by_label)

    def _timed_words(self, log_probs: Tensor, frames: Tensor) -> list[list[RecognizedWord]]:
        """Return the words of each utterance with times and confidences.

        If the text is too long for the frames, which a search with a lexicon does not exclude, each
        word gets the times of the utterance.
        """
        transcripts = self.decoder.transcribe(log_probs, frames, self.scales)
        units = self.model.units
        frame_shift = alignment.seconds_per_frame(self.model.system.encoder)
        targets = [units.encode(transcript.text) for transcript in transcripts]
        paths = alignment.align(log_probs, frames, targets, self.align_engine)
        words = []
        for row, (transcript, path) in enumerate(zip(transcripts, paths, strict=True)):
            if path is None:
                end = int(frames[row]) * frame_shift
                labels = [TimedLabel(word, 0.0, end) for word in transcript.text.split()]
                posteriors = [0.0] * len(labels)
            else:
                _, labels = alignment.unit_and_word_times(path, units, frame_shift)
                positions = units.words([unit for unit, _, _ in path])
                posteriors = word_posteriors(log_probs[row], path, positions)
            confidences = transcript.word_posteriors or [
                self.calibration.words(value) for value in posteriors
            ]
            pairs = zip(labels, confidences, strict=True)
            words.append([RecognizedWord(*label, confidence) for label, confidence in pairs])
        return words


def word_posteriors(
    log_probs: Tensor, path: alignment.UnitPath, words: Iterable[Sequence[int]]
) -> list[float]:
    """Return a posterior for each word: the geometric mean over its units.

    The posterior of a unit is the highest one over its frames. ``log_probs``: log-posteriors (T,
    C). ``words``: positions of each word's units in ``path``.
    """
    best = [float(log_probs[begin:end, unit].max()) for unit, begin, end in path]
    return [float(np.exp(np.mean([best[position] for position in word]))) for word in words]


def shift_turn(turn: RecognizedTurn, seconds: float) -> RecognizedTurn:
    """Add ``seconds`` to all times of a turn."""
    words = [w._replace(begin=w.begin + seconds, end=w.end + seconds) for w in turn.words]
    return turn._replace(begin=turn.begin + seconds, end=turn.end + seconds, words=words)


def load(
    model: str,
    device: str | None = None,
    method: str | None = None,
    batch_seconds: float | None = None,
) -> Recognizer:
    """Load a recognizer from a model folder or a Hugging Face hub id.

    ``device``: cpu, cuda, cuda:1 ...; by default a GPU if there is one. Raises DataError if the
    model or the device does not exist.
    """
    default = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch_device = torch.device(device or default)
        torch.zeros(1, device=torch_device)
    except (RuntimeError, AssertionError) as error:
        raise DataError(f"device {device}: {str(error).splitlines()[0]}") from None
    return Recognizer(hub.find_folder(model), torch_device, method, batch_seconds)


def decode_options(folder: Path, method: str | None, seconds: float | None) -> Decode:
    """Return the decoding options of a packed model or, if it has none, of conf/decode.yaml.

    ``method`` and ``seconds`` (of audio in a batch) override them.
    """
    overrides = [f"method={method}"] if method else []
    overrides += [f"max_duration={seconds}"] if seconds else []
    packed = folder / DECODE
    if not packed.is_file():
        return conf_files.load_decode(DECODE, Path(), overrides)
    return conf_files.load_decode(str(packed.resolve()), folder, overrides)


def read_calibration(folder: Path) -> ConfidenceCalibration:
    """Read the calibrations of a packed model; the identity if it has none."""
    path = folder / CALIBRATION
    if not path.is_file():
        return ConfidenceCalibration()
    try:
        values = json.loads(files.read_text(path))
        return ConfidenceCalibration(**{name: Calibration(**v) for name, v in values.items()})
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path}: damaged ({error}); pack the model again") from None


def write_calibration(folder: Path, calibration: ConfidenceCalibration) -> None:
    """Write the calibrations into a packed model."""
    values = {name: value._asdict() for name, value in calibration._asdict().items()}
    files.write_json(folder / CALIBRATION, values)
