"""Lexicon: spellings of words in units, also as a transducer from units to words.

Units are characters with a separator between words, or pieces that mark the beginning of a word. As
in Kaldi, a spelling that is a prefix of another word's spelling, or equal to it, gets a
disambiguation symbol at its end, without which L o G could not be determinized (Mohri, Pereira and
Riley 2002, "Weighted finite-state transducers in speech recognition", section 3).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from jointasr.text.lang import Units

EPSILON = 0
Spellings = Mapping[str, Sequence[int]]


class Lexicon(NamedTuple):
    """Words and their spellings; the id of a word is its position, from 1."""

    words: list[str]
    spellings: dict[str, list[int]]
    separator: int | None
    """unit between words; None if units mark the beginning of words"""
    num_units: int
    """number of units, and id of the first disambiguation symbol, #0"""

    @property
    def backoff_id(self) -> int:
        """Word id of #0."""
        return len(self.words) + 1

    def text(self, ids: Sequence[int]) -> str:
        """Return the words of word ids (from 1), separated by spaces."""
        return " ".join(self.words[index - 1] for index in ids)


def build(words: Sequence[str], units: Units) -> Lexicon:
    """Build a lexicon. Raises DataError naming a word that cannot be spelled in ``units``."""
    spellings = {word: units.encode(word) for word in words}
    return Lexicon(list(words), spellings, units.separator, units.size)


def disambiguate(spellings: Spellings, first: int) -> dict[str, list[int]]:
    """Append disambiguation symbols (ids from ``first`` on) so that no spelling is a prefix of
    another."""
    count = Counter(tuple(ids) for ids in spellings.values())
    prefixes = {tuple(ids[:n]) for ids in spellings.values() for n in range(1, len(ids))}
    used: Counter[tuple[int, ...]] = Counter()
    result = {}
    for word, ids in spellings.items():
        key = tuple(ids)
        symbols = []
        if count[key] > 1 or key in prefixes:
            symbols = [first + used[key]]
            used[key] += 1
        result[word] = [*ids, *symbols]
    return result


def fst_text(lexicon: Lexicon) -> str:
    """Return L in the text format of k2.

    Words are separated by the separator, if there is one; #0 is accepted at the start and after
    each word, where G may back off.
    """
    start, after, before = (0, 1, 2) if lexicon.separator is not None else (0, 0, 0)
    arcs: list[tuple[int, int, int, int]] = []
    for state in {start, after}:
        arcs.append((state, state, lexicon.num_units, lexicon.backoff_id))
    if lexicon.separator is not None:
        arcs.append((after, before, lexicon.separator, EPSILON))
    next_state = before + 1
    spellings = disambiguate(lexicon.spellings, lexicon.num_units + 1)
    for word_id, word in enumerate(lexicon.words, 1):
        ids = spellings[word]
        states = [*range(next_state, next_state + len(ids) - 1), after]
        next_state += len(states) - 1
        for source in {start, before}:  # no separator before the first word
            arcs.append((source, states[0], ids[0], word_id))
        for (source, target), unit in zip(pairwise(states), ids[1:], strict=True):
            arcs.append((source, target, unit, EPSILON))
    arcs += [(state, next_state, -1, -1) for state in {start, after}]
    lines = [f"{a} {b} {unit} {word} 0" for a, b, unit, word in sorted(arcs)]
    return "\n".join([*lines, str(next_state)])
