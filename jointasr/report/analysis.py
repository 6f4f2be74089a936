"""What per-utterance scores say of cells and of pairs of systems: intervals and tests."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from jointasr.config.schema import Report
from jointasr.report import stats
from jointasr.report.stats import Interval
from jointasr.report.table import Cells
from jointasr.scoring import pooling, score_dir
from jointasr.scoring.score_dir import Score

Metric = Literal["wer", "acc"]
METRICS: dict[Metric, str] = {"wer": "WER", "acc": "Accuracy"}
Key = tuple[str, str, str]
"""system, training set, test"""
Scores = Mapping[Key, Score]


class Errors(NamedTuple):
    """Errors of a system, utterance by utterance in the order of their ids."""

    utterances: list[str]
    speakers: list[str]
    wrong: NDArray[np.float64]
    """word errors, or 1 for a wrong emotion, (N,)"""
    total: NDArray[np.float64]
    """reference words, or 1, (N,)"""

    @property
    def rate(self) -> float:
        """Per cent: WER, or 100 - accuracy."""
        return 100.0 * float(self.wrong.sum() / self.total.sum())

    def by_speaker(self) -> dict[str, float]:
        """The rate of each speaker who has a reference word, sorted by name."""
        names = np.array(self.speakers)
        sums = {name: (names == name) for name in sorted(set(self.speakers))}
        return {
            name: 100.0 * float(self.wrong[own].sum() / self.total[own].sum())
            for name, own in sums.items()
            if self.total[own].sum()
        }


class Estimate(NamedTuple):
    """A cell's value in per cent with 95 % intervals."""

    value: float
    these: Interval
    """for more speech of these speakers: bootstrap over utterances"""
    new: Interval | None
    """for other speakers: t over the speakers' values, around their mean"""


class Comparison(NamedTuple):
    """Joint system against baseline in one cell; gains in points, positive: joint is better."""

    metric: Metric
    train: str
    test: str
    base: float
    joint: float
    gain: float
    these: Interval
    new: Interval | None
    p: float
    """two-sided: matched pairs for WER, McNemar for accuracy; over utterances"""
    p_holm: float
    """the same, corrected for all cells of the metric"""
    p_speakers: float | None
    """one-sided sign flip over speakers: joint is better; None: too few speakers"""
    p_speakers_holm: float | None
    p_no_worse: float
    """one-sided over utterances: joint is not worse by the margin"""
    p_no_worse_speakers: float | None
    """the same over speakers"""

    def verdict(self, level: float) -> str:
        """What the corrected two-sided test and the margin say at this level."""
        if self.p_holm < level:
            return "better" if self.gain > 0 else "worse"
        return "no worse" if self.p_no_worse < level else "open"


def load_parts(cells: Cells, exp: Path) -> list[pooling.Part]:
    """The decode folders behind the cells, as far as they are still there."""
    return [part for cell in cells.all for part in pooling.parts_of(cell, exp)]


def load_scores(cells: Cells, exp: Path) -> dict[Key, Score]:
    """Scores of the cells all of whose folds are still there and scored."""
    scores = {}
    for cell in cells.all:
        parts = pooling.parts_of(cell, exp)
        if len(parts) == len(cell["folds"]):
            found = [(part, score_dir.load(part.data, part.decode)) for part in parts]
            scores[cell["system"], cell["train"], cell["test"]] = pooling.pooled(found)
    return scores


def errors(score: Score, metric: Metric) -> Errors | None:
    """A score's errors by utterance, None where the system has no such output."""
    if metric == "wer":
        pairs = {utt: (counts.errors, counts.ref_words) for utt, counts in score.words.items()}
    else:
        pairs = {utt: (int(ref != hyp), 1) for utt, (ref, hyp) in score.emotions.items()}
    if not pairs:
        return None
    names = sorted(pairs)
    values = np.array([pairs[name] for name in names], dtype=np.float64)
    return Errors(names, [score.facts[n].speaker for n in names], values[:, 0], values[:, 1])


def mean(many: Sequence[Errors]) -> Errors:
    """Errors averaged over runs or scenarios of the same utterances; the rate is the mean rate."""
    first = many[0]
    assert all(one.utterances == first.utterances for one in many)
    wrong = np.mean([one.wrong for one in many], axis=0)
    return first._replace(wrong=wrong)


def estimate(found: Errors, metric: Metric, conf: Report) -> Estimate:
    """A rate with its intervals; accuracies are given as such, not as error rates."""
    these = stats.utterance_interval(found.wrong, found.total, conf.seed, conf.resamples)
    new = stats.speaker_interval(list(found.by_speaker().values()))
    if metric == "wer":
        return Estimate(found.rate, these, new)
    return Estimate(100 - found.rate, _accuracy(these), new and _accuracy(new))


def gain(base: Errors, joint: Errors, conf: Report) -> Estimate:
    """Points by which ``joint`` has fewer errors, with intervals of the paired difference."""
    worse = stats.difference_interval(
        base.wrong, joint.wrong, base.total, conf.seed, conf.resamples
    )
    gains = list(speaker_gains(base, joint).values())
    these = Interval(-worse.high, -worse.low)
    return Estimate(base.rate - joint.rate, these, stats.speaker_interval(gains))


def speaker_gains(base: Errors, joint: Errors) -> dict[str, float]:
    """Gain of each speaker, points."""
    before, after = base.by_speaker(), joint.by_speaker()
    return {speaker: before[speaker] - after[speaker] for speaker in before}


def compare(
    scores: Scores,
    systems: tuple[str, str],
    metric: Metric,
    cells: Iterable[tuple[str, str]],
    conf: Report,
) -> list[Comparison]:
    """``systems`` (baseline, joint) in the (train, test) cells that both have on the same
    utterances; p values corrected by Holm over these."""
    found = []
    for train, test in cells:
        base, joint = (
            errors(scores[name, train, test], metric) if (name, train, test) in scores else None
            for name in systems
        )
        if base and joint and base.utterances == joint.utterances:
            found.append(_compare(base, joint, metric, train, test, conf))
    corrected = [p for p in stats.holm([one.p for one in found]) if p is not None]
    speakers = stats.holm([one.p_speakers for one in found])
    return [
        one._replace(p_holm=p, p_speakers_holm=q)
        for one, p, q in zip(found, corrected, speakers, strict=True)
    ]


def _compare(
    base: Errors, joint: Errors, metric: Metric, train: str, test: str, conf: Report
) -> Comparison:
    gained = gain(base, joint, conf)
    gains = list(speaker_gains(base, joint).values())
    test_pairs = stats.matched_pairs if metric == "wer" else stats.mcnemar
    p = test_pairs(base.wrong, joint.wrong)
    margin = conf.margin_wer if metric == "wer" else conf.margin_acc
    values = (base.rate, joint.rate)
    if metric == "acc":
        values = (100 - base.rate, 100 - joint.rate)
    return Comparison(
        metric,
        train,
        test,
        *values,
        gained.value,
        gained.these,
        gained.new,
        p,
        p,
        stats.sign_flip(gains),
        None,
        stats.no_worse(base.wrong, joint.wrong, base.total, margin),
        stats.speakers_no_worse(gains, margin),
    )


def _accuracy(interval: Interval) -> Interval:
    return Interval(100 - interval.high, 100 - interval.low)
