"""What a report consists of, whoever renders it: sections of paragraphs, tables, figures, audio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from jointasr.scoring.metrics import Pair

Tone = Literal["", "good", "bad", "unsure"]


class Cell(NamedTuple):
    """A table's cell that says more than its text: its tone is shown, not by colour alone."""

    text: str
    tone: Tone = ""


class Paragraph(NamedTuple):
    """Running text; `code` between backquotes is set as such."""

    text: str


class Code(NamedTuple):
    """Commands, line breaks as they are."""

    text: str


class Bullets(NamedTuple):
    """A list of short statements."""

    items: Sequence[str]


class Table(NamedTuple):
    """The first column is text, the others are numbers unless ``words``."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | Cell]]
    words: bool = False


class Figure(NamedTuple):
    """Pictures side by side where there is room; what they show is in ``caption``."""

    caption: str
    svgs: Sequence[str]


class ListeningItem(NamedTuple):
    """An utterance as it sounds and as systems heard it."""

    title: str
    audio: str
    """a data: URI; "" where the audio is gone"""
    spoken: str
    """the reference emotion"""
    versions: Sequence[SystemOutput]


class SystemOutput(NamedTuple):
    """One system's reading of an utterance."""

    system: str
    words: Sequence[Pair]
    emotion: str
    """"" where the system gives none"""


class Listening(NamedTuple):
    """Utterances to look at and listen to."""

    caption: str
    utterances: Sequence[ListeningItem]


Block = Paragraph | Code | Bullets | Table | Figure | Listening


class Section(NamedTuple):
    """A titled part; ``page_only``: nothing of it can be told in plain text."""

    title: str
    blocks: Sequence[Block]
    page_only: bool = False


def text_of(cell: str | Cell) -> str:
    """A cell's text."""
    return cell.text if isinstance(cell, Cell) else cell
