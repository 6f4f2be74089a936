"""Units: what the CTC head predicts, characters or SentencePiece pieces behind one interface.

A lang folder holds ``tokens.txt`` (a k2 symbol table, ``<blk> 0`` first), ``units.json`` (kind,
size, digest), ``labels.txt`` (one emotion per line) and, for pieces, ``bpe.model``.
"""

import hashlib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jointasr.text.normalizer import APOSTROPHE, LETTERS
from jointasr.utils import files
from jointasr.utils.errors import DataError

BLANK = "<blk>"
SPACE = "|"
PIECE_SPACE = "\u2581"  # how SentencePiece marks the start of a word
PIECE_KINDS = ("bpe", "unigram")


class Units:
    """An ordered list of symbols, blank first, and the way from text to their ids and back.

    Texts are spelled with ``letters`` and the apostrophe, which are the same for all folds of a
    corpus, seen in training or not. Make one by ``char()``, ``train_pieces()`` or ``load()``.
    """

    def __init__(
        self, kind: str, symbols: Sequence[str], model: bytes = b"", letters: str = LETTERS
    ) -> None:
        assert symbols[0] == BLANK, "the blank has index 0"
        assert bool(model) == (kind in PIECE_KINDS), kind
        self.kind = kind
        self.symbols = tuple(symbols)
        self.model = model
        self.letters = letters
        self._ids = {symbol: index for index, symbol in enumerate(self.symbols)}
        self._processor = _processor(model) if model else None

    @classmethod
    def char(cls, letters: str = LETTERS) -> "Units":
        """Blank, space, apostrophe and the letters, in their order."""
        return cls("char", (BLANK, SPACE, APOSTROPHE, *letters), letters=letters)

    @classmethod
    def train_pieces(
        cls, texts: Iterable[str], kind: str, size: int, letters: str = LETTERS
    ) -> "Units":
        """SentencePiece units of ``kind`` "bpe" or "unigram" learned from normalised texts.

        ``size`` is the number of pieces, blank not counted. Every letter is
        among them, seen or not, so that any normalised text can be written. Raises
        DataError when there is no text or too little of it for ``size`` pieces.
        """
        assert kind in PIECE_KINDS, kind
        lines = [text for text in texts if text]
        if not lines:
            raise DataError("no text to train units on: every transcript is empty")
        model = _train(lines, kind, size, letters)
        processor = _processor(model)
        pieces = [processor.id_to_piece(index) for index in range(1, processor.get_piece_size())]
        return cls(kind, [BLANK, *pieces], model, letters)

    @classmethod
    def load(cls, lang: Path) -> "Units":
        """The units of a lang folder. Raises DataError when its files do not belong together."""
        about = _read_json(lang / "units.json")
        symbols = _read_tokens(lang / "tokens.txt")
        kind = str(about.get("type"))
        if kind != "char" and kind not in PIECE_KINDS:
            raise DataError(f"{lang / 'units.json'}: unknown type of units {kind!r}")
        model = (lang / "bpe.model").read_bytes() if kind in PIECE_KINDS else b""
        units = cls(kind, symbols, model, str(about.get("letters", LETTERS)))
        if units.digest != about.get("digest"):
            raise DataError(
                f"{lang}: tokens.txt or bpe.model is not the one units.json was written for; "
                "make the folder again (stage 4)"
            )
        return units

    def save(self, lang: Path) -> None:
        """Write the lang folder (all but ``labels.txt``)."""
        lang.mkdir(parents=True, exist_ok=True)
        if self.model:
            with files.replacing(lang / "bpe.model") as temporary:
                temporary.write_bytes(self.model)
        lines = [f"{symbol} {index}\n" for index, symbol in enumerate(self.symbols)]
        files.write_text(lang / "tokens.txt", "".join(lines))
        about = {
            "type": self.kind,
            "size": self.size,
            "letters": self.letters,
            "digest": self.digest,
        }
        files.write_json(lang / "units.json", about)

    @property
    def size(self) -> int:
        """Number of symbols, blank included: the width of the CTC head."""
        return len(self.symbols)

    @property
    def digest(self) -> str:
        """Identity of the units; kept in checkpoints to refuse a model with other units."""
        data = "\n".join((self.kind, *self.symbols)).encode() + b"\0" + self.model
        return hashlib.sha256(data).hexdigest()[:16]

    @property
    def separator(self) -> int | None:
        """Id of the unit between words, None for pieces, which mark a word's beginning."""
        return self._ids[SPACE] if self.kind == "char" else None

    def encode(self, text: str) -> list[int]:
        """Ids (1 .. size-1) of a normalised text; "" gives [].

        Raises DataError naming the first character that is no letter.
        """
        check_characters(text, self.letters)
        words = text.split()
        if self._processor is None:
            return [self._ids[character] for character in SPACE.join(words)]
        return [int(index) for index in self._processor.encode(" ".join(words))]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids without blanks; words separated by single spaces, none at the ends."""
        ids = list(ids)
        assert all(0 < index < self.size for index in ids), ids
        if self._processor is None:
            text = "".join(self.symbols[index] for index in ids).replace(SPACE, " ")
        else:
            text = self._processor.decode(ids)
        return " ".join(text.split())

    def words(self, ids: Sequence[int]) -> list[list[int]]:
        """Places in ``ids`` of each word's units: as many lists as ``decode`` gives words."""
        mark = SPACE if self._processor is None else PIECE_SPACE
        found: list[list[int]] = [[]]
        for place, index in enumerate(ids):
            symbol = self.symbols[index]
            if symbol.startswith(mark):
                found.append([])
            if symbol != mark:
                found[-1].append(place)
        return [word for word in found if word]


def check_characters(
    text: str, letters: str = LETTERS, utterance: str = "", source: str = ""
) -> None:
    """Raise DataError naming the first character of ``text`` outside ``letters`` and "' "."""
    for character in text:
        if character not in letters and character not in " '":
            where = ": ".join(part for part in (source, utterance) if part)
            shown = "A-Z" if letters == LETTERS else letters
            raise DataError(
                f"{where + ': ' if where else ''}character {character!r} in {text!r} is none of "
                f"{shown}, apostrophe and space; normalise the transcripts (jointasr.text)"
            )


def write_labels(lang: Path, labels: Sequence[str]) -> None:
    """Write ``labels.txt``: the emotions, in the order of the classifier's outputs."""
    words = all(label.split() == [label] for label in labels)
    if not labels or not words or len(set(labels)) != len(labels):
        raise DataError(f"emotion labels {list(labels)}: give distinct single words")
    lang.mkdir(parents=True, exist_ok=True)
    files.write_text(lang / "labels.txt", "".join(f"{label}\n" for label in labels))


def read_labels(lang: Path) -> list[str]:
    """The emotions of a lang folder, in the order of the classifier's outputs."""
    return files.read_text(lang / "labels.txt").split()


def map_head(
    vocabulary: Mapping[str, int], units: Units, source: str | Path = "the checkpoint's vocabulary"
) -> list[int]:
    """Rows of a pretrained CTC head in the order of ``units``: row i of the new head is the old
    head's row ``result[i]``.

    Symbols decide, not positions: ``<pad>`` is the blank, ``|`` the space; ``<s> </s> <unk>`` and
    whatever else is not needed are dropped. Letters match without regard to case where the exact
    symbol is missing. Raises DataError naming the missing symbol and ``source``.
    """
    known: dict[str, int] = {}
    for symbol, row in vocabulary.items():
        known.setdefault(symbol.casefold(), row)
    known.update(vocabulary)
    others = {BLANK: ["<pad>", "[pad]"], SPACE: [" "]}
    rows: list[int] = []
    for symbol in units.symbols:
        names = [symbol, symbol.casefold(), *others.get(symbol, [])]
        found = [known[name] for name in names if name in known]
        if not found:
            wanted = "<pad> (the blank)" if symbol == BLANK else repr(symbol)
            raise DataError(
                f"{source}: has no symbol {wanted}, which the units need; use a checkpoint with "
                "these characters or head.init: fresh"
            )
        rows.append(found[0])
    if len(set(rows)) != len(rows):
        raise DataError(f"{source}: two of the symbols that the units need share a number")
    return rows


def _train(lines: Sequence[str], kind: str, size: int, letters: str) -> bytes:
    import sentencepiece

    fewest = len(letters) + 2  # apostrophe, mark of a word's start
    if size < fewest:
        raise DataError(f"--units-size {size}: at least {fewest}, for every letter is a unit")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type=kind,
            vocab_size=size + 1,  # its <unk> takes the place of our blank, so that ids agree
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            character_coverage=1.0,
            required_chars=letters + APOSTROPHE,
            normalization_rule_name="identity",  # texts come normalised
            max_sentence_length=1 << 20,
            num_threads=1,  # the result must not depend on the machine
            minloglevel=2,
        )
    except (RuntimeError, OSError) as error:
        limit = re.search(r"value <= (\d+)", str(error))  # counts <unk> too
        reason = f"at most {int(limit[1]) - 1} are possible" if limit else str(error)
        raise DataError(
            f"cannot train {size} {kind} units on {len(lines)} texts: {reason}; "
            "choose another --units-size"
        ) from None
    return model.getvalue()


def _processor(model: bytes) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_proto=model)


def _read_tokens(path: Path) -> list[str]:
    symbols: list[str] = []
    for number, line in enumerate(files.read_text(path).splitlines(), 1):
        symbol, _, index = line.rpartition(" ")
        if not symbol or index != str(len(symbols)):
            raise DataError(f"{path}:{number}: expected `symbol {len(symbols)}`, got {line!r}")
        symbols.append(symbol)
    if not symbols or symbols[0] != BLANK:
        raise DataError(f"{path}:1: expected `{BLANK} 0`")
    return symbols


def _read_json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(files.read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected an object")
    return value
