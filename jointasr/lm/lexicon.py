"""How the words of a language model are written in units, and as a transducer from units to words.

Units may be characters, with a separator between words, or pieces, which mark a word's beginning
themselves. As in Kaldi a sequence of units that begins another word's, or is another word's too,
gets a disambiguation symbol at its end, without which L o G could not be determinized (Mohri,
Pereira and Riley 2002, "Weighted finite-state transducers in speech recognition", section 3).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from jointasr.text.lang import Units

EPSILON = 0
Spellings = Mapping[str, Sequence[int]]


class Lexicon(NamedTuple):
    """Words with their spellings; ids of words are their places, from 1."""

    words: list[str]
    spellings: dict[str, list[int]]
    separator: int | None
    """unit between words, None where units mark beginnings"""
    units: int
    """ids of units are below; disambiguation symbols begin here, #0 first"""

    @property
    def backoff(self) -> int:
        """Id of #0 among the words."""
        return len(self.words) + 1

    def text(self, ids: Sequence[int]) -> str:
        """Words of ids, blank between."""
        return " ".join(self.words[index - 1] for index in ids)


def build(words: Sequence[str], units: Units) -> Lexicon:
    """The lexicon of these words. Raises DataError naming a word that cannot be written."""
    spellings = {word: units.encode(word) for word in words}
    return Lexicon(list(words), spellings, units.separator, units.size)


def disambiguated(spellings: Spellings, first: int) -> dict[str, list[int]]:
    """Spellings, none a prefix of another: symbols from ``first`` on are added where needed."""
    count = Counter(tuple(ids) for ids in spellings.values())
    begun = {tuple(ids[:n]) for ids in spellings.values() for n in range(1, len(ids))}
    used: Counter[tuple[int, ...]] = Counter()
    found = {}
    for word, ids in spellings.items():
        key = tuple(ids)
        ending = []
        if count[key] > 1 or key in begun:
            ending = [first + used[key]]
            used[key] += 1
        found[word] = [*ids, *ending]
    return found


def transducer(lexicon: Lexicon) -> str:
    """L in k2's text format: words with one separator between them, or none; #0 after any word
    and at the start, where G may back off."""
    start, after, before = (0, 1, 2) if lexicon.separator is not None else (0, 0, 0)
    arcs: list[tuple[int, int, int, int]] = []
    for state in {start, after}:
        arcs.append((state, state, lexicon.units, lexicon.backoff))
    if lexicon.separator is not None:
        arcs.append((after, before, lexicon.separator, EPSILON))
    free = before + 1
    spelled = disambiguated(lexicon.spellings, lexicon.units + 1)
    for word_id, word in enumerate(lexicon.words, 1):
        ids = spelled[word]
        way = [*range(free, free + len(ids) - 1), after]
        free += len(way) - 1
        for source in {start, before}:  # the start has no separator behind it
            arcs.append((source, way[0], ids[0], word_id))
        for (source, target), unit in zip(pairwise(way), ids[1:], strict=True):
            arcs.append((source, target, unit, EPSILON))
    arcs += [(state, free, -1, -1) for state in {start, after}]
    lines = [f"{a} {b} {unit} {word} 0" for a, b, unit, word in sorted(arcs)]
    return "\n".join([*lines, str(free)])
