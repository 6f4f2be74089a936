"""The one text normaliser, for training and for scoring alike."""

import re
import unicodedata

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
APOSTROPHE = "'"  # part of words in any language
_TAG = re.compile(r"\[[^\]]*\]")
# Left and right single quotes, the reversed form, prime, modifier letter, full width.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u2032\u02bc\uff07", APOSTROPHE))


def normalise(raw: str, letters: str = LETTERS) -> str:
    """A transcript as words of ``letters`` and the apostrophe, separated by single spaces.

    Tags in square brackets ([LAUGHTER]) are deleted, typographic apostrophes become "'", what is
    not among the letters is written in the case that is (in capitals first), and everything else
    becomes a space. "" where nothing is left. Idempotent.
    """
    return " ".join("".join(_spelt(raw, letters)).split())


def unspelt(raw: str, letters: str) -> str:
    """The letters, marks and digits of ``raw`` that :func:`normalise` gives up, each once, sorted;
    punctuation is not among them."""
    composed = _composed(raw)
    lost = (
        character
        for character, spelt in zip(composed, _spelt(raw, letters), strict=True)
        if spelt == " " and unicodedata.category(character)[0] in "LMN"
    )
    return "".join(sorted(set(lost)))


def _composed(raw: str) -> str:
    """What is spelt: letters with their accents in one, without tags and signs that are not seen
    (soft hyphens, joiners), apostrophes plain."""
    seen = (c for c in unicodedata.normalize("NFC", raw) if unicodedata.category(c) != "Cf")
    return _TAG.sub("", "".join(seen).translate(_APOSTROPHES))


def check_letters(letters: str) -> str:
    """``letters`` with their accents in one, where they can be an alphabet: each once, no blank,
    none that has a meaning of its own. Raises ValueError otherwise."""
    letters = unicodedata.normalize("NFC", letters)
    for letter in letters:
        if unicodedata.category(letter)[0] not in "LMN":
            raise ValueError(f"{letter!r} is no letter or digit (apostrophe and space are known)")
        if letters.count(letter) > 1:
            raise ValueError(f"{letter!r} is there twice")
    if not letters:
        raise ValueError("at least one letter is needed")
    return letters


def _spelt(raw: str, letters: str) -> list[str]:
    """For each character how it is written, a space where it is not."""
    known = {*letters, APOSTROPHE}

    def spell(character: str) -> str:
        for form in (character, character.upper(), character.lower()):
            if known.issuperset(form):
                return form
        return " "

    return [spell(character) for character in _composed(raw)]
