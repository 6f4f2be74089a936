"""Text normalization on hand-made pairs, and its invariants."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointasr.text.normalizer import LETTERS, check_letters, normalise, removed_characters

PAIRS = {
    "Good morning.": "GOOD MORNING",
    'I don\'t -- know... "really"?!': "I DON'T KNOW REALLY",
    "I don\u2019t, \u201ctruly\u201d\u2026": "I DON'T TRULY",
    "[LAUGHTER] Yes [BREATHING] no [GARBAGE]": "YES NO",
    "[LAUGHTER]": "",
    "[A] between [B]": "BETWEEN",  # a greedy pattern would lose the word
    "well\r\n then\tso": "WELL THEN SO",
    "na\u00efve caf\u00e9": "NA VE CAF",
    "co-worker": "CO WORKER",
    "it's 5 o'clock": "IT'S O'CLOCK",
    "lost [bracket": "LOST BRACKET",
    "": "",
}


@pytest.mark.parametrize("raw", PAIRS)
def test_hand_made_pairs(raw: str) -> None:
    assert normalise(raw) == PAIRS[raw]


@given(st.text())
def test_only_letters_apostrophes_and_single_blanks_remain(raw: str) -> None:
    text = normalise(raw)
    assert re.fullmatch(r"([A-Z']+( [A-Z']+)*)?", text)
    assert normalise(text) == text


GERMAN = "abcdefghijklmnopqrstuvwxyz\u00e4\u00f6\u00fc\u00df"
OTHERS = [
    (GERMAN, "Sch\u00f6ne Gr\u00fc\u00dfe, \u00c4RZTE!", "sch\u00f6ne gr\u00fc\u00dfe \u00e4rzte"),
    (GERMAN, "scho\u0308n", "sch\u00f6n"),  # decomposed accent
    (LETTERS, "Stra\u00dfe", "STRASSE"),  # upper case of ß
    ("\u0430\u0431\u0432", "\u0410 \u0431, \u0412!", "\u0430 \u0431 \u0432"),
    ("ABCabc", "aB d", "aB"),  # both cases: nothing is changed
    ("\u5929\u6c14", "\u5929\u6c14\u3002", "\u5929\u6c14"),  # no case at all
    (LETTERS + "0123456789", "at 5 o'clock", "AT 5 O'CLOCK"),
]


@pytest.mark.parametrize(("letters", "raw", "spelt"), OTHERS)
def test_other_alphabets(letters: str, raw: str, spelt: str) -> None:
    assert normalise(raw, letters) == spelt == normalise(spelt, letters)


def test_removed_characters() -> None:
    """Letters and digits, not punctuation or tags."""
    assert removed_characters("Caf\u00e9, no. 5! [\u00c5 TAG] caf\u00e9", LETTERS) == "5\u00e9"
    assert removed_characters("It's fine \u2013 really?", LETTERS) == ""


@pytest.mark.parametrize(
    ("letters", "why"),
    [
        ("ABA", "'A' occurs twice"),
        ("A B", "' ' is not a letter"),
        ("A|", "'|' is not a letter"),
        ("A'", "is not a letter"),
        ("", "at least one"),
    ],
)
def test_invalid_alphabets(letters: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        check_letters(letters)
    assert check_letters(GERMAN) == GERMAN


@given(st.text(), st.text(st.characters(categories=["L"]), min_size=1, max_size=30))
def test_only_the_alphabet_remains(raw: str, letters: str) -> None:
    assert set(normalise(raw, letters)) <= {*letters, "'", " "}
