"""Methods of decoding side by side: word errors of the same models, time, memory, certainty."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jointasr.config.layout import DEFAULT_METHOD
from jointasr.config.model_description import HAS_WORDS
from jointasr.config.schema import Report
from jointasr.data import datadir
from jointasr.report import analysis
from jointasr.report.analysis import Estimate
from jointasr.report.table import TRAIN, Cells
from jointasr.scoring import decode_dir, metrics, pooling

STYLES = ("", "improvised", "scripted")  # all, and apart: scripted sentences recur in training


class MethodValue(NamedTuple):
    """WER over the clean scenario, or its mean over the noisy ones."""

    wer: Estimate
    gain: Estimate | None
    """points below the default method's; None for itself, or where that is not there"""
    styles: dict[str, float | None]
    """WER of improvised and scripted speech"""


class MethodRow(NamedTuple):
    """One method with the models of a system and training condition."""

    system: str
    train: str
    method: str
    clean: MethodValue | None
    noisy: MethodValue | None
    search: float | None
    """seconds of search for a second of audio"""
    memory: float | None
    """GiB, the most of any decoding job"""
    calibration: float | None
    """expected calibration error of word posteriors, per cent"""


def rows(cells: Cells, tests: Sequence[str], exp: Path, conf: Report) -> list[MethodRow]:
    """A row for each system that hears words, condition and method, of all methods that were
    scored, the default first; [] where there is but one."""
    ordered = sorted(cells.by_method(), key=lambda own: own.method != DEFAULT_METHOD)
    if len(ordered) < 2:
        return []
    scores = {cells.method: analysis.load_scores(cells, exp) for cells in ordered}
    kinds = {name: kind for own in ordered for name, kind in own.systems.items()}
    names = [name for name, kind in kinds.items() if kind in HAS_WORDS]
    found = []
    for name in names:
        for train in TRAIN:
            base = scores.get(DEFAULT_METHOD, {})
            for cells in ordered:
                own = scores[cells.method]
                places = [(name, train, test) for test in tests]
                clean, noisy = (
                    _value(own, base if own is not base else {}, part, conf)
                    for part in (places[:1], places[1:])
                )
                if clean or noisy:
                    models = analysis.load_parts(cells, exp)
                    parts = [p for p in models if (p.model.system, p.model.train) == (name, train)]
                    found.append(MethodRow(name, train, cells.method, clean, noisy, *_cost(parts)))
    return found


def _value(
    own: analysis.Scores, base: analysis.Scores, places: Sequence[analysis.Key], conf: Report
) -> MethodValue | None:
    errors = {style: _errors(own, places, style) for style in STYLES}
    total = errors[""]
    if total is None:
        return None
    before = _errors(base, places, "")
    gain = None
    if before is not None and before.utterances == total.utterances:
        gain = analysis.gain(before, total, conf)
    styles = {style: found and found.rate for style, found in errors.items() if style}
    return MethodValue(analysis.estimate(total, "wer", conf), gain, styles)


def _errors(
    scores: analysis.Scores, places: Sequence[analysis.Key], style: str
) -> analysis.Errors | None:
    """Mean over these scenarios; None where one is missing, or has no speech of the style."""
    found = []
    for place in places:
        score = scores.get(place)
        if score is not None and style:
            score = score.by(lambda facts: facts.style).get(style)
        one = analysis.errors(score, "wer") if score is not None else None
        if one is None:
            return None
        found.append(one)
    return analysis.mean(found) if found else None


def _cost(parts: Sequence[pooling.Part]) -> tuple[float | None, float | None, float | None]:
    """(search, memory, calibration) of decode folders."""
    usages = [usage for part in parts if (usage := decode_dir.read_usage(part.decode)) is not None]
    posteriors: list[float] = []
    right: list[bool] = []
    for part in parts:
        known = decode_dir.read_word_posteriors(part.decode)
        if known:
            refs, hyps = datadir.read_table(part.data / "text"), decode_dir.read_texts(part.decode)
            ids = sorted(known.keys() & refs.keys())
            aligned = metrics.align([refs[utt] for utt in ids], [hyps[utt] for utt in ids])
            right += [ref == hyp for pairs in aligned for ref, hyp in pairs if hyp is not None]
            posteriors += [value for utt in ids for value in known[utt]]
    error = metrics.calibration_error(posteriors, right) if posteriors else None
    if not usages:
        return None, None, error
    audio = sum(usage.audio for usage in usages)
    search = sum(usage.search for usage in usages)
    return search / audio if audio else None, max(usage.memory for usage in usages), error
