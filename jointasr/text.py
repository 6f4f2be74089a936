"""The one text normaliser, for training and for scoring alike."""

import re

_TAG = re.compile(r"\[[^\]]*\]")
_OTHER = re.compile(r"[^A-Z']+")
# Left and right single quotes, the reversed form, prime, modifier letter, full width.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u201b\u2032\u02bc\uff07", "'"))


def normalise(raw: str) -> str:
    """A transcript as words of A-Z and the apostrophe, separated by single spaces.

    Tags in square brackets ([LAUGHTER]) are deleted, typographic apostrophes become "'", letters
    become capitals, and everything else a space. "" where nothing is left. Idempotent.
    """
    text = raw.translate(_APOSTROPHES).upper()
    return " ".join(_OTHER.sub(" ", _TAG.sub("", text)).split())
