"""Scores from pairs of reference and hypothesis: word errors, accuracies, Kaldi's lines.

Counts are kept, rates are derived: the word error rate of a corpus is the ratio of the sums, never
a mean over utterances, speakers or folds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import jiwer

from jointasr.data.datadir import BLANKS
from jointasr.utils.errors import DataError

Pair = tuple[str | None, str | None]
"""One step of an alignment: (reference word, hypothesis word), None where there is no word."""

ECE_BINS = 10
ECE_EDGES = [i / ECE_BINS for i in range(1, ECE_BINS)]

AS_WORDS = jiwer.Compose([jiwer.ReduceToListOfListOfWords(word_delimiter=" ")])
"""Split and nothing else: jiwer's default would also break words at other Unicode spaces."""


@dataclass(frozen=True)
class WordCounts:
    """Word errors of one utterance or of many; ``+`` pools them."""

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
        return self.sub + self.dele + self.ins

    @property
    def wer(self) -> float:
        """Per cent, 0 and up (over 100 with many insertions); nan without any reference word."""
        return 100.0 * self.errors / self.ref_words if self.ref_words else float("nan")


@dataclass(frozen=True)
class Confusion:
    """How often each reference emotion (row) was recognised as each emotion (column)."""

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
        return sum(map(sum, self.counts))

    @property
    def correct(self) -> int:
        return sum(row[i] for i, row in enumerate(self.counts))

    @property
    def wa(self) -> float:
        """Weighted accuracy, per cent: the share of all utterances that is right."""
        return 100.0 * self.correct / self.n if self.n else float("nan")

    @property
    def ua(self) -> float:
        """Unweighted accuracy, per cent: the mean recall of the emotions that were spoken."""
        recalls = [row[i] / sum(row) for i, row in enumerate(self.counts) if sum(row)]
        return 100.0 * sum(recalls) / len(recalls) if recalls else float("nan")

    @property
    def macro_f1(self) -> float:
        """Mean F1 in per cent over the emotions that were spoken or recognised."""
        scores = []
        for i, row in enumerate(self.counts):
            total = sum(row) + sum(other[i] for other in self.counts)
            if total:
                scores.append(2.0 * row[i] / total)
        return 100.0 * sum(scores) / len(scores) if scores else float("nan")


def align(references: Sequence[str], hypotheses: Sequence[str]) -> list[list[Pair]]:
    """Align the words of each pair at least edit distance; words end at blanks and tabs (Kaldi)."""
    assert len(references) == len(hypotheses)
    if not references:
        return []
    refs = [[word for word in BLANKS.split(text) if word] for text in references]
    hyps = [[word for word in BLANKS.split(text) if word] for text in hypotheses]
    output = jiwer.process_words(
        [" ".join(words) for words in refs],
        [" ".join(words) for words in hyps],
        reference_transform=AS_WORDS,
        hypothesis_transform=AS_WORDS,
    )
    alignments = []
    for ref, hyp, chunks in zip(refs, hyps, output.alignments, strict=True):
        pairs: list[Pair] = []
        for chunk in chunks:
            left = ref[chunk.ref_start_idx : chunk.ref_end_idx]
            right = hyp[chunk.hyp_start_idx : chunk.hyp_end_idx]
            if chunk.type == "delete":
                pairs += [(word, None) for word in left]
            elif chunk.type == "insert":
                pairs += [(None, word) for word in right]
            else:
                pairs += zip(left, right, strict=True)
        alignments.append(pairs)
    return alignments


def count(alignment: Iterable[Pair]) -> WordCounts:
    """Counts of one alignment; insertions against an empty reference count like any other."""
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
    """Confusion of (reference, hypothesis) emotions, all of which must be among ``labels``."""
    index = {label: i for i, label in enumerate(labels)}
    counts = [[0] * len(labels) for _ in labels]
    for ref, hyp in pairs:
        counts[index[ref]][index[hyp]] += 1
    return Confusion(tuple(labels), tuple(map(tuple, counts)))


def calibration_error(confidences: Sequence[float], correct: Sequence[bool]) -> float:
    """Expected calibration error in per cent (Guo et al., ICML 2017, equation 3).

    ``confidences`` are posteriors of the answers, 0 to 1, in bins of equal width, the upper end
    included; the error is the mean distance of confidence and accuracy, weighted by the bins.
    """
    assert len(confidences) == len(correct) > 0
    gaps = [0.0] * ECE_BINS
    for confidence, right in zip(confidences, correct, strict=True):
        gaps[bisect_left(ECE_EDGES, confidence)] += confidence - right
    return 100.0 * sum(map(abs, gaps)) / len(confidences)


def join(
    references: Mapping[str, str], hypotheses: Mapping[str, str], ref_file: object, hyp_file: object
) -> list[tuple[str, str, str]]:
    """(utterance, reference, hypothesis) sorted by utterance.

    Raises DataError when an utterance lacks a hypothesis or has one without a reference: a score
    over fewer utterances than asked for would look like a better one.
    """
    missing = references.keys() - hypotheses.keys()
    extra = hypotheses.keys() - references.keys()
    if missing:
        raise DataError(
            f"{hyp_file}: no hypothesis for {_some(missing)} of {ref_file}; decode this fold again"
        )
    if extra:
        raise DataError(
            f"{hyp_file}: {_some(extra)} not in {ref_file}: another fold's or test set's output?"
        )
    if not references:
        raise DataError(f"{ref_file}: no utterances to score")
    return [(utt, references[utt], hypotheses[utt]) for utt in sorted(references)]


def wer_line(counts: WordCounts) -> str:
    """Kaldi's line, e.g. ``%WER 15.02 [ 123 / 819, 3 ins, 12 del, 108 sub ]``."""
    return (
        f"%WER {counts.wer:.2f} [ {counts.errors} / {counts.ref_words}, "
        f"{counts.ins} ins, {counts.dele} del, {counts.sub} sub ]"
    )


def acc_line(confusion: Confusion) -> str:
    """The same for emotions, e.g. ``%ACC 71.90 [ 394 / 548, UA 70.12, macro-F1 69.80 ]``."""
    return (
        f"%ACC {confusion.wa:.2f} [ {confusion.correct} / {confusion.n}, "
        f"UA {confusion.ua:.2f}, macro-F1 {confusion.macro_f1:.2f} ]"
    )


def _some(utterances: Iterable[str], most: int = 5) -> str:
    """The first few ids and how many there are."""
    ids = sorted(utterances)
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return f"{len(ids)} utterance{'s' if len(ids) > 1 else ''} ({', '.join(ids[:most])}{more})"
