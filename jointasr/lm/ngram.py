"""n-gram language models with modified Kneser-Ney smoothing.

Chen and Goodman, "An empirical study of smoothing techniques for language modeling" (TR-10-98,
Harvard, 1998), section 3, interpolated. As in SRILM and KenLM, n-grams that begin with <s> keep
their own counts, since nothing precedes them, and unigrams are interpolated with the uniform
distribution over the vocabulary, in which <unk> stands for every word that is not in it.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from jointasr.utils.errors import DataError

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"
SPECIAL = (BEGIN, END, UNKNOWN)
FALLBACK = (0.5, 1.0, 1.5)
"""discounts where too few n-grams occur one to four times to estimate them, KenLM's"""
Gram = tuple[str, ...]


class NgramModel(NamedTuple):
    """Probabilities and backoffs of n-grams of every order."""

    probs: list[dict[Gram, float]]
    """by order - 1: probability of the last word after the ones before it"""
    backoffs: dict[Gram, float]
    """of a context: what a word not seen after it gets of its probability after the shorter one"""
    fallback: tuple[int, ...] = ()
    """orders whose discounts could not be estimated"""

    @property
    def order(self) -> int:
        return len(self.probs)

    @property
    def words(self) -> list[str]:
        """The vocabulary, without <s>, </s> and <unk>, sorted."""
        return sorted(word for (word,) in self.probs[0] if word not in SPECIAL)

    def prob(self, word: str, context: Sequence[str]) -> float:
        """Probability of a word, or </s>, after a context."""
        if (word,) not in self.probs[0]:
            word = UNKNOWN
        history = tuple(context)[max(0, len(context) - self.order + 1) :]
        share = 1.0
        while (gram := (*history, word)) not in self.probs[len(history)]:
            share *= self.backoffs.get(history, 1.0)
            history = history[1:]
        return share * self.probs[len(history)][gram]

    def log_prob(self, words: Sequence[str]) -> float:
        """Natural logarithm of the probability of a sentence, its end included."""
        line = (BEGIN, *words, END)
        return sum(math.log(self.prob(line[i], line[:i])) for i in range(1, len(line)))

    def perplexity(self, sentences: Iterable[Sequence[str]]) -> float:
        """Of words and sentence ends; empty sentences do not count, nan where all are."""
        texts = [words for words in sentences if words]
        places = sum(len(words) + 1 for words in texts)
        return math.exp(-sum(map(self.log_prob, texts)) / places) if places else math.nan


def estimate(sentences: Iterable[Sequence[str]], order: int) -> NgramModel:
    """The model of these sentences' words; empty sentences are passed over.

    Raises DataError where there is no word, or a word is one of the special ones.
    """
    assert order >= 1, order
    counts = _adjust(_count(sentences, order))
    vocabulary = sum(gram[0] != BEGIN for gram in counts[0]) + 1  # and <unk>
    probs: list[dict[Gram, float]] = []
    backoffs: dict[Gram, float] = {}
    fallback = []
    for size, table in enumerate(counts, 1):
        grams = {gram: n for gram, n in table.items() if gram != (BEGIN,)}
        discounts = _discounts(grams.values())
        if discounts is None:
            fallback.append(size)
        kept, shares = _discounted(grams, discounts or FALLBACK)
        lower = probs[-1] if probs else defaultdict[Gram, float](lambda: 1 / vocabulary)
        probs.append({g: kept[g] + shares[g[:-1]] * lower[g[1:]] for g in grams})
        if size == 1:
            probs[0][(UNKNOWN,)] = shares[()] / vocabulary
        else:
            backoffs |= shares
    return NgramModel(probs, backoffs, tuple(fallback))


def _discounted(
    grams: Mapping[Gram, int], discounts: Sequence[float]
) -> tuple[dict[Gram, float], dict[Gram, float]]:
    """What each n-gram keeps, and what each context gives away, as shares of all that follows."""
    totals: dict[Gram, int] = defaultdict(int)
    taken: dict[Gram, float] = defaultdict(float)
    for gram, n in grams.items():
        totals[gram[:-1]] += n
        taken[gram[:-1]] += discounts[min(n, 3) - 1]
    kept = {g: (n - discounts[min(n, 3) - 1]) / totals[g[:-1]] for g, n in grams.items()}
    return kept, {context: taken[context] / total for context, total in totals.items()}


def _count(sentences: Iterable[Sequence[str]], order: int) -> list[Counter[Gram]]:
    """Occurrences of the n-grams of each order."""
    counts: list[Counter[Gram]] = [Counter() for _ in range(order)]
    for words in sentences:
        for special in SPECIAL:
            if special in words:
                raise DataError(f"the text has the word {special}, which is not one: take it out")
        if words:
            line = (BEGIN, *words, END)
            for size, table in enumerate(counts, 1):
                table.update(line[start : start + size] for start in range(len(line) - size + 1))
    if not counts[0]:
        raise DataError("a language model needs text, and there is none")
    return counts


def _adjust(counts: list[Counter[Gram]]) -> list[dict[Gram, int]]:
    """Below the highest order, how many different words precede an n-gram."""
    adjusted: list[dict[Gram, int]] = []
    for table, longer in pairwise(counts):
        before = Counter(gram[1:] for gram in longer)
        adjusted.append({g: n if g[0] == BEGIN else before[g] for g, n in table.items()})
    return [*adjusted, dict(counts[-1])]


def _discounts(counts: Iterable[int]) -> tuple[float, ...] | None:
    """D1, D2 and D3+ (equation 26 of the report), None where they cannot be estimated so."""
    of = Counter(counts)
    if not all(of[n] for n in (1, 2, 3, 4)):
        return None
    y = of[1] / (of[1] + 2 * of[2])
    found = tuple(n - (n + 1) * y * of[n + 1] / of[n] for n in (1, 2, 3))
    # a discount of nothing would leave nothing for words not seen
    return found if all(0 < d <= n for n, d in enumerate(found, 1)) else None
