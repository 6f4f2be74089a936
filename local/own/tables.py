"""Reader of custom corpora: the rows of a CSV file or a Kaldi data dir as strings.

Only the file format is checked here; :mod:`local.own.check` checks the contents.
"""

import csv
import io
from pathlib import Path
from typing import NamedTuple

from jointasr.data import datadir
from jointasr.utils import files
from jointasr.utils.errors import DataError

COLUMNS = (
    "path", "start", "end", "channel", "id", "speaker", "group", "dialogue", "fold", "style",
    "text", "emotion",
)  # fmt: skip
DELIMITERS = ",;\t"
TABLES = {
    "speaker": "utt2spk", "emotion": "utt2emo", "group": "utt2group", "dialogue": "utt2dialogue",
    "fold": "utt2fold", "style": "utt2style",
}  # fmt: skip
"""files of a data dir that correspond to columns of a CSV file"""


class CorpusRow(NamedTuple):
    """The cells of an utterance; "" for empty cells and missing columns."""

    where: str
    """file and line, or data dir and utterance, for messages"""
    path: str
    text: str | None
    """None if unknown; "" (in a data dir only) if there are no words"""
    emotion: str = ""
    start: str = ""
    end: str = ""
    channel: str = ""
    id: str = ""
    speaker: str = ""
    group: str = ""
    dialogue: str = ""
    fold: str = ""
    style: str = ""


class CorpusTable(NamedTuple):
    """The contents of a CSV file or a data dir."""

    rows: list[CorpusRow]
    problems: list[str]
    """a message for each malformed line"""
    unused_columns: list[str]


def read(source: Path) -> CorpusTable:
    """Read a CSV file or a data dir. Raises DataError if ``source`` is neither or malformed."""
    if source.is_dir():
        return _read_data_dir(source)
    if not source.is_file():
        raise DataError(f"{source}: no such file or folder; give a CSV file or a Kaldi data dir")
    return _read_csv(source)


def _read_csv(source: Path) -> CorpusTable:
    """Read a CSV file with a header; columns may be in any order, separated by , ; or tabs."""
    text = files.read_text(source).removeprefix("\ufeff")
    first = text.partition("\n")[0].rstrip("\r")
    delimiter = max(DELIMITERS, key=first.count)
    header = [name.strip().lower() for name in next(csv.reader([first], delimiter=delimiter), [])]
    duplicates = sorted({name for name in header if header.count(name) > 1})
    missing = [] if "path" in header else ["path"]
    missing += [] if {"text", "emotion"} & set(header) else ["text or emotion"]
    if duplicates or missing:
        problems = [f"column {name} occurs twice" for name in duplicates]
        problems += [f"no column {name}" for name in missing]
        raise DataError(
            f"{source}:1: {'; '.join(problems)}; the first line names the columns: "
            f"{' '.join(COLUMNS)}"
        )
    corpus = CorpusTable([], [], [name for name in header if name not in COLUMNS])
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            where = f"{source}:{reader.line_num}"
            if reader.line_num == 1 or not any(cells):
                continue
            if len(cells) != len(header):
                corpus.problems.append(
                    f"{where}: {len(cells)} cells where the first line has {len(header)}; put "
                    "values with separators in double quotes"
                )
                continue
            pairs = zip(header, (cell.strip() for cell in cells), strict=True)
            values = {name: cell for name, cell in pairs if name in COLUMNS}
            row = CorpusRow(where, values.pop("path"), values.pop("text", "") or None, **values)
            corpus.rows.append(row)
    except csv.Error as error:
        raise DataError(
            f"{source}:{reader.line_num}: {error}: double the quotes inside quoted cells"
        ) from None
    if not corpus.rows and not corpus.problems:
        raise DataError(f"{source}: no utterances below the header")
    return corpus


def _read_data_dir(source: Path) -> CorpusTable:
    """Read ``wav.scp``, and ``segments``, ``text`` and ``utt2*`` where they exist."""
    recordings = datadir.read_table(source / "wav.scp")
    parts = {name: [name, "", ""] for name in recordings}
    if (source / "segments").is_file():
        parts = {name: line.split() for name, line in _read_optional(source / "segments").items()}
    tables = {column: _read_optional(source / name) for column, name in TABLES.items()}
    texts = _read_optional(source / "text")
    if not texts and not tables["emotion"]:
        raise DataError(f"{source}: has neither text nor utt2emo: nothing to train on")
    problems = [
        f"{source / file}: {name} is not in wav.scp or segments"
        for file, table in [("text", texts), *((TABLES[c], table) for c, table in tables.items())]
        for name in sorted(table.keys() - parts.keys())
    ]
    rows = []
    for name, part in parts.items():
        if len(part) != 3 or part[0] not in recordings:
            problems.append(
                f"{source}/segments: {name}: expected a recording of wav.scp, start and end"
            )
            continue
        values = {column: table.get(name, "") for column, table in tables.items()}
        values["dialogue"] = values["dialogue"] or part[0]
        times = {"start": part[1], "end": part[2]}
        where, path = f"{source}: {name}", recordings[part[0]]
        rows.append(CorpusRow(where, path, texts.get(name), id=name, **times, **values))
    return CorpusTable(rows, problems, [])


def _read_optional(path: Path) -> dict[str, str]:
    return datadir.read_table(path) if path.is_file() else {}
