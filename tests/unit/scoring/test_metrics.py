"""Metrics against brute-force edit distance, scikit-learn, kaldialign and values by hand."""

import math
import random
from functools import lru_cache

import kaldialign
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from jointasr.scoring.metrics import (
    WordCounts,
    align,
    calibration_error,
    confuse,
    count,
    join,
)
from jointasr.utils.errors import DataError

WORDS = ["a", "b", "'", "<unk>", "Ä", "%WER", "***", "x\u00a0y"]
texts = st.lists(st.sampled_from(WORDS), max_size=7).map(" ".join)


def words(text: str) -> list[str]:
    return text.split(" ") if text else []


def edit_distance(ref: tuple[str, ...], hyp: tuple[str, ...]) -> int:
    """Recursive definition of the edit distance."""

    @lru_cache(None)
    def distance(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        return min(
            distance(i - 1, j) + 1,
            distance(i, j - 1) + 1,
            distance(i - 1, j - 1) + (ref[i - 1] != hyp[j - 1]),
        )

    return distance(len(ref), len(hyp))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
def test_alignments_are_shortest_and_complete(pairs: list[tuple[str, str]]) -> None:
    alignments = align([r for r, _ in pairs], [h for _, h in pairs])
    for (ref, hyp), alignment in zip(pairs, alignments, strict=True):
        assert [r for r, _ in alignment if r is not None] == words(ref)
        assert [h for _, h in alignment if h is not None] == words(hyp)
        counts = count(alignment)
        assert counts.errors == edit_distance(tuple(words(ref)), tuple(words(hyp)))
        assert counts.ins - counts.dele == len(words(hyp)) - len(words(ref))
        assert counts.ref_words == len(words(ref))


def test_empty_references_and_hypotheses_count() -> None:
    alignments = align(["", "", "a b", "a"], ["x y", "", "", "a"])
    assert [count(a) for a in alignments] == [
        WordCounts(ins=2),
        WordCounts(),
        WordCounts(dele=2, ref_words=2),
        WordCounts(ref_words=1),
    ]
    total = sum(map(count, alignments), WordCounts())
    assert total == WordCounts(dele=2, ins=2, ref_words=3)
    assert total.wer == pytest.approx(400 / 3)
    assert math.isnan(WordCounts(ins=2).wer)
    assert align([], []) == []


def test_corpus_wer_is_not_the_mean_of_utterances() -> None:
    alignments = align(["a", "a b c d e f g h i"], ["b", "a b c d e f g h i"])
    assert sum(map(count, alignments), WordCounts()).wer == pytest.approx(10.0)


@pytest.mark.parametrize("seed", range(20))
def test_accuracies_agree_with_scikit_learn(seed: int) -> None:
    rng = random.Random(seed)
    labels = ["ang", "hap", "neu", "sad"]
    present = labels[: rng.randint(1, 4)]
    refs = [rng.choice(present) for _ in range(rng.randint(1, 60))]
    hyps = [r if rng.random() < 0.5 else rng.choice(present) for r in refs]
    confusion = confuse(zip(refs, hyps, strict=True), labels)
    assert [list(row) for row in confusion.counts] == sk.confusion_matrix(
        refs, hyps, labels=labels
    ).tolist()
    assert confusion.wa == pytest.approx(100 * sk.accuracy_score(refs, hyps))
    recall = sk.recall_score(refs, hyps, labels=sorted(set(refs)), average="macro", zero_division=0)
    assert confusion.ua == pytest.approx(100 * recall)
    f1 = sk.f1_score(refs, hyps, average="macro", zero_division=0)
    assert confusion.macro_f1 == pytest.approx(100 * f1)


def test_confusion_matrices_add_up() -> None:
    first = confuse([("a", "a"), ("a", "b")], ["a", "b"])
    second = confuse([("b", "b")], ["a", "b"])
    assert (first + second).counts == ((1, 1), (0, 1))
    assert (first + second).n == 3
    assert (first + second).wa == pytest.approx(200 / 3)


def test_join_is_by_id_and_refuses_gaps() -> None:
    assert join({"b": "x", "a": "y"}, {"a": "1", "b": "2"}, "ref", "hyp") == [
        ("a", "y", "1"),
        ("b", "x", "2"),
    ]
    with pytest.raises(DataError, match=r"dec/text: no hypothesis for 1 utterance \(u2\).*ref/t"):
        join({"u1": "", "u2": ""}, {"u1": ""}, "ref/text", "dec/text")
    with pytest.raises(DataError, match=r"dec/text: 2 utterances \(u2, u3\) not in ref/text"):
        join({"u1": ""}, {"u1": "", "u2": "", "u3": ""}, "ref/text", "dec/text")
    many = {f"u{i}": "" for i in range(9)}
    with pytest.raises(DataError, match=r"9 utterances \(u0, u1, u2, u3, u4 and 4 more\)"):
        join(many, {}, "ref/text", "dec/text")
    with pytest.raises(DataError, match="no utterances"):
        join({}, {}, "ref/text", "dec/text")


def test_calibration_error_by_hand_and_by_brute_force() -> None:
    assert calibration_error([1.0] * 10, [True] * 7 + [False] * 3) == pytest.approx(30)
    assert calibration_error([0.8] * 5, [True] * 4 + [False]) == pytest.approx(0)
    assert calibration_error([0.25, 0.75], [True, False]) == pytest.approx(75)
    generator = np.random.default_rng(0)
    confidences = [*generator.random(500).tolist(), 0.1, 0.2, 0.7, 1.0, 0.0]
    correct = [bool(x) for x in generator.integers(0, 2, len(confidences))]
    expected = 0.0
    for b in range(10):
        in_bin = [
            (p, c)
            for p, c in zip(confidences, correct, strict=True)
            if b / 10 < p <= (b + 1) / 10 or (b == 0 and p == 0)
        ]
        if in_bin:
            accuracy = sum(c for _, c in in_bin) / len(in_bin)
            confidence = sum(p for p, _ in in_bin) / len(in_bin)
            expected += len(in_bin) / len(confidences) * abs(accuracy - confidence)
    assert calibration_error(confidences, correct) == pytest.approx(100 * expected)


def test_total_errors_equal_those_of_kaldialign_on_5000_pairs() -> None:
    """Alignments may differ; the number of errors and ins - del may not."""
    generator = random.Random(1)
    tokens = [*WORDS, "A", "a.", "-", "\u00df", "1", "(", "%"]

    def text() -> list[str]:
        kinds = tokens[: generator.randint(1, len(tokens))]
        return generator.choices(kinds, k=generator.randint(0, 12))

    pairs = [(text(), text()) for _ in range(5000)]
    aligned = align([" ".join(ref) for ref, _ in pairs], [" ".join(hyp) for _, hyp in pairs])
    total = WordCounts()
    for (ref, hyp), alignment in zip(pairs, aligned, strict=True):
        counts = count(alignment)
        expected_counts = kaldialign.edit_distance(ref, hyp)
        assert counts.errors == expected_counts["total"], (ref, hyp)
        assert counts.ins - counts.dele == len(hyp) - len(ref)
        total += counts
    assert total.ref_words == sum(len(ref) for ref, _ in pairs)
    assert sum(ref == [] for ref, _ in pairs) > 100 and sum(hyp == [] for _, hyp in pairs) > 100
