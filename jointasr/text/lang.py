"""Output units of the CTC head: characters or SentencePiece pieces behind one interface.

A lang folder contains ``tokens.txt`` (a k2 symbol table, ``<blk> 0`` first), ``units.json`` (kind,
size, digest), ``labels.txt`` (one emotion per line) and, for pieces, ``bpe.model``.
"""

import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jointasr.text.normalizer import APOSTROPHE, LETTERS
from jointasr.utils import files
from jointasr.utils.errors import DataError

BLANK = "<blk>"
SPACE = "|"
PIECE_SPACE = "\u2581"
"""SentencePiece's mark of the start of a word"""
PIECE_KINDS = ("bpe", "unigram")


class Units:
    """An ordered list of symbols, blank first, with conversion of text to ids and back.

    The alphabet, ``letters`` and the apostrophe, is the same for all folds of a corpus, whether or
    not a letter occurs in training. Create with ``char()``, ``train_pieces()`` or ``load()``.
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
        """Return character units: blank, space, apostrophe and the letters, in this order."""
        return cls("char", (BLANK, SPACE, APOSTROPHE, *letters), letters=letters)

    @classmethod
    def train_pieces(
        cls, texts: Iterable[str], kind: str, size: int, letters: str = LETTERS
    ) -> "Units":
        """Train SentencePiece units of ``kind`` "bpe" or "unigram" on normalized texts.

        ``size`` is the number of pieces, blank excluded. All letters are pieces, whether or not
        they occur, so that any normalized text can be encoded. Raises DataError if there is no
        text, or not enough for ``size`` pieces.
        """
        assert kind in PIECE_KINDS, kind
        lines = [text for text in texts if text]
        if not lines:
            raise DataError("no text to train units on: all transcripts are empty")
        model = _train(lines, kind, size, letters)
        processor = _processor(model)
        pieces = [processor.id_to_piece(index) for index in range(1, processor.get_piece_size())]
        return cls(kind, [BLANK, *pieces], model, letters)

    @classmethod
    def load(cls, lang: Path) -> "Units":
        """Read the units of a lang folder. Raises DataError if its files do not match."""
        metadata = _read_object(lang / "units.json")
        symbols = _read_tokens(lang / "tokens.txt")
        kind = str(metadata.get("type"))
        if kind != "char" and kind not in PIECE_KINDS:
            raise DataError(f"{lang / 'units.json'}: unknown type of units {kind!r}")
        model = (lang / "bpe.model").read_bytes() if kind in PIECE_KINDS else b""
        units = cls(kind, symbols, model, str(metadata.get("letters", LETTERS)))
        if units.digest != metadata.get("digest"):
            raise DataError(
                f"{lang}: tokens.txt or bpe.model does not match units.json; recreate the folder "
                "(stage 4 with --force true)"
            )
        return units

    def save(self, lang: Path) -> None:
        """Write the files of a lang folder except ``labels.txt``."""
        lang.mkdir(parents=True, exist_ok=True)
        if self.model:
            with files.replacing(lang / "bpe.model") as temporary:
                temporary.write_bytes(self.model)
        lines = [f"{symbol} {index}\n" for index, symbol in enumerate(self.symbols)]
        files.write_text(lang / "tokens.txt", "".join(lines))
        metadata = {
            "type": self.kind,
            "size": self.size,
            "letters": self.letters,
            "digest": self.digest,
        }
        files.write_json(lang / "units.json", metadata)

    @property
    def size(self) -> int:
        """Number of symbols including the blank: the output size of the CTC head."""
        return len(self.symbols)

    @property
    def digest(self) -> str:
        """Digest of the units, kept in checkpoints to refuse models with other units."""
        data = "\n".join((self.kind, *self.symbols)).encode() + b"\0" + self.model
        return hashlib.sha256(data).hexdigest()[:16]

    @property
    def separator(self) -> int | None:
        """Id of the unit between words; None for pieces, which mark the start of a word."""
        return self._ids[SPACE] if self.kind == "char" else None

    def encode(self, text: str) -> list[int]:
        """Return the ids (1..size-1) of a normalized text, [] for "".

        Raises DataError naming the first character that is not in the alphabet.
        """
        check_characters(text, self.letters)
        words = text.split()
        if self._processor is None:
            return [self._ids[character] for character in SPACE.join(words)]
        return [int(index) for index in self._processor.encode(" ".join(words))]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids without blanks, with single spaces between words."""
        ids = list(ids)
        assert all(0 < index < self.size for index in ids), ids
        if self._processor is None:
            text = "".join(self.symbols[index] for index in ids).replace(SPACE, " ")
        else:
            text = self._processor.decode(ids)
        return " ".join(text.split())

    def words(self, ids: Sequence[int]) -> list[list[int]]:
        """Group units by word: for each word of ``decode(ids)``, the positions of its units in
        ``ids``."""
        mark = SPACE if self._processor is None else PIECE_SPACE
        words: list[list[int]] = [[]]
        for position, index in enumerate(ids):
            symbol = self.symbols[index]
            if symbol.startswith(mark):
                words.append([])
            if symbol != mark:
                words[-1].append(position)
        return [word for word in words if word]


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
                f"{shown}, apostrophe and space; normalize the transcripts "
                "(jointasr.text.normalizer) or extend data.letters"
            )


def write_labels(lang: Path, labels: Sequence[str]) -> None:
    """Write ``labels.txt``: the emotions, in the order of the classifier's outputs.

    Raises DataError unless they are distinct single words.
    """
    single = all(label.split() == [label] for label in labels)
    if not labels or not single or len(set(labels)) != len(labels):
        raise DataError(f"emotion labels {list(labels)}: expected distinct single words")
    lang.mkdir(parents=True, exist_ok=True)
    files.write_text(lang / "labels.txt", "".join(f"{label}\n" for label in labels))


def read_labels(lang: Path) -> list[str]:
    """Read ``labels.txt``: the emotions, in the order of the classifier's outputs."""
    return files.read_text(lang / "labels.txt").split()


def map_head(
    vocabulary: Mapping[str, int], units: Units, source: str | Path = "the checkpoint's vocabulary"
) -> list[int]:
    """Map the output units to the rows of a pretrained CTC head.

    Row i of the new head is row ``result[i]`` of the pretrained head. Rows are matched by symbol:
    ``<pad>`` is the blank, ``|`` the space; ``<s> </s> <unk>`` and other unused symbols are
    dropped. Letters match case-insensitively if the exact symbol is missing. Raises DataError
    naming ``source`` and the missing symbol.
    """
    known: dict[str, int] = {}
    for symbol, row in vocabulary.items():
        known.setdefault(symbol.casefold(), row)
    known.update(vocabulary)
    aliases = {BLANK: ["<pad>", "[pad]"], SPACE: [" "]}
    rows: list[int] = []
    for symbol in units.symbols:
        names = [symbol, symbol.casefold(), *aliases.get(symbol, [])]
        matches = [known[name] for name in names if name in known]
        if not matches:
            missing = "<pad> (the blank)" if symbol == BLANK else repr(symbol)
            raise DataError(
                f"{source}: has no symbol {missing}, which the units need; use a checkpoint with "
                "these characters or head.init: fresh"
            )
        rows.append(matches[0])
    if len(set(rows)) != len(rows):
        raise DataError(f"{source}: two of the symbols that the units need have the same id")
    return rows


def _train(lines: Sequence[str], kind: str, size: int, letters: str) -> bytes:
    import sentencepiece

    minimum = len(letters) + 2  # apostrophe, mark of the start of a word
    if size < minimum:
        raise DataError(f"--units-size {size}: at least {minimum}, because every letter is a unit")
    model = io.BytesIO()
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(lines),
            model_writer=model,
            model_type=kind,
            vocab_size=size + 1,  # <unk> has the id of our blank
            unk_id=0,
            bos_id=-1,
            eos_id=-1,
            pad_id=-1,
            character_coverage=1.0,
            required_chars=letters + APOSTROPHE,
            normalization_rule_name="identity",  # texts are normalized already
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


def _read_object(path: Path) -> dict[str, object]:
    value = files.read_json(path)
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected an object")
    return value
