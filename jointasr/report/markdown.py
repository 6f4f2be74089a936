"""The report as Markdown, readable as plain text; figures and audio are only in the HTML page."""

from collections.abc import Iterable, Sequence

from jointasr.report.elements import (
    Block,
    Bullets,
    Code,
    Paragraph,
    Section,
    Table,
    TableCell,
    text_of,
)

MARKS = {"": "", "good": " +", "bad": " !", "unsure": " ?"}


def render(title: str, lead: str, sections: Iterable[Section]) -> str:
    """Return the Markdown text."""
    parts = [f"# {title}\n", f"{lead}\n"]
    for section in sections:
        if not section.html_only:
            parts.append(f"## {section.title}\n")
            parts += [text for text in map(block, section.blocks) if text]
    return "\n".join(parts)


def block(item: Block) -> str:
    """Return a block as text, "" if only the HTML page can show it."""
    if isinstance(item, Paragraph):
        return f"{item.text}\n"
    if isinstance(item, Code):
        return "".join(f"    {line}\n" for line in item.text.splitlines())
    if isinstance(item, Bullets):
        return "".join(f"- {line}\n" for line in item.items)
    if isinstance(item, Table):
        rows = [[_text(cell) for cell in row] for row in item.rows]
        caption = f"{item.caption}\n\n" if item.caption else ""
        return caption + _table(item.header, rows, item.textual)
    return ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], textual: bool) -> str:
    """Return a table with padded columns; numbers are aligned to the right."""
    body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in [list(header), *body])) for i in range(len(header))]
    marks = ["-" * widths[0]]
    marks += ["-" * width if textual else "-" * (width - 1) + ":" for width in widths[1:]]
    lines = [_line(header, widths, textual), "| " + " | ".join(marks) + " |"]
    return "\n".join([*lines, *(_line(row, widths, textual) for row in body)]) + "\n"


def _text(cell: str | TableCell) -> str:
    return text_of(cell) + (MARKS[cell.tone] if isinstance(cell, TableCell) else "")


def _line(row: Sequence[str], widths: Sequence[int], textual: bool) -> str:
    cells = [row[0].ljust(widths[0])]
    pairs = zip(row[1:], widths[1:], strict=True)
    cells += [cell.ljust(width) if textual else cell.rjust(width) for cell, width in pairs]
    return "| " + " | ".join(cells) + " |"
