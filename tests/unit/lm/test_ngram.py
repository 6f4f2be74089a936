"""Modified Kneser-Ney smoothing against the formulas of Chen and Goodman in exact fractions."""

import itertools
import math
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointasr.lm import arpa, ngram
from jointasr.utils.errors import DataError

TEXT = [
    line.split() for line in ("a b a c", "b a", "a b a b", "c", "d a b", "a", "e f a", "b e a c")
]


def occurrences(text: list[list[str]], gram: tuple[str, ...]) -> int:
    return sum(
        tuple(line[i : i + len(gram)]) == gram
        for words in text
        if words
        for line in [["<s>", *words, "</s>"]]
        for i in range(len(line))
    )


class Exact:
    """Section 3 of Chen and Goodman (1998), computed directly from the text."""

    def __init__(self, text: list[list[str]], order: int) -> None:
        self.text, self.order = text, order
        self.symbols = [*sorted({w for words in text for w in words}), "</s>"]
        self.all = [*self.symbols, "<s>"]
        self.seen = {
            size: [g for g in itertools.product(self.all, repeat=size) if occurrences(text, g)]
            for size in range(1, order + 1)
        }

    def count(self, gram: tuple[str, ...]) -> int:
        if len(gram) == self.order or gram[0] == "<s>":
            return occurrences(self.text, gram)
        return sum((w, *gram) in self.seen[len(gram) + 1] for w in self.all)

    def discount(self, size: int, n: int) -> Fraction:
        grams = [g for g in self.seen[size] if g != ("<s>",)]
        of = {k: sum(self.count(g) == k for g in grams) for k in (1, 2, 3, 4)}
        if all(of.values()):
            y = Fraction(of[1], of[1] + 2 * of[2])
            found = [k - (k + 1) * y * Fraction(of[k + 1], of[k]) for k in (1, 2, 3)]
            if all(0 < d <= k for k, d in enumerate(found, 1)):
                return found[min(n, 3) - 1]
        return [Fraction(1, 2), Fraction(1), Fraction(3, 2)][min(n, 3) - 1]

    def prob(self, word: str, context: tuple[str, ...]) -> Fraction:
        size = len(context) + 1
        followers = {w: self.count((*context, w)) for w in self.symbols}
        total = sum(followers.values())
        lower = self.prob(word, context[1:]) if context else Fraction(1, len(self.symbols) + 1)
        if not total:
            return lower
        n = followers.get(word, 0)
        own = n - self.discount(size, n) if n else Fraction(0)
        taken = sum((self.discount(size, n) for n in followers.values() if n), Fraction(0))
        return own / total + taken / total * lower


@pytest.mark.parametrize("order", [1, 2, 3])
def test_every_probability(order: int) -> None:
    exact, model = Exact(TEXT, order), ngram.estimate(TEXT, order)
    contexts = [
        c for size in range(order) for c in itertools.product([*exact.all, "new"], repeat=size)
    ]
    for context in contexts:
        for word in [*exact.symbols, "new"]:
            expected = float(exact.prob(word, context))
            assert model.prob(word, context) == pytest.approx(expected, rel=1e-12), (context, word)


words = st.lists(st.lists(st.sampled_from("abcde"), max_size=6), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(words, st.integers(1, 4))
def test_sums_are_one(text: list[list[str]], order: int) -> None:
    if not any(text):
        with pytest.raises(DataError, match="no text to estimate"):
            ngram.estimate(text, order)
        return
    model = ngram.estimate(text, order)
    symbols = [*model.words, "</s>", "<unk>"]
    for context in [(), ("<s>",), ("a", "b"), ("<s>", "c"), ("x", "y", "z"), ("a", "a", "e")]:
        assert math.fsum(model.prob(w, context) for w in symbols) == pytest.approx(1, abs=1e-12)


def model_of(order: int) -> ngram.NgramModel:
    return ngram.estimate(TEXT, order)


@pytest.mark.parametrize("order", [1, 3])
def test_arpa_is_read_back(tmp_path: Path, order: int) -> None:
    model, path = model_of(order), tmp_path / "lm.arpa"
    arpa.write(path, model)
    again = arpa.read(path)
    assert again.words == model.words and again.order == order
    for words in (["a", "b", "a"], ["f", "f", "new"], []):
        assert again.log_prob(words) == pytest.approx(model.log_prob(words), rel=1e-6)


def test_arpa_library_gives_the_same_scores(tmp_path: Path) -> None:
    other = pytest.importorskip("arpa")
    model, path = model_of(3), tmp_path / "lm.arpa"
    arpa.write(path, model)
    (loaded,) = other.loadf(str(path))
    for words in (["a", "b", "a", "c"], ["e", "f", "a", "b"], ["c", "c", "d", "a"], ["a"]):
        expected = model.log_prob(words) / math.log(10)
        assert loaded.log_s(" ".join(words)) == pytest.approx(expected, rel=1e-6)


def test_perplexity_of_a_known_sentence_is_near_one() -> None:
    model = ngram.estimate([["a", "b", "c"]] * 400 + [["x"], ["x"], ["y"]], 3)
    assert 1 < model.perplexity([["a", "b", "c"], []]) < 1.05
    assert math.isnan(model.perplexity([[]]))


@pytest.mark.parametrize("word", ["<s>", "</s>", "<unk>"])
def test_special_words_in_the_text_are_refused(word: str) -> None:
    with pytest.raises(DataError, match=f"has the word {word}"):
        ngram.estimate([["a", word]], 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("\\end\\", ""), "is the file truncated"),
        (lambda text: text.replace("ngram 1=9", "ngram 1=8"), r"header has \[8,"),
        (lambda text: text.replace("\t<unk>", "\t<unx>"), "no <unk>"),
        (lambda text: text.replace("\\2-grams:", "\\3-grams:"), "not a line of an ARPA file"),
        (lambda text: re.sub(r"\n-\S+\ta b\n", "\nmany\ta b\n", text), "not a line of an ARPA"),
        (lambda text: "", "is the file truncated"),
    ],
)
def test_damaged_files_are_named(
    tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    path = tmp_path / "lm.arpa"
    arpa.write(path, model_of(2))
    changed = change(path.read_text())
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(DataError, match=rf"{path}.*{message}"):
        arpa.read(path)
