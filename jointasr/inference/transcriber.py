"""Recordings to recognitions, in batches across recordings; results that are gone on with."""

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jointasr.data import datadir, vad
from jointasr.data.wav_scp import RATE
from jointasr.inference import formats
from jointasr.inference.formats import Recognition
from jointasr.inference.inputs import Source
from jointasr.inference.recognizer import Recognizer, moved
from jointasr.utils import files
from jointasr.utils.errors import DataError
from jointasr.utils.progress import Progress

log = logging.getLogger(__name__)
AT_ONCE = 600.0
"""seconds of recordings that batches are made of, before anything is given out"""
RESULTS, MADE_BY = "results.jsonl", "made_by.json"
NAMES = {"ctm": "words.ctm", "rttm": "emotions.rttm", "tsv": "turns.tsv", "text": "text.txt"}


class Division(NamedTuple):
    """How recordings become turns; see :func:`jointasr.data.vad.segment`."""

    how: vad.Mode = "auto"
    longest: float = 20.0
    pause: float = 0.5


class Waiting(NamedTuple):
    """A recording whose turns are still to be heard."""

    source: Source
    duration: float
    found: list[vad.Segment]
    waves: list[np.ndarray]


class Transcriber:
    """Recognises recordings; what cannot be read is named, and counted in ``failed``."""

    def __init__(self, recognizer: Recognizer, division: Division) -> None:
        self.recognizer, self.division = recognizer, division
        self.failed: dict[str, str] = {}

    def __call__(self, sources: list[Source]) -> Iterator[Recognition]:
        """One recognition for each source that can be read, in their order.

        Memory: the longest recording, or ten minutes of shorter ones.
        """
        progress, waiting, seconds = Progress(), list[Waiting](), 0.0
        for number, source in enumerate(sources, 1):
            try:
                each = self._divided(source)
            except (DataError, OSError) as error:
                self.failed[source.id] = str(error)
                log.error("%s", error)
                continue
            waiting.append(each)
            seconds += each.duration
            progress.add(each.duration)
            if seconds >= AT_ONCE or number == len(sources):
                yield from self._heard(waiting)
                waiting, seconds = [], 0.0
                log.info("%d of %d, %s", number, len(sources), progress(number / len(sources)))
        yield from self._heard(waiting)

    def _divided(self, source: Source) -> Waiting:
        wave = source.read()
        how, longest, pause = self.division
        found = vad.segment(wave, "whole" if source.turn else how, longest, pause)
        waves = [wave[first:end] for first, end in found]
        return Waiting(source, len(wave) / RATE, found, waves)

    def _heard(self, waiting: list[Waiting]) -> Iterator[Recognition]:
        heard = iter(self.recognizer.hear([wave for each in waiting for wave in each.waves]))
        for source, duration, found, _ in waiting:
            moved_turns = [moved(next(heard), first / RATE) for first, _ in found]
            yield Recognition(source.id, source.name, source.channel, duration, moved_turns)


def into(out: Path, made_by: dict[str, object], sources: list[Source], work: Transcriber) -> int:
    """Write results.jsonl below ``out``, line by line, and when all is done the other formats.

    Recordings that are in it already, by the same model and options (``made_by``), are not heard
    again; their number is returned. Raises DataError where it is of another model or other options.
    """
    known = _known(out, made_by)
    left = [source for source in sources if source.id not in known]
    with (out / RESULTS).open("a", encoding="utf-8") as file:
        for found in work(left):
            file.write(formats.to_json(found) + "\n")
            file.flush()
    results = _known(out, made_by)
    for kind, name in NAMES.items():
        lines: list[str] = [formats.TSV_HEADER] if kind == "tsv" else []
        for source in sources:
            if source.id in results:
                lines += formats.FORMATS[kind](results[source.id])
        files.write_text(out / name, "".join(f"{line}\n" for line in lines))
    return len(sources) - len(left)


def _known(out: Path, made_by: dict[str, object]) -> dict[str, Recognition]:
    """What is there, by id. A line that a killed run left half is taken off."""
    out.mkdir(parents=True, exist_ok=True)
    path, about = out / RESULTS, out / MADE_BY
    if not path.is_file():
        files.write_json(about, made_by)
        return {}
    if not about.is_file() or datadir.read_json(about) != made_by:
        raise DataError(f"{out}: has results of another model or other options; give another --out")
    text = files.read_text(path)
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        files.write_text(path, whole)
    lines = enumerate(whole.splitlines(), 1)
    found = [formats.from_json(line, f"{path}:{number}") for number, line in lines]
    return {each.id: each for each in found}


def lines(kind: str, found: Iterable[Recognition]) -> Iterator[str]:
    """All of them in one format."""
    if kind == "tsv":
        yield formats.TSV_HEADER
    for each in found:
        yield from formats.FORMATS[kind](each)
