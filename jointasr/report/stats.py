"""Intervals and significance tests of the report.

Per utterance, ``wrong`` counts errors (word edits, or 0 or 1 for a wrong emotion) and ``total``
what they are out of (reference words, or 1). A rate is 100 * sum(wrong) / sum(total), per cent.
Arrays of two systems are aligned by utterance. Nothing here knows of cells, files or systems.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from jointasr.utils import rng

Array = NDArray[np.float64]
CONFIDENCE = 0.95
FEWEST_SPEAKERS = 6
"""fewer flips than 2 ** 6 could not show much: the least p of five is 1/32"""
EXACT_SPEAKERS = 16
RESAMPLED = 1 << 22  # values held at a time while resampling


class Interval(NamedTuple):
    """The ends of a 95 % interval, per cent or points."""

    low: float
    high: float


def utterance_interval(wrong: Array, total: Array, seed: int, resamples: int = 10000) -> Interval:
    """Interval of a rate for more utterances of these speakers.

    Percentile bootstrap over utterances (Bisani and Ney, ICASSP 2004).
    """
    return _bootstrap((wrong, total), "rate", seed, resamples)


def difference_interval(
    wrong_base: Array, wrong_joint: Array, total: Array, seed: int, resamples: int = 10000
) -> Interval:
    """Interval of rate(joint) - rate(base), points, by the paired bootstrap over utterances."""
    return _bootstrap((wrong_joint - wrong_base, total), "difference", seed, resamples)


def speaker_interval(values: Sequence[float]) -> Interval | None:
    """Interval of the mean over speakers of ``values`` (one each), for speakers like these.

    Student's t; None for fewer than two speakers.
    """
    if len(values) < 2:
        return None
    middle, error = float(np.mean(values)), _standard_error(np.asarray(values, dtype=float))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return Interval(middle - half, middle + half)


def matched_pairs(wrong_base: Array, wrong_joint: Array) -> float:
    """Two-sided p of the matched-pairs sentence-segment word error test.

    Gillick and Cox, ICASSP 1989: differences of the errors in a segment (here an utterance) are
    taken as independent, their mean as normal. 1.0 where no utterance differs.
    """
    worse = wrong_joint - wrong_base
    return min(1.0, 2 * min(_negative(worse), _negative(-worse)))


def mcnemar(wrong_base: Array, wrong_joint: Array) -> float:
    """Two-sided p of McNemar's exact test: of the utterances that one system alone has wrong, half
    are expected for each. 1.0 where there are none."""
    base_alone = int(((wrong_base > 0) & (wrong_joint == 0)).sum())
    joint_alone = int(((wrong_joint > 0) & (wrong_base == 0)).sum())
    if not base_alone + joint_alone:
        return 1.0
    return float(stats.binomtest(base_alone, base_alone + joint_alone).pvalue)


def sign_flip(gains: Sequence[float]) -> float | None:
    """One-sided p that the mean gain of a speaker is above zero, by flipping signs.

    Exact: every one of the 2 ** n choices of signs counts (above 16 speakers, 2 ** 16 random ones).
    None for fewer than six speakers, who are too few.
    """
    if len(gains) < FEWEST_SPEAKERS:
        return None
    test = stats.permutation_test(
        (np.asarray(gains, dtype=float),),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=1 << EXACT_SPEAKERS,
        batch=RESAMPLED // len(gains),
        alternative="greater",
        rng=rng.stream(0, "sign_flip"),
    )
    return float(test.pvalue)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction (1979), in the order given; None stays and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        corrected[place] = highest
    return corrected


def no_worse(wrong_base: Array, wrong_joint: Array, total: Array, margin: float) -> float:
    """One-sided p that the joint rate is worse than the base's by at least ``margin`` points.

    Small: the joint system is no worse. Matched pairs over utterances of
    wrong_joint - wrong_base - margin / 100 * total, whose mean is zero where the rates differ by
    the margin exactly (the ratio's delta method).
    """
    return _negative(wrong_joint - wrong_base - margin / 100 * total)


def speakers_no_worse(gains: Sequence[float], margin: float) -> float | None:
    """The same over speakers: one-sided p of a mean gain of -``margin`` points or less.

    Student's t over one gain per speaker; None for fewer than two.
    """
    if len(gains) < 2:
        return None
    return _negative(-(np.asarray(gains, dtype=float) + margin), stats.t(len(gains) - 1))


def _negative(values: Array, distribution: Any = stats.norm) -> float:
    """One-sided p of a mean of zero or more; small: the mean is below zero.

    Where all values are equal their spread is unknown, and the sign test's p is all there is.
    """
    middle, error = float(values.mean()), _standard_error(values)
    if error > 0:
        return float(distribution.cdf(middle / error))
    return 0.5 ** len(values) if middle < 0 else 1.0


def _standard_error(values: Array) -> float:
    if len(values) < 2 or np.ptp(values) == 0:
        return 0.0
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _bootstrap(pair: tuple[Array, Array], purpose: str, seed: int, resamples: int) -> Interval:
    """Percentile interval of 100 * sum(a) / sum(b) over resampled pairs; a resample without one
    reference word counts as if it had one."""
    top, bottom = pair
    if len(top) < 2:  # nothing to resample
        value = 100.0 * float(top.sum() / max(bottom.sum(), 1))
        return Interval(value, value)
    found = stats.bootstrap(
        (top, bottom),
        lambda a, b, axis: 100.0 * a.sum(axis) / np.maximum(b.sum(axis), 1),
        paired=True,
        vectorized=True,
        method="percentile",
        confidence_level=CONFIDENCE,
        n_resamples=resamples,
        batch=max(1, RESAMPLED // len(top)),
        rng=rng.stream(seed, "bootstrap", purpose),
    ).confidence_interval
    return Interval(float(found.low), float(found.high))
