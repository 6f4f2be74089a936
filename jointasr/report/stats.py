"""Confidence intervals and significance tests of the report.

All functions over utterances take arrays of shape (utterances,): ``errors`` counts the errors of an
utterance (word edits, or 0 or 1 for a wrong emotion) and ``totals`` its
reference words, or 1. A rate is 100 * sum(errors) / sum(totals), per cent. Arrays of two systems
have the same utterances in the same order.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from jointasr.utils import rng

Array = NDArray[np.float64]
CONFIDENCE = 0.95
MIN_SPEAKERS = 6
"""for the sign-flip test, whose smallest p value for n speakers is 2 ** -n (five: 1/32)"""
MAX_EXACT_SPEAKERS = 16
"""maximum for all choices of signs in the sign-flip test; random choices for more"""
MAX_RESAMPLED_VALUES = 1 << 22
"""resampled values in memory at a time"""


class Interval(NamedTuple):
    """Lower and upper end of a 95 % interval, per cent or percentage points."""

    low: float
    high: float


def utterance_interval(errors: Array, totals: Array, seed: int, resamples: int = 10000) -> Interval:
    """Return the interval of a rate, per cent, for further utterances of the same speakers.

    Percentile bootstrap: utterances are drawn with replacement, and the rate of each resample is
    computed (Bisani and Ney, "Bootstrap estimates for confidence intervals in ASR performance
    evaluation", ICASSP 2004).
    """
    return _bootstrap((errors, totals), "rate", seed, resamples)


def difference_interval(
    baseline_errors: Array, system_errors: Array, totals: Array, seed: int, resamples: int = 10000
) -> Interval:
    """Return the interval of rate(system) - rate(baseline), percentage points.

    Paired bootstrap over utterances: both systems are resampled together (Bisani and Ney 2004).
    """
    return _bootstrap((system_errors - baseline_errors, totals), "difference", seed, resamples)


def speaker_interval(values: Sequence[float]) -> Interval | None:
    """Return the interval of the mean of ``values``, one per speaker, for new speakers.

    Student's t: mean +- t(0.975, n - 1) * s / sqrt(n). None for fewer than two speakers.
    """
    if len(values) < 2:
        return None
    mean, error = float(np.mean(values)), _standard_error(np.asarray(values, dtype=float))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return Interval(mean - half, mean + half)


def matched_pairs(baseline_errors: Array, system_errors: Array) -> float:
    """Return the two-sided p value of the matched-pairs sentence-segment word error test.

    With d the differences of the errors per segment (here an utterance), z = mean(d) / (s(d) /
    sqrt(n)) is compared with the standard normal distribution (Gillick and Cox, "Some statistical
    issues in the comparison of speech recognition algorithms", ICASSP 1989). 1.0 if no
    utterance differs.
    """
    difference = system_errors - baseline_errors
    return min(1.0, 2 * min(_p_negative_mean(difference), _p_negative_mean(-difference)))


def mcnemar(baseline_errors: Array, system_errors: Array) -> float:
    """Return the two-sided p value of McNemar's exact test (McNemar 1947).

    Of the n utterances that exactly one system has wrong, the number that the baseline has wrong is
    binomial(n, 1/2) under the null hypothesis (Gillick and Cox 1989). 1.0 if n = 0.
    """
    baseline_only = int(((baseline_errors > 0) & (system_errors == 0)).sum())
    system_only = int(((system_errors > 0) & (baseline_errors == 0)).sum())
    if not baseline_only + system_only:
        return 1.0
    return float(stats.binomtest(baseline_only, baseline_only + system_only).pvalue)


def sign_flip(gains: Sequence[float]) -> float | None:
    """Return the one-sided p value of the sign-flip test: the mean gain per speaker is positive.

    Fisher's randomization test for paired samples: the share of the 2 ** n choices of signs whose
    mean gain is at least the observed one (Fisher, "The Design of Experiments", 1935, section 21).
    Exact for up to 16 speakers, 2 ** 16 random choices for more; None for fewer than six speakers.
    """
    if len(gains) < MIN_SPEAKERS:
        return None
    test = stats.permutation_test(
        (np.asarray(gains, dtype=float),),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=1 << MAX_EXACT_SPEAKERS,
        batch=MAX_RESAMPLED_VALUES // len(gains),
        alternative="greater",
        rng=rng.stream(0, "sign_flip"),
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p values adjusted by Holm's step-down method, in the given order.

    For sorted p(1) <= ... <= p(m): adjusted p(k) = max over j <= k of min(1, (m - j + 1) * p(j))
    (Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6, 1979). None
    stays None and does not count in m.
    """
    ordered = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    maximum = 0.0
    for rank, (p, index) in enumerate(ordered):
        maximum = max(maximum, min(1.0, p * (len(ordered) - rank)))
        adjusted[index] = maximum
    return adjusted


def non_inferiority(
    baseline_errors: Array, system_errors: Array, totals: Array, margin: float
) -> float:
    """Return the one-sided p value of a test of non-inferiority over utterances.

    Null hypothesis: the rate of the system is higher than that of the baseline by ``margin``
    percentage points or more. The matched-pairs test on d = system_errors - baseline_errors -
    margin / 100 * totals, whose mean is zero if the rates differ by exactly the margin (delta
    method for a ratio).
    """
    return _p_negative_mean(system_errors - baseline_errors - margin / 100 * totals)


def speaker_non_inferiority(gains: Sequence[float], margin: float) -> float | None:
    """Return the one-sided p value of a test of non-inferiority over speakers.

    Null hypothesis: the mean gain is -``margin`` percentage points or less. Student's t over one
    gain per speaker; None for fewer than two speakers.
    """
    if len(gains) < 2:
        return None
    return _p_negative_mean(-(np.asarray(gains, dtype=float) + margin), stats.t(len(gains) - 1))


def _p_negative_mean(values: Array, distribution: Any = stats.norm) -> float:
    """Return the one-sided p value of "the mean is negative".

    If all values are equal, their variance cannot be estimated: the p value of the sign test is
    returned instead.
    """
    mean, error = float(values.mean()), _standard_error(values)
    if error > 0:
        return float(distribution.cdf(mean / error))
    return 0.5 ** len(values) if mean < 0 else 1.0


def _standard_error(values: Array) -> float:
    if len(values) < 2 or np.ptp(values) == 0:
        return 0.0
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _bootstrap(pair: tuple[Array, Array], purpose: str, seed: int, resamples: int) -> Interval:
    """Return the percentile interval of 100 * sum(a) / sum(b) over resampled pairs.

    The denominator of a resample without reference words is set to 1, so that its rate is finite.
    """
    numerators, denominators = pair
    if len(numerators) < 2:  # nothing to resample
        value = 100.0 * float(numerators.sum() / max(denominators.sum(), 1))
        return Interval(value, value)
    interval = stats.bootstrap(
        (numerators, denominators),
        lambda a, b, axis: 100.0 * a.sum(axis) / np.maximum(b.sum(axis), 1),
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=CONFIDENCE,
        n_resamples=resamples,
        batch=max(1, MAX_RESAMPLED_VALUES // len(numerators)),
        rng=rng.stream(seed, "bootstrap", purpose),
    ).confidence_interval
    return Interval(float(interval.low), float(interval.high))
