"""A corpus of one's own as rows of strings: from one CSV file, or from a Kaldi data dir.

Nothing is judged here but the form of the files themselves; :mod:`local.own.check` does the rest.
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
"""Files of a data dir that say what a CSV's columns do"""


class CorpusRow(NamedTuple):
    """An utterance as its corpus tells it; "" where a cell is empty or a column missing."""

    where: str
    """file and line, or table and utterance"""
    path: str
    text: str | None
    """None where it is not known; "" (in a data dir) where nothing is said"""
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


class Corpus(NamedTuple):
    """What a CSV file or a data dir says."""

    rows: list[CorpusRow]
    problems: list[str]
    """lines that are no rows"""
    unused: list[str]
    """columns that mean nothing here"""


def read(source: Path) -> Corpus:
    """The rows of a CSV file or a data dir. Raises DataError where it has not the form of one."""
    if source.is_dir():
        return _data_dir(source)
    if not source.is_file():
        raise DataError(
            f"{source}: no such file or folder; a CSV file or a Kaldi data dir is meant"
        )
    return _csv(source)


def _csv(source: Path) -> Corpus:
    """Columns by name, in any order, separated by commas, semicolons or tabs."""
    text = files.read_text(source).removeprefix("\ufeff")
    first = text.partition("\n")[0].rstrip("\r")
    delimiter = max(DELIMITERS, key=first.count)
    header = [name.strip().lower() for name in next(csv.reader([first], delimiter=delimiter), [])]
    twice = sorted({name for name in header if header.count(name) > 1})
    lacking = [] if "path" in header else ["path"]
    lacking += [] if {"text", "emotion"} & set(header) else ["text or emotion"]
    if twice or lacking:
        what = [f"column {name} is there twice" for name in twice]
        what += [f"no column {name}" for name in lacking]
        raise DataError(
            f"{source}:1: {'; '.join(what)}; the first line names the columns: {' '.join(COLUMNS)}"
        )
    corpus = Corpus([], [], [name for name in header if name not in COLUMNS])
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
            known = zip(header, (cell.strip() for cell in cells), strict=True)
            values = {name: cell for name, cell in known if name in COLUMNS}
            row = CorpusRow(where, values.pop("path"), values.pop("text", "") or None, **values)
            corpus.rows.append(row)
    except csv.Error as error:  # what follows could be anything
        raise DataError(
            f"{source}:{reader.line_num}: {error}: double the quotes inside of quoted cells"
        ) from None
    if not corpus.rows and not corpus.problems:
        raise DataError(f"{source}: no utterances below the line of column names")
    return corpus


def _data_dir(source: Path) -> Corpus:
    """``wav.scp``, with ``segments`` or without, and what there is of ``text`` and ``utt2*``."""
    recordings = datadir.read_table(source / "wav.scp")
    parts = {name: [name, "", ""] for name in recordings}
    if (source / "segments").is_file():
        parts = {name: line.split() for name, line in _table(source / "segments").items()}
    tables = {column: _table(source / name) for column, name in TABLES.items()}
    texts = _table(source / "text")
    if not texts and not tables["emotion"]:
        raise DataError(f"{source}: neither text nor utt2emo in it: nothing to learn")
    problems = [
        f"{source / file}: {name} is no utterance of wav.scp or segments"
        for file, table in [("text", texts), *((TABLES[c], table) for c, table in tables.items())]
        for name in sorted(table.keys() - parts.keys())
    ]
    rows = []
    for name, part in parts.items():
        if len(part) != 3 or part[0] not in recordings:
            problems.append(f"{source}/segments: {name}: expected recording of wav.scp, begin, end")
            continue
        values = {column: table.get(name, "") for column, table in tables.items()}
        values["dialogue"] = values["dialogue"] or part[0]
        times = {"start": part[1], "end": part[2]}
        where, path = f"{source}: {name}", recordings[part[0]]
        rows.append(CorpusRow(where, path, texts.get(name), id=name, **times, **values))
    return Corpus(rows, problems, [])


def _table(path: Path) -> dict[str, str]:
    return datadir.read_table(path) if path.is_file() else {}
