"""The texts of the mini corpus: a small grammar, and a lexicon of emotional phrases.

The vocabulary has about 120 words. Words indicate valence (positive or negative phrases) and the
voice indicates arousal (see :mod:`local.mini.emotion`), so that neither is sufficient. Texts are
lower-case, for the synthesizer; ``decorate`` returns a mixed-case transcript with tags, quotes and
punctuation, which :func:`jointasr.text.normalizer.normalise` must map back to the same words.
"""

import numpy as np

Rng = np.random.Generator

SLOTS = {
    "who": (
        "i",
        "you",
        "we",
        "they",
        "my brother",
        "my sister",
        "your father",
        "your mother",
        "the doctor",
        "a friend",
    ),
    "did": ("left", "found", "took", "bought", "saw", "moved", "sold", "lost", "kept", "wanted"),
    "what": (
        "the car",
        "the house",
        "the letter",
        "the ticket",
        "the dog",
        "the money",
        "the keys",
        "a picture",
        "a table",
        "some coffee",
    ),
    "where": (
        "at the station",
        "in the kitchen",
        "near the river",
        "in the garden",
        "on the train",
        "at school",
        "in the office",
    ),
    "when": (
        "this morning",
        "last night",
        "on monday",
        "yesterday",
        "before dinner",
        "after work",
        "last summer",
    ),
    "well": ("well", "okay", "you know", "listen", "maybe"),
}
SHORT = (
    "{who} {did} {what}",
    "{well} {who} {did} {what}",
    "where is {what}",
    "did you see {what}",
    "it's {where}",
    "{who} {did} it {when}",
    "i'll bring {what}",
)
LONG = (
    "{who} {did} {what} {when}",
    "{who} {did} {what} {where}",
    "{well} {who} {did} {what} {when}",
    "did {who} see {what} {where}",
    "i don't know where {what} is",
    "{when} {who} {did} {what} {where}",
    "i'll bring {what} and {what}",
    "it's {where} and {who} {did} it {when}",
)
LEXICON = {
    "pos": (
        "i'm so happy",
        "that's wonderful",
        "what a great day",
        "i love it",
        "this is amazing",
        "we did it",
    ),
    "neg": ("i can't believe this", "it's not fair", "that's terrible", "i hate this"),
    "ang": ("leave me alone", "stop lying to me", "get out of here"),
    "sad": ("i'm so sorry", "i miss him", "it hurts so much"),
}
EMOTIONAL = 0.6
"""share of the emotional utterances with a phrase of their emotion"""
NEGATIVE = 0.6
"""share of the phrases of angry and sad utterances from the common list"""
MISLEADING = 0.2
"""share of all other utterances with a phrase of a random emotion"""


def _pick(rng: Rng, options: tuple[str, ...]) -> str:
    return options[int(rng.random() * len(options))]


def _fill(rng: Rng, frame: str) -> str:
    """Replace the slots of a sentence frame by random options."""
    words = []
    for word in frame.split():
        name = word.strip("{}")
        words.append(_pick(rng, SLOTS[name]) if word != name else word)
    return " ".join(words)


def phrase_kind(rng: Rng, emotion: str) -> str:
    """Draw the key in LEXICON of an utterance's phrase, "" for no phrase."""
    kind = {"hap": "pos", "ang": "ang", "sad": "sad"}.get(emotion, "")
    if kind and rng.random() < EMOTIONAL:
        return "neg" if kind != "pos" and rng.random() < NEGATIVE else kind
    return _pick(rng, tuple(LEXICON)) if rng.random() < MISLEADING else ""


def sentence(rng: Rng, emotion: str) -> str:
    """Draw a sentence, with or without a phrase before or after it."""
    kind = phrase_kind(rng, emotion)
    if not kind:
        return _fill(rng, _pick(rng, LONG))
    phrase, frame = _pick(rng, LEXICON[kind]), _fill(rng, _pick(rng, SHORT))
    return f"{phrase}, {frame}" if rng.random() < 0.5 else f"{frame}, {phrase}"


TAGS = {"ang": "[BREATHING]", "hap": "[LAUGHTER]", "exc": "[LAUGHTER]", "sad": "[BREATHING]"}
ONLY_TAGS = ("[LAUGHTER]", "[BREATHING]", "[GARBAGE]", "[LIPSMACK] [BREATHING]")
_JOINTS = (", ", ", ", "... ", " -- ", ". ", " - ", "! ")
_ENDS = (".", ".", ".", "!", "...", "?!", " --", "\u2026")


def decorate(rng: Rng, text: str, label: str) -> str:
    """Return the transcript as typed by an annotator, with tags that are not spoken."""
    parts = [part.strip() for part in text.split(",")]
    quoted = rng.random() < 0.04
    if quoted:
        left, right = ('"', '"') if rng.random() < 0.5 else ("\u201c", "\u201d")
        parts[-1] = f"{left}{parts[-1]}{right}"
    raw = _pick(rng, _JOINTS).join(parts)
    raw = " ".join("I" + w[1:] if w.split("'")[0] == "i" else w for w in raw.split(" "))
    raw = raw[0].upper() + raw[1:].replace("monday", "Monday")
    asks = parts[-1].startswith(("did", "where"))
    raw += "?" if asks else _pick(rng, _ENDS)
    if rng.random() < 0.15:
        raw = raw.replace("'", "\u2019")
    if rng.random() < 0.03:
        raw = raw.replace(" ", "\u00a0", 1)
    tag = TAGS.get(label, "[LIPSMACK]")
    where = rng.random()
    if where < 0.06:
        return f"{tag} {raw}"
    if where < 0.10:
        return f"{raw} {tag}"
    if where < 0.12:
        head, _, tail = raw.partition(" ")
        return f"{head} [GARBAGE] {tail}"
    return raw


def vocabulary() -> list[str]:
    """Return all words of the grammar, sorted, lower-case."""
    texts = [*SHORT, *LONG]
    for group in (*SLOTS.values(), *LEXICON.values()):
        texts += group
    return sorted({word for text in texts for word in text.split() if "{" not in word})
