"""Statistics of results.json's cells and of pairs of systems, from per-utterance scores."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jointasr.config.report_schema import Report
from jointasr.report import stats
from jointasr.report.stats import Interval
from jointasr.scoring import pooling, score_dir
from jointasr.scoring.pooling import DecodedFold
from jointasr.scoring.results_json import Results
from jointasr.scoring.scores import UtteranceScores

Metric = Literal["wer", "acc"]
METRICS: dict[Metric, str] = {"wer": "WER", "acc": "Accuracy"}
ScoreKey = tuple[str, str, str]
"""system, training condition, test scenario"""
ScoresByCell = Mapping[ScoreKey, UtteranceScores]
Verdict = Literal["better", "worse", "non-inferior", "inconclusive"]


class UtteranceErrors(NamedTuple):
    """Errors of a system per utterance, sorted by utterance id."""

    utterances: list[str]
    speakers: list[str]
    errors: NDArray[np.float64]
    """word errors, or 1 for a wrong emotion, of shape (utterances,)"""
    totals: NDArray[np.float64]
    """reference words, or 1, of shape (utterances,)"""

    @property
    def rate(self) -> float:
        """WER, or 100 - accuracy, per cent."""
        return 100.0 * float(self.errors.sum() / self.totals.sum())

    def by_speaker(self) -> dict[str, float]:
        """Return the rate of each speaker with at least one reference word, sorted by name."""
        names = np.array(self.speakers)
        masks = {name: (names == name) for name in sorted(set(self.speakers))}
        return {
            name: 100.0 * float(self.errors[mask].sum() / self.totals[mask].sum())
            for name, mask in masks.items()
            if self.totals[mask].sum()
        }


class Estimate(NamedTuple):
    """A rate in per cent, or a difference in percentage points, with 95 % intervals."""

    value: float
    utterance_interval: Interval
    """for further utterances of the same speakers: bootstrap over utterances"""
    speaker_interval: Interval | None
    """for new speakers: Student's t over one value per speaker, around their mean"""


class Comparison(NamedTuple):
    """A system against its baseline in one training condition and test scenario.

    Gains are percentage points, positive if the system is better. Adjusted p values are by Holm's
    method, over all cells of the metric.
    """

    metric: Metric
    train: str
    test: str
    baseline: float
    """WER or accuracy, per cent"""
    system: float
    gain: float
    utterance_interval: Interval
    speaker_interval: Interval | None
    p_utterances: float
    """two-sided, over utterances: matched pairs for WER, McNemar for accuracy"""
    p_utterances_adjusted: float
    p_speakers: float | None
    """one-sided sign flip over speakers: the system is better; None for too few speakers"""
    p_speakers_adjusted: float | None
    p_non_inferior: float
    """one-sided, over utterances: the system is worse by less than the margin"""
    p_non_inferior_speakers: float | None
    """one-sided, over speakers; None for too few speakers"""

    def verdict(self, level: float) -> Verdict:
        """Return the outcome of the adjusted two-sided test and of the non-inferiority test."""
        if self.p_utterances_adjusted < level:
            return "better" if self.gain > 0 else "worse"
        return "non-inferior" if self.p_non_inferior < level else "inconclusive"


def find_decoded(results: Results, exp: Path) -> list[DecodedFold]:
    """Return the existing decode folders of those that the cells were pooled from."""
    return [fold for cell in results.cells for fold in pooling.decoded_folds_of(cell, exp)]


def load_scores(results: Results, exp: Path) -> dict[ScoreKey, UtteranceScores]:
    """Return the scores of the cells whose decode folders all exist."""
    scores = {}
    for cell in results.cells:
        decoded = pooling.decoded_folds_of(cell, exp)
        if len(decoded) == len(cell["folds"]):
            by_fold = [(fold, score_dir.load(fold.test_dir, fold.path)) for fold in decoded]
            scores[cell["system"], cell["train"], cell["test"]] = pooling.pool_scores(by_fold)
    return scores


def utterance_errors(scores: UtteranceScores | None, metric: Metric) -> UtteranceErrors | None:
    """Return the errors per utterance; None without scores or if they lack the metric."""
    if scores is None:
        return None
    if metric == "wer":
        pairs = {utt: (count.errors, count.ref_words) for utt, count in scores.words.items()}
    else:
        pairs = {utt: (int(ref != hyp), 1) for utt, (ref, hyp) in scores.emotions.items()}
    if not pairs:
        return None
    ids = sorted(pairs)
    values = np.array([pairs[utt] for utt in ids], dtype=np.float64)
    speakers = [scores.utterances[utt].speaker for utt in ids]
    return UtteranceErrors(ids, speakers, values[:, 0], values[:, 1])


def mean_errors(runs: Iterable[UtteranceErrors | None]) -> UtteranceErrors | None:
    """Average errors over seeds or scenarios.

    None if there are none, if one of them is None, or if their utterances differ.
    """
    runs = list(runs)
    present = [run for run in runs if run is not None]
    if not present or len(present) < len(runs):
        return None
    if any(run.utterances != present[0].utterances for run in present):
        return None
    return present[0]._replace(errors=np.mean([run.errors for run in present], axis=0))


def estimate(errors: UtteranceErrors, metric: Metric, conf: Report) -> Estimate:
    """Return WER or accuracy, per cent, with its intervals."""
    by_utterance = stats.utterance_interval(errors.errors, errors.totals, conf.seed, conf.resamples)
    by_speaker = stats.speaker_interval(list(errors.by_speaker().values()))
    if metric == "wer":
        return Estimate(errors.rate, by_utterance, by_speaker)
    return Estimate(
        100 - errors.rate, _complement(by_utterance), by_speaker and _complement(by_speaker)
    )


def estimate_gain(baseline: UtteranceErrors, system: UtteranceErrors, conf: Report) -> Estimate:
    """Return the reduction of the error rate in percentage points, with paired intervals."""
    difference = stats.difference_interval(
        baseline.errors, system.errors, baseline.totals, conf.seed, conf.resamples
    )
    gains = list(speaker_gains(baseline, system).values())
    reduction = Interval(-difference.high, -difference.low)
    return Estimate(baseline.rate - system.rate, reduction, stats.speaker_interval(gains))


def speaker_gains(baseline: UtteranceErrors, system: UtteranceErrors) -> dict[str, float]:
    """Return the reduction of the error rate for each speaker, percentage points."""
    before, after = baseline.by_speaker(), system.by_speaker()
    return {speaker: before[speaker] - after[speaker] for speaker in before}


def compare(
    scores: ScoresByCell,
    systems: tuple[str, str],
    metric: Metric,
    conditions: Iterable[tuple[str, str]],
    conf: Report,
) -> list[Comparison]:
    """Compare ``systems`` (baseline, system) in each (training condition, test scenario).

    Skip cells that are missing for a system or whose utterances differ. p values are adjusted by
    Holm's method over the compared cells.
    """
    compared = []
    for train, test in conditions:
        baseline, system = (
            utterance_errors(scores.get((name, train, test)), metric) for name in systems
        )
        if baseline and system and baseline.utterances == system.utterances:
            compared.append(_compare(baseline, system, metric, train, test, conf))
    by_utterance = stats.holm([comparison.p_utterances for comparison in compared])
    by_speaker = stats.holm([comparison.p_speakers for comparison in compared])
    return [
        comparison._replace(p_utterances_adjusted=p, p_speakers_adjusted=q)
        for comparison, p, q in zip(compared, by_utterance, by_speaker, strict=True)
        if p is not None
    ]


def _compare(
    baseline: UtteranceErrors,
    system: UtteranceErrors,
    metric: Metric,
    train: str,
    test: str,
    conf: Report,
) -> Comparison:
    """Compare two systems in one cell, with p values that are not adjusted yet."""
    gain = estimate_gain(baseline, system, conf)
    gains = list(speaker_gains(baseline, system).values())
    test_pairs = stats.matched_pairs if metric == "wer" else stats.mcnemar
    p = test_pairs(baseline.errors, system.errors)
    margin = conf.margin_wer if metric == "wer" else conf.margin_acc
    values = (baseline.rate, system.rate)
    if metric == "acc":
        values = (100 - baseline.rate, 100 - system.rate)
    return Comparison(
        metric=metric,
        train=train,
        test=test,
        baseline=values[0],
        system=values[1],
        gain=gain.value,
        utterance_interval=gain.utterance_interval,
        speaker_interval=gain.speaker_interval,
        p_utterances=p,
        p_utterances_adjusted=p,
        p_speakers=stats.sign_flip(gains),
        p_speakers_adjusted=None,
        p_non_inferior=stats.non_inferiority(
            baseline.errors, system.errors, baseline.totals, margin
        ),
        p_non_inferior_speakers=stats.speaker_non_inferiority(gains, margin),
    )


def _complement(interval: Interval) -> Interval:
    """Convert an interval of an error rate to one of an accuracy."""
    return Interval(100 - interval.high, 100 - interval.low)
