"""Metrics of pairs of reference and hypothesis: word errors, accuracies, calibration error.

Counts are stored and rates are derived from them: the word error rate of a corpus is the ratio of
sums, not a mean over utterances, speakers or folds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import jiwer

from jointasr.data.datadir import BLANKS
from jointasr.utils.errors import DataError

Pair = tuple[str | None, str | None]
"""One step of an alignment: (reference word, hypothesis word), None for no word."""

ECE_BINS = 10
ECE_EDGES = [i / ECE_BINS for i in range(1, ECE_BINS)]

SPLIT_WORDS = jiwer.Compose([jiwer.ReduceToListOfListOfWords(word_delimiter=" ")])
"""split at single spaces only; the default of jiwer also splits at other Unicode spaces"""


@dataclass(frozen=True)
class WordCounts:
    """Word errors of one or more utterances; ``+`` adds counts."""

    sub: int = 0
    dele: int = 0
    ins: int = 0
    ref_words: int = 0

    def __add__(self, other: WordCounts) -> WordCounts:
        return WordCounts(
            self.sub + other.sub,
            self.dele + other.dele,
            self.ins + other.ins,
            self.ref_words + other.ref_words,
        )

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.sub + self.dele + self.ins

    @property
    def wer(self) -> float:
        """Word error rate, per cent; nan without reference words."""
        return 100.0 * self.errors / self.ref_words if self.ref_words else float("nan")


@dataclass(frozen=True)
class Confusion:
    """Counts of each reference emotion (row) and hypothesis emotion (column)."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    def __add__(self, other: Confusion) -> Confusion:
        assert self.labels == other.labels
        rows = zip(self.counts, other.counts, strict=True)
        return Confusion(
            self.labels,
            tuple(tuple(a + b for a, b in zip(x, y, strict=True)) for x, y in rows),
        )

    @property
    def n(self) -> int:
        """Number of utterances."""
        return sum(map(sum, self.counts))

    @property
    def correct(self) -> int:
        """Number of utterances recognized correctly."""
        return sum(row[i] for i, row in enumerate(self.counts))

    @property
    def wa(self) -> float:
        """Weighted accuracy, per cent: share of utterances recognized correctly."""
        return 100.0 * self.correct / self.n if self.n else float("nan")

    @property
    def ua(self) -> float:
        """Unweighted accuracy, per cent: mean recall of the emotions that occur as references."""
        recalls = [row[i] / sum(row) for i, row in enumerate(self.counts) if sum(row)]
        return 100.0 * sum(recalls) / len(recalls) if recalls else float("nan")

    @property
    def macro_f1(self) -> float:
        """Mean F1 score, per cent, over emotions that occur as reference or hypothesis."""
        scores = []
        for i, row in enumerate(self.counts):
            total = sum(row) + sum(other[i] for other in self.counts)
            if total:
                scores.append(2.0 * row[i] / total)
        return 100.0 * sum(scores) / len(scores) if scores else float("nan")


def align(references: Sequence[str], hypotheses: Sequence[str]) -> list[list[Pair]]:
    """Align the words of each pair with minimum edit distance.

    Words are separated by spaces and tabs, as in Kaldi. Returns one list of pairs per utterance.
    """
    assert len(references) == len(hypotheses)
    if not references:
        return []
    refs = [[word for word in BLANKS.split(text) if word] for text in references]
    hyps = [[word for word in BLANKS.split(text) if word] for text in hypotheses]
    output = jiwer.process_words(
        [" ".join(words) for words in refs],
        [" ".join(words) for words in hyps],
        reference_transform=SPLIT_WORDS,
        hypothesis_transform=SPLIT_WORDS,
    )
    alignments = []
    for ref, hyp, chunks in zip(refs, hyps, output.alignments, strict=True):
        pairs: list[Pair] = []
        for chunk in chunks:
            ref_words = ref[chunk.ref_start_idx : chunk.ref_end_idx]
            hyp_words = hyp[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "delete":
                pairs += [(word, None) for word in ref_words]
            elif chunk.type == "insert":
                pairs += [(None, word) for word in hyp_words]
            else:
                pairs += zip(ref_words, hyp_words, strict=True)
        alignments.append(pairs)
    return alignments


def count(alignment: Iterable[Pair]) -> WordCounts:
    """Count the word errors of one alignment, including insertions for an empty reference."""
    sub = dele = ins = words = 0
    for ref, hyp in alignment:
        words += ref is not None
        if ref is None:
            ins += 1
        elif hyp is None:
            dele += 1
        else:
            sub += ref != hyp
    return WordCounts(sub, dele, ins, words)


def confuse(pairs: Iterable[tuple[str, str]], labels: Sequence[str]) -> Confusion:
    """Return the confusion matrix of (reference, hypothesis) emotions, which are in ``labels``."""
    index = {label: i for i, label in enumerate(labels)}
    counts = [[0] * len(labels) for _ in labels]
    for ref, hyp in pairs:
        counts[index[ref]][index[hyp]] += 1
    return Confusion(tuple(labels), tuple(map(tuple, counts)))


def calibration_error(confidences: Sequence[float], correct: Sequence[bool]) -> float:
    """Return the expected calibration error, per cent.

    ECE = sum over bins of |B| / n * |acc(B) - conf(B)| (Guo et al., "On calibration of modern
    neural networks", ICML 2017, equation 3). ``confidences`` are the posteriors of the predictions,
    0 to 1; ten bins of equal width, each including its upper end.
    """
    assert len(confidences) == len(correct) > 0
    gaps = [0.0] * ECE_BINS
    for confidence, is_correct in zip(confidences, correct, strict=True):
        gaps[bisect_left(ECE_EDGES, confidence)] += confidence - is_correct
    return 100.0 * sum(map(abs, gaps)) / len(confidences)


def join(
    references: Mapping[str, str], hypotheses: Mapping[str, str], ref_file: object, hyp_file: object
) -> list[tuple[str, str, str]]:
    """Return (utterance, reference, hypothesis) sorted by utterance id.

    Raises DataError for an utterance without a hypothesis and for a hypothesis without a reference,
    because scores of different utterances cannot be compared.
    """
    missing = references.keys() - hypotheses.keys()
    extra = hypotheses.keys() - references.keys()
    if missing:
        raise DataError(
            f"{hyp_file}: no hypothesis for {_list_ids(missing)} of {ref_file}; "
            "decode this fold again"
        )
    if extra:
        raise DataError(
            f"{hyp_file}: {_list_ids(extra)} not in {ref_file}; is it the output of another "
            "fold or test set?"
        )
    if not references:
        raise DataError(f"{ref_file}: no utterances to score")
    return [(utt, references[utt], hypotheses[utt]) for utt in sorted(references)]


def _list_ids(utterances: Iterable[str], maximum: int = 5) -> str:
    """Return the number of utterances and the first few ids."""
    ids = sorted(utterances)
    more = f" and {len(ids) - maximum} more" if len(ids) > maximum else ""
    return f"{len(ids)} utterance{'s' if len(ids) > 1 else ''} ({', '.join(ids[:maximum])}{more})"
