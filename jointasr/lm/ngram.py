"""n-gram language models with modified Kneser-Ney smoothing.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (TR-10-98,
Harvard University, 1998), section 3, interpolated version. As in SRILM and KenLM, n-grams that
begin with <s> keep their raw counts, because no word precedes them, and unigrams are interpolated
with the uniform distribution over the vocabulary, which includes <unk> for all other words.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from jointasr.utils.errors import DataError

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
SPECIAL = (BEGIN, END, UNKNOWN)
FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""KenLM's, used if too few n-grams occur one to four times to estimate discounts"""
Gram = tuple[str, ...]


class NgramModel(NamedTuple):
    """Probabilities and backoff weights of n-grams of every order."""

    probs: list[dict[Gram, float]]
    """index n - 1: n-grams with the probability of the last word given the others"""
    backoffs: dict[Gram, float]
    """contexts with their backoff weights: factors of the probability given the shorter context"""
    fallback_orders: tuple[int, ...] = ()
    """orders estimated with FALLBACK_DISCOUNTS"""

    @property
    def order(self) -> int:
        """Maximum length of an n-gram."""
        return len(self.probs)

    @property
    def words(self) -> list[str]:
        """Sorted vocabulary without <s>, </s> and <unk>."""
        return sorted(word for (word,) in self.probs[0] if word not in SPECIAL)

    def prob(self, word: str, context: Sequence[str]) -> float:
        """Return the probability of a word, or </s>, after a context."""
        if (word,) not in self.probs[0]:
            word = UNKNOWN
        history = tuple(context)[max(0, len(context) - self.order + 1) :]
        backoff = 1.0
        while (gram := (*history, word)) not in self.probs[len(history)]:
            backoff *= self.backoffs.get(history, 1.0)
            history = history[1:]
        return backoff * self.probs[len(history)][gram]

    def log_prob(self, words: Sequence[str]) -> float:
        """Return the natural logarithm of the probability of a sentence, including its end."""
        line = (BEGIN, *words, END)
        return sum(math.log(self.prob(line[i], line[:i])) for i in range(1, len(line)))

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """Return the perplexity over words and sentence ends; empty sentences are excluded.

        nan if all sentences are empty.
        """
        texts = [words for words in sentences if words]
        tokens = sum(len(words) + 1 for words in texts)
        return math.exp(-sum(map(self.log_prob, texts)) / tokens) if tokens else math.nan


def estimate(sentences: Iterable[Sequence[str]], order: int) -> NgramModel:
    """Estimate a model from sentences, lists of words; empty sentences are ignored.

    Raises DataError if there are no words or a word is one of SPECIAL.
    """
    assert order >= 1, order
    counts = _adjusted_counts(_count_ngrams(sentences, order))
    vocabulary_size = sum(gram[0] != BEGIN for gram in counts[0]) + 1  # with <unk>
    probs: list[dict[Gram, float]] = []
    backoffs: dict[Gram, float] = {}
    fallback_orders = []
    for size, table in enumerate(counts, 1):
        grams = {gram: n for gram, n in table.items() if gram != (BEGIN,)}
        discounts = _discounts(grams.values())
        if discounts is None:
            fallback_orders.append(size)
        discounted, weights = _discount(grams, discounts or FALLBACK_DISCOUNTS)
        lower = probs[-1] if probs else defaultdict[Gram, float](lambda: 1 / vocabulary_size)
        probs.append({g: discounted[g] + weights[g[:-1]] * lower[g[1:]] for g in grams})
        if size == 1:
            probs[0][(UNKNOWN,)] = weights[()] / vocabulary_size
        else:
            backoffs |= weights
    return NgramModel(probs, backoffs, tuple(fallback_orders))


def _discount(
    grams: Mapping[Gram, int], discounts: Sequence[float]
) -> tuple[dict[Gram, float], dict[Gram, float]]:
    """Return the discounted probability of each n-gram and the interpolation weight of each context
    (section 3)."""
    totals: dict[Gram, int] = defaultdict(int)
    removed: dict[Gram, float] = defaultdict(float)
    for gram, n in grams.items():
        totals[gram[:-1]] += n
        removed[gram[:-1]] += discounts[min(n, 3) - 1]
    probs = {g: (n - discounts[min(n, 3) - 1]) / totals[g[:-1]] for g, n in grams.items()}
    return probs, {context: removed[context] / total for context, total in totals.items()}


def _count_ngrams(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    """Count the n-grams of each order."""
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for words in sentences:
        for special in SPECIAL:
            if special in words:
                raise DataError(f"the text has the word {special}, which is reserved: remove it")
        if words:
            line = (BEGIN, *words, END)
            for size, table in enumerate(counts, 1):
                table.update(line[start : start + size] for start in range(len(line) - size + 1))
    if not counts[0]:
        raise DataError("no text to estimate the language model from")
    return counts


def _adjusted_counts(counts: list[Counter[Gram]]) -> list[dict[Gram, int]]:
    """Replace the counts below the highest order by the number of distinct preceding words."""
    adjusted: list[dict[Gram, int]] = []
    for table, longer in pairwise(counts):
        preceding = Counter(gram[1:] for gram in longer)
        adjusted.append({g: n if g[0] == BEGIN else preceding[g] for g, n in table.items()})
    return [*adjusted, dict(counts[-1])]


def _discounts(counts: Iterable[int]) -> tuple[float, ...] | None:
    """Return D1, D2 and D3+ (equation 26 of Chen and Goodman), None if they cannot be estimated."""
    count_of_counts = Counter(counts)  # n-grams by their count
    if not all(count_of_counts[n] for n in (1, 2, 3, 4)):
        return None
    y = count_of_counts[1] / (count_of_counts[1] + 2 * count_of_counts[2])
    discounts = tuple(
        n - (n + 1) * y * count_of_counts[n + 1] / count_of_counts[n] for n in (1, 2, 3)
    )
    # without a discount unseen words would have probability zero
    return discounts if all(0 < d <= n for n, d in enumerate(discounts, 1)) else None
