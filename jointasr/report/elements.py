"""Elements of a report, independent of its format: paragraphs, tables, figures, audio examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from jointasr.scoring.metrics import Pair

Tone = Literal["", "good", "bad", "unsure"]


class TableCell(NamedTuple):
    """A table cell with a tone, which is shown by a mark as well as by color."""

    text: str
    tone: Tone = ""


class Paragraph(NamedTuple):
    """Running text; text between backquotes is set as code."""

    text: str


class Code(NamedTuple):
    """Preformatted text, such as a command."""

    text: str


class Bullets(NamedTuple):
    """A bullet list."""

    items: Sequence[str]


class Table(NamedTuple):
    """A table: the first column is text, the others are numbers unless ``textual``."""

    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | TableCell]]
    textual: bool = False


class Figure(NamedTuple):
    """SVG images with one caption, side by side if the page is wide enough."""

    caption: str
    svgs: Sequence[str]


class SystemOutput(NamedTuple):
    """Output of one system for an utterance."""

    system: str
    words: Sequence[Pair]
    """alignment of reference and hypothesis"""
    emotion: str
    """"" if the system does not recognize emotions"""


class AudioExample(NamedTuple):
    """An utterance with its audio, reference and the outputs of systems."""

    title: str
    audio: str
    """a data: URI; "" if the audio cannot be read"""
    emotion: str
    """the reference emotion"""
    outputs: Sequence[SystemOutput]


class AudioExamples(NamedTuple):
    """Utterances to inspect and play."""

    caption: str
    examples: Sequence[AudioExample]


Block = Paragraph | Code | Bullets | Table | Figure | AudioExamples


class Section(NamedTuple):
    """A titled part of the report; ``html_only``: not in the Markdown file."""

    title: str
    blocks: Sequence[Block]
    html_only: bool = False


def text_of(cell: str | TableCell) -> str:
    """Return the text of a table cell."""
    return cell.text if isinstance(cell, TableCell) else cell
