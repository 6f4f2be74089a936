"""Conversion between lhotse manifests and Kaldi data dirs.

A data dir has the same utterances as Kaldi tables and as lhotse cuts. Reading the cuts compares
them with the tables, so that an edited table is an error and never silently ignored. One cut is
one utterance: cut, recording and supervision have the same id, one channel, and the cut covers the
complete recording.
"""

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lhotse import CutSet, MonoCut
from lhotse.audio import AudioSource
from lhotse.utils import fastcopy

from jointasr.config.layout import CUTS, RECORDINGS, SUPERVISIONS
from jointasr.data import archive, datadir
from jointasr.utils import jsonl
from jointasr.utils.errors import DataError

assert archive.BACKEND is not None  # importing archive lets cuts read archives


def write(cuts: CutSet, path: Path, parts: bool = True) -> None:
    """Write ``cuts`` as manifests and Kaldi tables, sorted by id, each file atomically.

    ``parts``: also write separate manifests of recordings and supervisions (raw corpora). Each cut
    must have one supervision with a speaker, and a text, ``custom["emotion"]`` or both; its
    recording must be one file or one archive entry. Raises DataError naming an invalid or duplicate
    cut.
    """
    ordered = sorted(cuts, key=lambda cut: cut.id)
    for before, after in itertools.pairwise(ordered):
        if before.id == after.id:
            raise DataError(f"{path}: the utterance {after.id} occurs twice")
    for cut in ordered:
        _check(cut, path)
    if not ordered:
        raise DataError(f"{path}: no utterances to write")
    tables: dict[str, dict[str, str]] = {name: {} for name in datadir.PER_UTTERANCE}
    for cut in ordered:
        for name, value in table_values(cut).items():
            if value is not None:
                tables[name][cut.id] = value
    tables["spk2utt"] = datadir.spk2utt(tables["utt2spk"])
    for name, table in tables.items():
        datadir.write_table(path / name, table)
    if parts:
        jsonl.write(path / RECORDINGS, (cut.recording.to_dict() for cut in ordered))
        jsonl.write(path / SUPERVISIONS, (cut.supervisions[0].to_dict() for cut in ordered))
    jsonl.write(path / CUTS, (cut.to_dict() for cut in ordered))


def load(path: Path) -> CutSet:
    """Return the cuts of a data dir, in the order of their ids.

    Raises DataError naming file and line or id if the cuts are missing or damaged, or if a table of
    the data dir differs from them.
    """
    tables = datadir.ManifestCheck(path, CUTS)
    cuts = []
    for cut in _read(path):
        tables.check(cut.id, table_values(cut))
        cuts.append(cut)
    tables.check_ids([cut.id for cut in cuts])
    return CutSet.from_cuts(cuts)


def subset(src: Path, dst: Path, ids: Collection[str]) -> None:
    """Write ``dst``, a data dir of the utterances ``ids`` of ``src``.

    Raises DataError if ``src`` lacks an id or its tables differ from its cuts, or if ``ids`` is
    empty.
    """
    tables = datadir.ManifestCheck(src, CUTS)
    cuts = pick(_read(src), ids, src)  # not load(): a large corpus may not fit into memory
    for cut in cuts:
        tables.check(cut.id, table_values(cut))
    write(cuts, dst, parts=(src / RECORDINGS).is_file())


def pick(cuts: Iterable[MonoCut], ids: Collection[str], src: Path) -> CutSet:
    """Return the cuts of ``ids``. Raises DataError naming ``src`` if one is missing."""
    keep = set(ids)
    chosen = [cut for cut in cuts if cut.id in keep]
    missing = sorted(keep - {cut.id for cut in chosen})
    if missing:
        raise DataError(f"{src}: no utterance {missing[0]} ({len(missing)} missing)")
    return CutSet.from_cuts(chosen)


def relocate(cuts: CutSet, sources: Mapping[str, str]) -> CutSet:
    """Return the cuts with audio from ``sources``: ``{id: file or archive entry}``."""

    def move(cut: MonoCut) -> MonoCut:
        audio = [AudioSource(type="file", channels=[0], source=sources[cut.id])]
        return fastcopy(cut, recording=fastcopy(cut.recording, sources=audio))

    return CutSet.from_cuts(move(cut) for cut in cuts)


def validate(path: Path, audio: bool = True) -> list[str]:
    """Return the problems of :func:`datadir.validate`, or all differences of cuts and tables."""
    problems = datadir.validate(path, audio)
    if problems:
        return problems
    tables = datadir.ManifestCheck(path, CUTS)
    ids = []
    for cut in _read(path):
        ids.append(cut.id)
        problems += tables.differences(cut.id, table_values(cut))
    return problems + tables.id_differences(ids)


def table_values(cut: MonoCut) -> dict[str, str | None]:
    """Return the values of an utterance in the tables :data:`datadir.PER_UTTERANCE`, or None."""
    (supervision,) = cut.supervisions
    return {
        "wav.scp": cut.recording.sources[0].source,
        "text": supervision.text,
        "utt2spk": supervision.speaker,
        "utt2emo": supervision.custom.get("emotion"),
        "utt2dur": duration(cut),
    }


def duration(cut: MonoCut) -> str:
    """Return the duration in seconds as text that reads back as the same number."""
    return repr(cut.recording.num_samples / cut.recording.sampling_rate)


def _read(path: Path) -> Iterator[MonoCut]:
    """Yield the cuts of a data dir without comparing them with its tables."""
    file = path / CUTS
    if not file.is_file():
        raise DataError(f"{file} does not exist: run the stage that creates {path} first")
    for number, item in enumerate(jsonl.read(file), 1):
        yield _parse_cut(item, number, path)


def _check(cut: MonoCut, path: Path) -> None:
    if len(cut.supervisions) != 1:
        raise DataError(f"{path}: cut {cut.id} has {len(cut.supervisions)} supervisions, not one")
    supervision = cut.supervisions[0]
    labelled = supervision.text is not None or (supervision.custom or {}).get("emotion")
    if not supervision.speaker or supervision.custom is None or not labelled:
        raise DataError(f"{path}: cut {cut.id} has no speaker, or neither transcript nor emotion")
    if {supervision.id, supervision.recording_id, cut.recording.id} != {cut.id}:
        raise DataError(f"{path}: cut {cut.id}: its recording or supervision has another id")
    if len(cut.recording.sources) != 1 or cut.recording.sources[0].type != "file":
        raise DataError(f"{path}: cut {cut.id}: expected one source of type 'file'")
    if cut.start != 0 or cut.num_samples != cut.recording.num_samples:
        raise DataError(f"{path}: cut {cut.id} does not cover its recording")


def _parse_cut(item: Any, number: int, path: Path) -> MonoCut:
    """Return the cut of a manifest line.

    Sources other than files are refused, because lhotse executes sources of type "command".
    """
    try:
        kind = item.pop("type", "MonoCut")  # added by lhotse
        cut = MonoCut.from_dict(item)
        if kind != "MonoCut":
            raise DataError(f"{path}: cut {cut.id} is a {kind}; expected a MonoCut")
        _check(cut, path)
    except DataError:
        raise
    except Exception as error:  # lhotse raises many types for damaged lines
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{path / CUTS}:{number}: not a cut ({reason}); recreate it") from None
    return cut
