"""Recognition of many recordings in batches, which can be interrupted and resumed."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jointasr.data import vad
from jointasr.data.wav_scp import RATE
from jointasr.inference import formats
from jointasr.inference.formats import Recognition
from jointasr.inference.inputs import AudioInput
from jointasr.inference.recognizer import Recognizer, shift_turn
from jointasr.utils import files
from jointasr.utils.errors import DataError
from jointasr.utils.progress import Progress

log = logging.getLogger(__name__)
BUFFERED_SECONDS = 600.0
"""recordings are read up to this duration, then recognized together"""
RESULTS, SETTINGS = "results.jsonl", "made_by.json"
FORMAT_FILES = {"ctm": "words.ctm", "rttm": "emotions.rttm", "tsv": "turns.tsv", "text": "text.txt"}


class Segmentation(NamedTuple):
    """Options of :func:`jointasr.data.vad.segment`, by which recordings are split into turns."""

    mode: vad.Mode = "auto"
    max_seconds: float = 20.0
    min_silence: float = 0.5
    """seconds"""


class SegmentedRecording(NamedTuple):
    """A recording that was split into turns, but not recognized yet."""

    audio_input: AudioInput
    duration: float
    """seconds"""
    segments: list[vad.Segment]
    waves: list[np.ndarray]


class Transcriber:
    """Recognizes recordings. ``failed``: error message of each unreadable recording, by id."""

    def __init__(self, recognizer: Recognizer, segmentation: Segmentation) -> None:
        self.recognizer, self.segmentation = recognizer, segmentation
        self.failed: dict[str, str] = {}

    def __call__(self, audio_inputs: list[AudioInput]) -> Iterator[Recognition]:
        """Yield the recognition of each readable input, in order.

        At most BUFFERED_SECONDS and one more recording are in memory.
        """
        progress, buffer, seconds = Progress(), list[SegmentedRecording](), 0.0
        for number, audio_input in enumerate(audio_inputs, 1):
            try:
                recording = self._read(audio_input)
            except (DataError, OSError) as error:
                self.failed[audio_input.id] = str(error)
                log.error("%s", error)
                continue
            buffer.append(recording)
            seconds += recording.duration
            progress.add(recording.duration)
            if seconds >= BUFFERED_SECONDS or number == len(audio_inputs):
                yield from self._recognize(buffer)
                buffer, seconds = [], 0.0
                share = number / len(audio_inputs)
                log.info("%d of %d, %s", number, len(audio_inputs), progress(share))
        yield from self._recognize(buffer)

    def _read(self, audio_input: AudioInput) -> SegmentedRecording:
        wave = audio_input.read()
        mode, max_seconds, min_silence = self.segmentation
        mode = "whole" if audio_input.is_turn else mode
        segments = vad.segment(wave, mode, max_seconds, min_silence)
        waves = [wave[first:end] for first, end in segments]
        return SegmentedRecording(audio_input, len(wave) / RATE, segments, waves)

    def _recognize(self, recordings: list[SegmentedRecording]) -> Iterator[Recognition]:
        waves = [wave for recording in recordings for wave in recording.waves]
        turns = iter(self.recognizer.recognize_batch(waves))
        for (name, path, channel, *_), duration, segments, _ in recordings:
            shifted = [shift_turn(next(turns), first / RATE) for first, _ in segments]
            yield Recognition(name, path, channel, duration, shifted)


def write_results(
    out: Path, settings: dict[str, object], audio_inputs: list[AudioInput], transcriber: Transcriber
) -> int:
    """Write the results in all formats to ``out``; return the number of earlier results.

    Each recording is appended to results.jsonl as soon as it is recognized; the other formats are
    written at the end. Recordings in an existing results.jsonl are not recognized again.
    ``settings``: model and options. Raises DataError if ``out`` has results of other settings.
    """
    previous = _read_results(out, settings)
    remaining = [audio_input for audio_input in audio_inputs if audio_input.id not in previous]
    with (out / RESULTS).open("a", encoding="utf-8") as file:
        for recognition in transcriber(remaining):
            file.write(formats.to_json(recognition) + "\n")
            file.flush()
    results = _read_results(out, settings)
    ordered = [results[item.id] for item in audio_inputs if item.id in results]
    for name, file_name in FORMAT_FILES.items():
        lines = format_lines(name, ordered)
        files.write_text(out / file_name, "".join(f"{line}\n" for line in lines))
    return len(audio_inputs) - len(remaining)


def _read_results(out: Path, settings: dict[str, object]) -> dict[str, Recognition]:
    """Read earlier results by id, and remove an incomplete last line left by a killed run."""
    out.mkdir(parents=True, exist_ok=True)
    path, settings_file = out / RESULTS, out / SETTINGS
    if not path.is_file():
        files.write_json(settings_file, settings)
        return {}
    if not settings_file.is_file() or files.read_json(settings_file) != settings:
        raise DataError(
            f"{out}: has results of another model or other options; choose another --out"
        )
    text = files.read_text(path)
    complete = text[: text.rfind("\n") + 1]
    if complete != text:
        files.write_text(path, complete)
    lines = enumerate(complete.splitlines(), 1)
    recognitions = [formats.from_json(line, f"{path}:{number}") for number, line in lines]
    return {recognition.id: recognition for recognition in recognitions}


def format_lines(name: str, recognitions: Iterable[Recognition]) -> Iterator[str]:
    """Yield the lines of all recognitions in one of the formats, after its header if it has one."""
    if name == "tsv":
        yield formats.TSV_HEADER
    for recognition in recognitions:
        yield from formats.FORMATS[name](recognition)
