"""Comparison of decoding methods: WER of the same models, time, memory and calibration."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from jointasr.config.layout import DEFAULT_METHOD
from jointasr.config.model_description import HAS_WORDS
from jointasr.config.report_schema import Report
from jointasr.data import datadir
from jointasr.report import analysis
from jointasr.report.analysis import Estimate, ScoreKey, ScoresByCell, UtteranceErrors
from jointasr.report.formatting import TRAINING_SETS
from jointasr.scoring import decode_dir, metrics
from jointasr.scoring.pooling import DecodedFold
from jointasr.scoring.results_json import Results

STYLES = ("improvised", "scripted")
"""reported separately, because scripted sentences recur in the training text"""


class MethodValue(NamedTuple):
    """WER in the clean scenario, or its mean over the noisy scenarios."""

    wer: Estimate
    gain: Estimate | None
    """absolute reduction of the WER compared with the default method, percentage points; None for
    the default method and if its results are missing"""
    styles: dict[str, float | None]
    """WER of improvised and of scripted speech"""


class MethodRow(NamedTuple):
    """A decoding method with the models of one system and training condition."""

    system: str
    train: str
    method: str
    clean: MethodValue | None
    noisy: MethodValue | None
    search_rtf: float | None
    """real-time factor of the search: seconds per second of audio"""
    memory: float | None
    """peak memory of the decoding jobs, GiB"""
    word_ece: float | None
    """expected calibration error of the word posteriors, per cent"""


def rows(results: Results, tests: Sequence[str], exp: Path, conf: Report) -> list[MethodRow]:
    """Return a row for each system with transcripts, training condition and scored method.

    The default method comes first. Return [] if there is only one method.
    """
    by_method = sorted(results.by_method(), key=lambda results: results.method != DEFAULT_METHOD)
    if len(by_method) < 2:
        return []
    scores = {results.method: analysis.load_scores(results, exp) for results in by_method}
    decoded = {results.method: analysis.find_decoded(results, exp) for results in by_method}
    kinds = {name: kind for results in by_method for name, kind in results.systems.items()}
    method_rows = []
    for system in [name for name, kind in kinds.items() if kind in HAS_WORDS]:
        for train in TRAINING_SETS:
            keys = [(system, train, test) for test in tests]
            for method, method_scores in scores.items():
                default = scores.get(DEFAULT_METHOD, {}) if method != DEFAULT_METHOD else {}
                clean, noisy = (
                    _value(method_scores, default, subset, conf) for subset in (keys[:1], keys[1:])
                )
                if clean or noisy:
                    folds = [
                        fold
                        for fold in decoded[method]
                        if (fold.model.system, fold.model.train) == (system, train)
                    ]
                    cost = (*_usage(folds), _word_ece(folds))
                    method_rows.append(MethodRow(system, train, method, clean, noisy, *cost))
    return method_rows


def _value(
    scores: ScoresByCell, default: ScoresByCell, keys: Sequence[ScoreKey], conf: Report
) -> MethodValue | None:
    """Return the mean WER over ``keys`` and its gain over the scores of the default method."""
    errors = _mean_errors(scores, keys)
    if errors is None:
        return None
    baseline = _mean_errors(default, keys)
    gain = None
    if baseline is not None and baseline.utterances == errors.utterances:
        gain = analysis.estimate_gain(baseline, errors, conf)
    by_style = {style: _mean_errors(scores, keys, style) for style in STYLES}
    styles = {style: errors and errors.rate for style, errors in by_style.items()}
    return MethodValue(analysis.estimate(errors, "wer", conf), gain, styles)


def _mean_errors(
    scores: ScoresByCell, keys: Sequence[ScoreKey], style: str = ""
) -> UtteranceErrors | None:
    """Average word errors over scenarios; None if one is missing or lacks words of the style."""
    cells = [scores.get(key) for key in keys]
    if style:
        cells = [cell and cell.group_by(lambda info: info.style).get(style) for cell in cells]
    return analysis.mean_errors(analysis.utterance_errors(cell, "wer") for cell in cells)


def _usage(folds: Sequence[DecodedFold]) -> tuple[float | None, float | None]:
    """Return the real-time factor of the search and the peak memory in GiB."""
    usages = [usage for fold in folds if (usage := decode_dir.read_usage(fold.path)) is not None]
    if not usages:
        return None, None
    audio = sum(usage.audio for usage in usages)
    search = sum(usage.search for usage in usages)
    return search / audio if audio else None, max(usage.memory for usage in usages)


def _word_ece(folds: Sequence[DecodedFold]) -> float | None:
    """Return the expected calibration error of the word posteriors, None without any."""
    posteriors: list[float] = []
    correct: list[bool] = []
    for fold in folds:
        by_utterance = decode_dir.read_word_posteriors(fold.path)
        if by_utterance:
            refs = datadir.read_table(fold.test_dir / "text")
            hyps = decode_dir.read_texts(fold.path)
            ids = sorted(by_utterance.keys() & refs.keys())
            aligned = metrics.align([refs[utt] for utt in ids], [hyps[utt] for utt in ids])
            correct += [ref == hyp for pairs in aligned for ref, hyp in pairs if hyp is not None]
            posteriors += [value for utt in ids for value in by_utterance[utt]]
    return metrics.calibration_error(posteriors, correct) if posteriors else None
