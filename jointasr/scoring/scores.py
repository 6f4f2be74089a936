"""Scores per utterance of a decode folder or of several, and groupings of utterances."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from jointasr.scoring import metrics
from jointasr.scoring.metrics import Confusion, WordCounts


class UtteranceInfo(NamedTuple):
    """Properties that utterances are grouped by; "" if unknown."""

    speaker: str
    emotion: str = ""
    """reference emotion"""
    style: str = ""
    """improvised or scripted"""


class Grouping(NamedTuple):
    """A property by which utterances are grouped."""

    name: str
    """in results.json: by_<name>"""
    file_name: str
    """name of the score file, as in Kaldi"""
    key: Callable[[UtteranceInfo], str]


GROUPINGS = (
    Grouping("speaker", "per_spk", lambda info: info.speaker),
    Grouping("emotion", "per_emo", lambda info: info.emotion),
    Grouping("style", "per_style", lambda info: info.style),
)


@dataclass(frozen=True)
class UtteranceScores:
    """Word errors and emotions per utterance id; ``+`` joins the scores of different folds.

    Utterances without a reference transcript are not in ``words``, those without a reference
    emotion not in ``emotions`` and ``posteriors``.
    """

    utterances: dict[str, UtteranceInfo]
    words: dict[str, WordCounts] = field(default_factory=dict)
    emotions: dict[str, tuple[str, str]] = field(default_factory=dict)
    """(reference, hypothesis)"""
    posteriors: dict[str, list[float]] = field(default_factory=dict)
    """posteriors of the emotions, in the order of ``labels``"""
    labels: tuple[str, ...] = ()

    def __add__(self, other: UtteranceScores) -> UtteranceScores:
        assert not self.utterances.keys() & other.utterances.keys()
        assert not self.labels or not other.labels or self.labels == other.labels
        return UtteranceScores(
            self.utterances | other.utterances,
            self.words | other.words,
            self.emotions | other.emotions,
            self.posteriors | other.posteriors,
            self.labels or other.labels,
        )

    def subset(self, utterances: Collection[str]) -> UtteranceScores:
        """Return the scores of the given utterances."""
        ids = set(utterances)
        return UtteranceScores(
            {utt: value for utt, value in self.utterances.items() if utt in ids},
            {utt: value for utt, value in self.words.items() if utt in ids},
            {utt: value for utt, value in self.emotions.items() if utt in ids},
            {utt: value for utt, value in self.posteriors.items() if utt in ids},
            self.labels,
        )

    def group_by(self, key: Callable[[UtteranceInfo], str]) -> dict[str, UtteranceScores]:
        """Return the scores of each group, sorted by its name; skip utterances with the key ""."""
        groups: dict[str, list[str]] = {}
        for utt, info in self.utterances.items():
            groups.setdefault(key(info), []).append(utt)
        return {name: self.subset(groups[name]) for name in sorted(groups) if name}

    @property
    def counts(self) -> WordCounts | None:
        """Sum of the word counts, None without any transcript."""
        return sum(self.words.values(), WordCounts()) if self.words else None

    @property
    def confusion(self) -> Confusion | None:
        """Confusion matrix over all utterances, None without any emotion."""
        return metrics.confuse(self.emotions.values(), self.labels) if self.emotions else None

    @property
    def ece(self) -> float | None:
        """Expected calibration error of the emotion posteriors, per cent; None without any."""
        if not self.posteriors:
            return None
        pairs = [self.emotions[utt] for utt in self.posteriors]
        return metrics.calibration_error(
            [max(row) for row in self.posteriors.values()], [ref == hyp for ref, hyp in pairs]
        )
