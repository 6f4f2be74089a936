"""Kaldi data directories: sorted text tables keyed by utterance or speaker."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from jointasr.utils import files
from jointasr.utils.errors import DataError

PER_UTTERANCE = ("wav.scp", "text", "utt2spk", "utt2emo", "utt2dur")
MAY_LACK = ("text", "utt2emo")
"""tables that may lack an utterance (without transcript, or without emotion), but not both"""
TABLES = (*PER_UTTERANCE, "spk2utt")
MAY_BE_EMPTY = frozenset({"text"})
"""tables whose values may be empty: utterances without words, or empty hypotheses"""
BLANKS = re.compile(r"[ \t]+")
"""Kaldi's separators; other Unicode spaces belong to the value"""


def read_table(path: Path, allow_empty: bool | None = None) -> dict[str, str]:
    """Return ``{id: rest of the line}`` in file order.

    ``allow_empty``: whether the value may be missing; by default only in files named ``text``.
    Raises DataError with file and line for a missing file, a duplicate id or a missing value.
    """
    if allow_empty is None:
        allow_empty = path.name in MAY_BE_EMPTY
    table: dict[str, str] = {}
    for number, line in enumerate(_lines(path), 1):
        key, value = [*BLANKS.split(line.strip(" \t"), maxsplit=1), ""][:2]
        if not key:
            raise DataError(f"{path}:{number}: empty line")
        if key in table:
            raise DataError(f"{path}:{number}: {key} occurs twice")
        if not value and not allow_empty:
            raise DataError(f"{path}:{number}: {key} has no value")
        table[key] = value
    return table


def write_table(path: Path, mapping: Mapping[str, str]) -> None:
    """Write ``id value`` lines in the order of ``LC_ALL=C sort``, atomically, if they changed.

    Code points sort like their UTF-8 bytes, so this is also the order of Python strings.
    """
    lines = []
    for key, value in sorted(mapping.items()):
        assert key and not re.search(r"\s", key), f"{path}: the id {key!r} contains white space"
        assert "\n" not in value and "\r" not in value, (
            f"{path}: the value of {key} contains a line break"
        )
        lines.append(f"{key} {value}".rstrip(" ") + "\n")
    files.write_text_if_changed(path, "".join(lines))


def read_list(path: Path) -> list[str]:
    """Return the ids of a list file, one per line. Raises DataError for an invalid line."""
    ids = _lines(path)
    seen: set[str] = set()
    for number, name in enumerate(ids, 1):
        if not name or re.search(r"\s", name):
            raise DataError(f"{path}:{number}: expected one id per line, got {name!r}")
        if name in seen:
            raise DataError(f"{path}:{number}: {name} occurs twice")
        seen.add(name)
    return ids


def write_list(path: Path, ids: Iterable[str]) -> None:
    """Write ids, one per line, in the order of ``LC_ALL=C sort``, atomically."""
    files.write_text(path, "".join(f"{name}\n" for name in sorted(ids)))


def spk2utt(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """Return the inverse table ``{speaker: "utt utt ..."}``, both sorted."""
    speakers: dict[str, list[str]] = {}
    for utterance, speaker in sorted(utt2spk.items()):
        speakers.setdefault(speaker, []).append(utterance)
    return {speaker: " ".join(names) for speaker, names in sorted(speakers.items())}


def validate(path: Path, audio: bool = True) -> list[str]:
    """Return the problems of a data dir, one line each; [] if it is valid.

    All tables must exist, parse and be sorted; have the same utterances, except that text or
    utt2emo may lack utterances; spk2utt must be the inverse of utt2spk; ids must start with their
    speaker; durations must be positive. With ``audio``, every audio header is read as well: mono,
    16 kHz, complete, and exactly as long as in utt2dur.
    """
    problems: list[str] = []
    tables: dict[str, dict[str, str]] = {}
    for name in TABLES:
        try:
            tables[name] = read_table(path / name)
        except DataError as error:
            problems.append(str(error))
            continue
        if not tables[name] and name not in MAY_LACK:
            problems.append(f"{path / name}: empty")
        if list(tables[name]) != sorted(tables[name]):
            problems.append(f"{path / name}: not sorted (LC_ALL=C sort)")
    problems += _compare_ids(path, tables)
    problems += _check_speakers(path, tables.get("utt2spk", {}), tables.get("spk2utt"))
    durations = tables.get("utt2dur", {})
    for utterance, value in durations.items():
        if not _is_positive(value):
            problems.append(
                f"{path / 'utt2dur'}: {utterance}: {value!r} is not a duration in seconds"
            )
    if audio:
        for utterance, source in tables.get("wav.scp", {}).items():
            problems += _check_audio(path, utterance, source, durations.get(utterance))
    return problems


def fix(path: Path, dry_run: bool = False) -> list[str]:
    """Keep the utterances that are in all tables (text or utt2emo suffices), sort the tables and
    rebuild spk2utt.

    Returns one line per change. ``dry_run``: write nothing. Raises DataError for a table that
    cannot be parsed, for example one with a duplicate id: a program cannot decide which of two
    entries is correct.
    """
    tables = {name: read_table(path / name) for name in PER_UTTERANCE if (path / name).exists()}
    if not {"wav.scp", "text", "utt2spk"} <= tables.keys():
        raise DataError(f"{path}: a data dir needs wav.scp, text and utt2spk")
    keep = set.intersection(*_ids(tables).values())
    if not keep:
        raise DataError(f"{path}: no utterance is in all of {', '.join(tables)}")
    report = []
    for name, table in tables.items():
        report += [
            f"{path / name}: dropped {utterance} (not in {_tables_without(utterance, tables)})"
            for utterance in sorted(table.keys() - keep)
        ]
        complete = {key: value for key, value in table.items() if key in keep}
        if list(table) != sorted(table):
            report.append(f"{path / name}: sorted")
        if not dry_run:
            write_table(path / name, complete)
    inverse = spk2utt({key: tables["utt2spk"][key] for key in keep})
    old = path / "spk2utt"
    if not old.exists() or read_table(old) != inverse:
        report.append(f"{old}: rebuilt from utt2spk")
    if not dry_run:
        write_table(old, inverse)
    return report


class ManifestCheck:
    """Compares the utterances of a manifest with the tables of its data dir that exist.

    Values of an utterance are given by table name; None means that the table lacks it.
    """

    def __init__(self, path: Path, manifest: str) -> None:
        self.path, self.manifest = path, manifest
        names = [name for name in PER_UTTERANCE if (path / name).is_file()]
        self.tables = {name: read_table(path / name) for name in names}

    def check(self, utterance: str, values: Mapping[str, str | None]) -> None:
        """Raise DataError if a table differs from ``values``."""
        self._raise(self.differences(utterance, values))

    def check_ids(self, ids: Sequence[str]) -> None:
        """Raise DataError if a table has utterances other than ``ids``, those of the manifest."""
        self._raise(self.id_differences(ids))

    def differences(self, utterance: str, values: Mapping[str, str | None]) -> list[str]:
        """Return one line per table that differs from ``values``."""
        actual = {
            name: table.get(utterance) for name, table in self.tables.items() if name in values
        }
        return [
            f"{self.path / name}: {utterance}: {value!r}, but {values[name]!r} in {self.manifest}"
            for name, value in actual.items()
            if value != values[name]
        ]

    def id_differences(self, ids: Sequence[str]) -> list[str]:
        """Return one line per table with utterances other than ``ids``, or if the order differs."""
        extra = {name: sorted(table.keys() - set(ids)) for name, table in self.tables.items()}
        problems = [
            f"{self.path / name}: {names[0]}{_and_more(names)}: not in {self.manifest}"
            for name, names in extra.items()
            if names
        ]
        if not problems and list(self.tables.get("utt2spk", ids)) != list(ids):
            problems.append(f"{self.path / 'utt2spk'}: order differs from {self.manifest}")
        return problems

    def _raise(self, problems: Sequence[str]) -> None:
        if problems:
            raise DataError(
                f"{problems[0]}; the table was edited, which does not change the manifest: restore "
                "the table, or edit the source of the data and run the stage that creates this "
                "folder with --force true"
            )


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    text = files.read_text(path)
    return text.removesuffix("\n").split("\n") if text else []


def _ids(tables: Mapping[str, Mapping[str, str]]) -> dict[str, set[str]]:
    """Return the ids of each table; those of :data:`MAY_LACK` together as one."""
    ids = {name: set(tables[name]) for name in PER_UTTERANCE if name in tables}
    if ids.keys() >= set(MAY_LACK):
        ids[" or ".join(MAY_LACK)] = set().union(*(ids.pop(name) for name in MAY_LACK))
    return ids


def _compare_ids(path: Path, tables: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return a problem for each table that lacks utterances of the others."""
    present = _ids(tables)
    all_ids = set().union(*present.values())
    problems = []
    for name, ids in present.items():
        missing = sorted(all_ids - ids)
        if missing:
            problems.append(f"{path / name}: no entry for {missing[0]}{_and_more(missing)}")
    return problems


def _check_speakers(
    path: Path, utt2spk: Mapping[str, str], inverse: Mapping[str, str] | None
) -> list[str]:
    problems = [
        f"{path / 'utt2spk'}: the id {utterance} does not start with its speaker {speaker}"
        for utterance, speaker in utt2spk.items()
        if not utterance.startswith(speaker)
    ]
    if inverse is not None and dict(inverse) != spk2utt(utt2spk):
        problems.append(f"{path / 'spk2utt'}: not the inverse of utt2spk")
    return problems


def _check_audio(path: Path, utterance: str, source: str, duration: str | None) -> list[str]:
    from jointasr.data import wav_scp  # here, because it imports numpy and soundfile

    try:
        header = wav_scp.header(source)
        wav_scp.check_format(header, source)
    except DataError as error:
        return [f"{path / 'wav.scp'}: {utterance}: {error}"]
    if duration is not None and _is_positive(duration) and float(duration) != header.duration:
        return [
            f"{path / 'utt2dur'}: {utterance}: {duration} s, but the audio has {header.duration} s"
        ]
    return []


def _is_positive(text: str) -> bool:
    try:
        return 0.0 < float(text) < float("inf")
    except ValueError:
        return False


def _tables_without(utterance: str, tables: Mapping[str, Mapping[str, str]]) -> str:
    """Return the names of the tables that lack an utterance, for messages."""
    return ", ".join(name for name, ids in _ids(tables).items() if utterance not in ids)


def _and_more(names: Collection[str]) -> str:
    """Return " and N more" for the names after the first."""
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
