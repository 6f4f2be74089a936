"""A report as Markdown that reads well as plain text too; figures and audio are the page's."""

from collections.abc import Iterable, Sequence

from jointasr.report.elements import Block, Bullets, Cell, Code, Paragraph, Section, Table, text_of

MARKS = {"": "", "good": " +", "bad": " !", "unsure": " ?"}


def render(title: str, lead: str, sections: Iterable[Section]) -> str:
    """The text of a Markdown file."""
    parts = [f"# {title}\n", f"{lead}\n"]
    for section in sections:
        if not section.page_only:
            parts.append(f"## {section.title}\n")
            parts += [text for text in map(block, section.blocks) if text]
    return "\n".join(parts)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], words: bool = False) -> str:
    """A table with its columns padded; all but the first to the right, unless they are words."""
    body = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(3, *(len(row[i]) for row in [list(header), *body])) for i in range(len(header))]
    marks = ["-" * widths[0]]
    marks += ["-" * width if words else "-" * (width - 1) + ":" for width in widths[1:]]
    lines = [_line(header, widths, words), "| " + " | ".join(marks) + " |"]
    return "\n".join([*lines, *(_line(row, widths, words) for row in body)]) + "\n"


def block(item: Block) -> str:
    """A block as text, "" for what only a page can show."""
    if isinstance(item, Paragraph):
        return f"{item.text}\n"
    if isinstance(item, Code):
        return "".join(f"    {line}\n" for line in item.text.splitlines())
    if isinstance(item, Bullets):
        return "".join(f"- {line}\n" for line in item.items)
    if isinstance(item, Table):
        rows = [[_text(cell) for cell in row] for row in item.rows]
        caption = f"{item.caption}\n\n" if item.caption else ""
        return caption + table(item.header, rows, item.words)
    return ""


def _text(cell: str | Cell) -> str:
    return text_of(cell) + (MARKS[cell.tone] if isinstance(cell, Cell) else "")


def _line(row: Sequence[str], widths: Sequence[int], words: bool) -> str:
    cells = [row[0].ljust(widths[0])]
    pairs = zip(row[1:], widths[1:], strict=True)
    cells += [cell.ljust(width) if words else cell.rjust(width) for cell, width in pairs]
    return "| " + " | ".join(cells) + " |"
