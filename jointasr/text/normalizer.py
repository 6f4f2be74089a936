"""Text normalization, the same for training and scoring."""

import re
import unicodedata

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
APOSTROPHE = "'"
"""allowed in words with any alphabet"""
_TAG = re.compile(r"\[[^\]]*\]")
# Left and right single quotes, the reversed form, prime, modifier letter, full width.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u2032\u02bc\uff07", APOSTROPHE))


def normalise(raw: str, letters: str = LETTERS) -> str:
    """Return a transcript as words of ``letters`` and apostrophes, separated by single spaces.

    Tags in square brackets ([LAUGHTER]) are deleted, typographic apostrophes become "'", characters
    not in ``letters`` are converted to upper or lower case if that is in ``letters`` (upper case is
    tried first) and replaced by a space otherwise. The result may be empty. Idempotent.
    """
    return " ".join("".join(_spell(raw, letters)).split())


def removed_characters(raw: str, letters: str) -> str:
    """Return the letters, marks and digits that :func:`normalise` removes, sorted, each once.

    Punctuation is not included.
    """
    removed = (
        character
        for character, spelling in zip(_compose(raw), _spell(raw, letters), strict=True)
        if spelling == " " and unicodedata.category(character)[0] in "LMN"
    )
    return "".join(sorted(set(removed)))


def _compose(raw: str) -> str:
    """Return ``raw`` in NFC with plain apostrophes, without tags and format characters (soft
    hyphens, joiners)."""
    visible = (c for c in unicodedata.normalize("NFC", raw) if unicodedata.category(c) != "Cf")
    return _TAG.sub("", "".join(visible).translate(_APOSTROPHES))


def check_letters(letters: str) -> str:
    """Return an alphabet in NFC.

    Raises ValueError for duplicates, and for characters other than letters, marks and digits.
    """
    letters = unicodedata.normalize("NFC", letters)
    for letter in letters:
        if unicodedata.category(letter)[0] not in "LMN":
            raise ValueError(
                f"{letter!r} is not a letter or digit (apostrophe and space are implied)"
            )
        if letters.count(letter) > 1:
            raise ValueError(f"{letter!r} occurs twice")
    if not letters:
        raise ValueError("at least one letter is needed")
    return letters


def _spell(raw: str, letters: str) -> list[str]:
    """Return the spelling of each character of ``_compose(raw)``, a space for removed ones."""
    known = {*letters, APOSTROPHE}

    def spell(character: str) -> str:
        for form in (character, character.upper(), character.lower()):
            if known.issuperset(form):
                return form
        return " "

    return [spell(character) for character in _compose(raw)]
