"""Kaldi data directories: sorted text tables keyed by utterance or speaker."""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from jointasr.utils import files
from jointasr.utils.errors import DataError

PER_UTTERANCE = ("wav.scp", "text", "utt2spk", "utt2emo", "utt2dur")
MAY_LACK = ("text", "utt2emo")
"""Tables without those utterances that nobody has transcribed, or labelled; one of them has each"""
TABLES = (*PER_UTTERANCE, "spk2utt")
MAY_BE_EMPTY = frozenset({"text"})  # a turn of non-speech tags only, or an empty hypothesis
BLANKS = re.compile(r"[ \t]+")  # Kaldi's separators; other Unicode spaces belong to the value


def read_table(path: Path, allow_empty: bool | None = None) -> dict[str, str]:
    """``{id: rest of the line}`` in file order.

    ``allow_empty``: whether an id may stand alone; by default only in files named ``text``.
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
    """Write ``id value`` lines in the order of ``LC_ALL=C sort``, by rename.

    Code points sort as their UTF-8 bytes do, so Python's own order of str is that order.
    """
    lines = []
    for key, value in sorted(mapping.items()):
        assert key and not re.search(r"\s", key), f"{path}: the id {key!r} has blanks in it"
        assert "\n" not in value and "\r" not in value, f"{path}: line break in {key}'s value"
        lines.append(f"{key} {value}".rstrip(" ") + "\n")
    files.write_text(path, "".join(lines))


def read_json(path: Path) -> Any:
    """Read a JSON file; DataError with its name when it is missing or damaged."""
    try:
        return json.loads("\n".join(_lines(path)))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}: not JSON ({error}); make it again") from error


def read_list(path: Path) -> list[str]:
    """The ids of a list file, one per line; DataError for a blank line or a duplicate."""
    ids = _lines(path)
    seen: set[str] = set()
    for number, name in enumerate(ids, 1):
        if not name or re.search(r"\s", name):
            raise DataError(f"{path}:{number}: one id per line is expected, not {name!r}")
        if name in seen:
            raise DataError(f"{path}:{number}: {name} occurs twice")
        seen.add(name)
    return ids


def write_list(path: Path, ids: Iterable[str]) -> None:
    """Write ids sorted as ``LC_ALL=C sort`` does, one per line, by rename."""
    files.write_text(path, "".join(f"{name}\n" for name in sorted(ids)))


def spk2utt(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """The inverse table: ``{speaker: "utt utt ..."}``, both sorted."""
    speakers: dict[str, list[str]] = {}
    for utterance, speaker in sorted(utt2spk.items()):
        speakers.setdefault(speaker, []).append(utterance)
    return {speaker: " ".join(names) for speaker, names in sorted(speakers.items())}


def validate(path: Path, audio: bool = True) -> list[str]:
    """What is wrong with the data dir, one line per problem; [] when it is fine.

    Looked at: all tables exist, parse and are sorted; the same utterances in each, but that text
    or utt2emo may lack some; spk2utt is the inverse of utt2spk; ids start with their speaker;
    durations are positive. ``audio`` also opens every header: mono, 16 kHz, not truncated, as long
    as utt2dur says to the sample.
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
            problems.append(f"{path / 'utt2dur'}: {utterance} lasts {value!r} seconds")
    if audio:
        for utterance, source in tables.get("wav.scp", {}).items():
            problems += _check_audio(path, utterance, source, durations.get(utterance))
    return problems


def fix(path: Path) -> list[str]:
    """Keep the utterances that every table has (text or utt2emo is enough), sort, rebuild spk2utt;
    say what was dropped.

    A table that does not parse (a duplicate id, say) raises DataError: which of two entries is
    right is not for a program to guess. Returns one line per change.
    """
    tables = {name: read_table(path / name) for name in PER_UTTERANCE if (path / name).exists()}
    if not {"wav.scp", "text", "utt2spk"} <= tables.keys():
        raise DataError(f"{path}: wav.scp, text and utt2spk are needed in a data dir")
    keep = set.intersection(*_ids(tables).values())
    if not keep:
        raise DataError(f"{path}: no utterance is in all of {', '.join(tables)}")
    report = []
    for name, table in tables.items():
        report += [
            f"{path / name}: dropped {utterance} (not in {_absent(utterance, tables)})"
            for utterance in sorted(table.keys() - keep)
        ]
        kept = {key: value for key, value in table.items() if key in keep}
        if list(table) != sorted(table):
            report.append(f"{path / name}: sorted")
        write_table(path / name, kept)
    inverse = spk2utt({key: tables["utt2spk"][key] for key in keep})
    old = path / "spk2utt"
    if not old.exists() or read_table(old) != inverse:
        report.append(f"{old}: rebuilt from utt2spk")
    write_table(old, inverse)
    return report


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"{path} does not exist")
    text = files.read_text(path)
    return text.removesuffix("\n").split("\n") if text else []


def _ids(tables: Mapping[str, Mapping[str, str]]) -> dict[str, set[str]]:
    """Ids of each table that must have all utterances; of those that may lack some, together."""
    ids = {name: set(tables[name]) for name in PER_UTTERANCE if name in tables}
    if ids.keys() >= set(MAY_LACK):
        ids[" or ".join(MAY_LACK)] = set().union(*(ids.pop(name) for name in MAY_LACK))
    return ids


def _compare_ids(path: Path, tables: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Utterances that are in some tables only, by table."""
    present = _ids(tables)
    everyone = set().union(*present.values())
    problems = []
    for name, ids in present.items():
        missing = sorted(everyone - ids)
        if missing:
            problems.append(f"{path / name}: no entry for {missing[0]}{_others(missing)}")
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
    from jointasr.data import (
        wav_scp,
    )  # with numpy, which the steps that only list files do not need

    try:
        found = wav_scp.header(source)
        wav_scp.check(found, source)
    except DataError as error:
        return [f"{path / 'wav.scp'}: {utterance}: {error}"]
    if duration is not None and _is_positive(duration) and float(duration) != found.duration:
        return [f"{path / 'utt2dur'}: {utterance}: {duration} s, its audio {found.duration} s"]
    return []


def _is_positive(text: str) -> bool:
    try:
        return 0.0 < float(text) < float("inf")
    except ValueError:
        return False


def _absent(utterance: str, tables: Mapping[str, Mapping[str, str]]) -> str:
    return ", ".join(name for name, ids in _ids(tables).items() if utterance not in ids)


def _others(names: Collection[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
