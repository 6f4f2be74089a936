"""Coverage of intervals, size and power of tests, agreement with other libraries."""

import itertools
import math

import kaldialign
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests

from jointasr.report import stats
from jointasr.scoring import metrics

Array = NDArray[np.float64]
LEVEL = 0.05


def band(runs: int, rate: float) -> tuple[float, float]:
    """Return the 99.9 % interval of the share of rejections in ``runs`` experiments."""
    low, high = binom.interval(0.999, runs, rate)
    return low / runs, high / runs


def speakers(generator: np.random.Generator, count: int = 10) -> list[float]:
    """Draw observed error rates of speakers, each estimated from 80 to 120 utterances."""
    true_rates = generator.beta(6, 18, count)  # mean .25
    utterances = generator.integers(80, 121, count)
    return list(100 * generator.binomial(utterances, true_rates) / utterances)


def pair(
    generator: np.random.Generator, utterances: int, gain: float
) -> tuple[Array, Array, Array]:
    """Draw (baseline_errors, system_errors, totals) with expected rates of 30 and 30 - gain %.

    The difficulty of an utterance is the same for both systems.
    """
    total = generator.integers(3, 12, utterances).astype(float)
    hard = generator.beta(3, 7, utterances)
    base = generator.binomial(total.astype(int), hard).astype(float)
    other = np.minimum(hard * (1 - gain / 30), 1)
    joint = generator.binomial(total.astype(int), other).astype(float)
    return base, joint, total


def test_coverage_of_the_speaker_interval() -> None:
    generator, runs = np.random.default_rng(0), 2000
    hits = 0
    for _ in range(runs):
        interval = stats.speaker_interval(speakers(generator))
        assert interval is not None
        hits += interval.low <= 25 <= interval.high
    assert 0.93 <= hits / runs <= 0.97, hits / runs
    assert stats.speaker_interval([3.0]) is None


def test_speaker_interval_by_hand() -> None:
    interval = stats.speaker_interval([1.0, 2.0, 3.0])
    assert interval == pytest.approx((2 - 4.302653 / math.sqrt(3), 2 + 4.302653 / math.sqrt(3)))


def test_coverage_of_the_utterance_interval() -> None:
    generator, runs, hits = np.random.default_rng(1), 400, 0
    for run in range(runs):
        base, _, total = pair(generator, 150, 0)
        interval = stats.utterance_interval(base, total, run, 500)
        hits += interval.low <= 30 <= interval.high
    assert 0.91 <= hits / runs <= 0.98, hits / runs


def test_intervals_agree_with_kaldialign() -> None:
    generator = np.random.default_rng(2)
    words = np.array(["A", "B", "C", "D", "E"])
    refs = [list(generator.choice(words, generator.integers(1, 12))) for _ in range(400)]

    def add_errors(ref: list[str], rate: float) -> list[str]:
        return [str(generator.choice(words)) if generator.random() < rate else w for w in ref]

    base, joint = ([add_errors(ref, rate) for ref in refs] for rate in (0.3, 0.25))

    def wrong(hyps: list[list[str]]) -> Array:
        pairs = zip(refs, hyps, strict=True)
        return np.array([kaldialign.edit_distance(r, h)["total"] for r, h in pairs], dtype=float)

    total = np.array([len(ref) for ref in refs], dtype=float)
    reference = kaldialign.bootstrap_wer_ci(refs, base, joint, replications=10000)
    for hyps, key in ((base, "system1"), (joint, "system2")):
        ours = stats.utterance_interval(wrong(hyps), total, 0)
        middle, half = reference[key]["wer"], reference[key]["ci95"]
        assert ours == pytest.approx((100 * (middle - half), 100 * (middle + half)), abs=0.35)
    ours = stats.difference_interval(wrong(joint), wrong(base), total, 0)
    worse = reference["p_s2_improv_over_s1"]
    assert (worse > 0.975) == (ours.low > 0)


def test_intervals_are_reproducible_and_narrower_if_paired() -> None:
    generator = np.random.default_rng(3)
    base, _, total = pair(generator, 300, 0)
    joint = np.maximum(base - generator.integers(0, 2, 300), 0)  # corrects one word here and there
    assert stats.utterance_interval(base, total, 0) == stats.utterance_interval(base, total, 0)
    paired = stats.difference_interval(base, joint, total, 0)
    unpaired = stats.utterance_interval(base, total, 0)
    assert 2 * (paired.high - paired.low) < unpaired.high - unpaired.low
    assert paired.low < stats_rate(joint, total) - stats_rate(base, total) < paired.high


def stats_rate(wrong: Array, total: Array) -> float:
    return float(100 * wrong.sum() / total.sum())


def rejections(name: str, gain: float, runs: int = 1000) -> float:
    """Return how often a test rejects at .05 if the system is better by ``gain`` points."""
    generator, rejected = np.random.default_rng(4), 0
    for _ in range(runs):
        base, joint, total = pair(generator, 400, gain)
        if name == "matched_pairs":
            p = stats.matched_pairs(base, joint)
        elif name == "mcnemar":
            p = stats.mcnemar((base > 2).astype(float), (joint > 2).astype(float))
        else:
            p = stats.non_inferiority(base, joint, total, 2.0)
        rejected += p < LEVEL
    return rejected / runs


@pytest.mark.slow
def test_size_and_power_of_matched_pairs() -> None:
    low, high = band(1000, LEVEL)
    assert low <= rejections("matched_pairs", 0) <= high
    assert rejections("matched_pairs", 4) > 0.9


@pytest.mark.slow
def test_size_and_power_of_mcnemar() -> None:
    """Exact tests of counts are conservative: they reject at most at .05."""
    assert 0.01 <= rejections("mcnemar", 0) <= band(1000, LEVEL)[1]
    assert rejections("mcnemar", 6) > 0.8


@pytest.mark.slow
def test_size_and_power_of_non_inferiority() -> None:
    low, high = band(1000, LEVEL)
    assert low <= rejections("non_inferiority", -2) <= high
    assert rejections("non_inferiority", 0) > 0.4
    assert rejections("non_inferiority", 2) > 0.9
    assert rejections("non_inferiority", -4) < 0.005


@pytest.mark.slow
def test_size_and_power_of_tests_over_speakers() -> None:
    generator, runs = np.random.default_rng(5), 1000
    for name, null, effect in (("sign_flip", 0.0, 1.5), ("non_inferiority", -2.0, 0.0)):
        shares = []
        for gain in (null, effect):
            rejected = 0
            for _ in range(runs):
                gains = list(generator.normal(gain, 1.5, 10))
                p = stats.sign_flip(gains) if name == "sign_flip" else None
                if name == "non_inferiority":
                    p = stats.speaker_non_inferiority(gains, 2.0)
                assert p is not None
                rejected += p < LEVEL
            shares.append(rejected / runs)
        low, high = band(runs, LEVEL)
        assert low <= shares[0] <= high, name
        assert shares[1] > 0.85, name


def test_sign_flip_equals_the_enumeration_of_all_signs() -> None:
    generator = np.random.default_rng(6)
    for count in (6, 8, 10):
        gains = generator.normal(0.5, 1, count).tolist()
        flips = itertools.product((-1, 1), repeat=count)
        sums = [sum(s * g for s, g in zip(signs, gains, strict=True)) for signs in flips]
        expected = np.mean([total >= sum(gains) - 1e-12 for total in sums])
        assert stats.sign_flip(gains) == pytest.approx(expected, abs=1e-12)
    assert stats.sign_flip([1.0] * 5) is None
    assert stats.sign_flip([1.0] * 6) == 1 / 64


def test_mcnemar_equals_statsmodels() -> None:
    generator = np.random.default_rng(7)
    for _ in range(50):
        base, joint = generator.integers(0, 2, (2, int(generator.integers(1, 60)))).astype(float)
        table = [[((base == i) & (joint == j)).sum() for j in (0, 1)] for i in (0, 1)]
        expected = statsmodels_mcnemar(table, exact=True).pvalue
        assert stats.mcnemar(base, joint) == pytest.approx(min(1.0, expected))


def test_holm_equals_statsmodels() -> None:
    generator = np.random.default_rng(8)
    for count in (1, 2, 14, 28):
        p_values = (generator.random(count) ** 3).tolist()
        expected = multipletests(p_values, method="holm")[1]
        assert stats.holm(p_values) == pytest.approx(list(expected))
        with_gaps = stats.holm([None, *p_values, None])
        assert with_gaps[1:-1] == pytest.approx(list(expected))
        assert with_gaps[0] is None and with_gaps[-1] is None
    assert stats.holm([]) == []


def test_matched_pairs_by_hand() -> None:
    """Differences 1, 0, 2, 1: mean 1, variance 2/3, z = 1 / sqrt(2/3/4) = 2.449."""
    base, joint = np.array([0.0, 1, 1, 0]), np.array([1.0, 1, 3, 1])
    assert stats.matched_pairs(base, joint) == pytest.approx(math.erfc(math.sqrt(6) / math.sqrt(2)))
    assert stats.matched_pairs(base, base) == 1.0


def test_non_inferiority_by_hand() -> None:
    """As matched pairs, with 10 % of the words subtracted from each difference."""
    base, joint, total = np.zeros(4), np.array([1.0, 0, 2, 1]), np.full(4, 10.0)
    z = (1 - 1) / math.sqrt(2 / 3 / 4)
    assert z == 0 and stats.non_inferiority(base, joint, total, 10) == 0.5
    z = (1 - 2) / math.sqrt(2 / 3 / 4)
    expected = 0.5 * math.erfc(-z / math.sqrt(2))
    assert stats.non_inferiority(base, joint, total, 20) == pytest.approx(expected)


def test_equal_or_too_few_values() -> None:
    same, total = np.ones(3), np.full(3, 4.0)
    assert stats.matched_pairs(same, same) == stats.mcnemar(same, same) == 1.0
    # equal differences: p value of the sign test
    assert stats.non_inferiority(same, same, total, 1.0) == 1 / 8
    assert stats.non_inferiority(same, same, total, 0.0) == 1.0
    assert stats.speaker_non_inferiority([0.0, 0.0], 1.0) == 1 / 4
    assert stats.matched_pairs(same, same + 1) == stats.matched_pairs(same + 1, same) == 1 / 4
    assert stats.speaker_non_inferiority([1.0], 1.0) is None
    assert stats.utterance_interval(same[:1], total[:1], 0) == (25.0, 25.0)
    empty = np.array([0.0, 3.0])  # a resample can have no words at all
    interval = stats.utterance_interval(np.ones(2), empty, 0, 1000)
    assert np.isfinite(interval).all()


def test_rates_equal_those_of_the_metrics() -> None:
    counts = [metrics.WordCounts(1, 0, 1, 4), metrics.WordCounts(0, 2, 0, 5)]
    wrong = np.array([c.errors for c in counts], dtype=float)
    total = np.array([c.ref_words for c in counts], dtype=float)
    assert stats_rate(wrong, total) == pytest.approx((counts[0] + counts[1]).wer)
