"""The normaliser, against hand-made pairs and its own invariants."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointasr.text import normalise

PAIRS = {
    "Good morning.": "GOOD MORNING",
    "I don't -- know... \"really\"?!": "I DON'T KNOW REALLY",
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
