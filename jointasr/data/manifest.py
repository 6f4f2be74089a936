"""Between lhotse manifests and Kaldi data dirs: the only module that knows both.

One cut is one utterance: cut id = recording id = supervision id, one channel, from 0 to the end.
"""

import itertools
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from lhotse import CutSet, MonoCut, SupervisionSegment
from lhotse.audio import AudioSource
from lhotse.utils import fastcopy

from jointasr.config.layout import CUTS, RECORDINGS, SUPERVISIONS
from jointasr.data import archive, datadir
from jointasr.utils import jsonl
from jointasr.utils.errors import DataError

assert archive.BACKEND is not None  # cuts loaded here must be able to read archives


def write(cuts: CutSet, path: Path, parts: bool = True) -> None:
    """Write ``cuts`` as manifests and Kaldi tables, all sorted by id, each file by rename.

    ``parts``: also write recordings and supervisions as manifests of their own (raw corpora).
    Each cut has one supervision with a speaker, and a text, ``custom["emotion"]`` or both; its
    recording is one file or one archive entry. Raises DataError naming a cut that is not so, or
    occurs twice.
    """
    ordered = sorted(cuts, key=lambda cut: cut.id)
    for before, after in itertools.pairwise(ordered):
        if before.id == after.id:
            raise DataError(f"{path}: the utterance {after.id} occurs twice")
    for cut in ordered:
        _check(cut, path)
    if not ordered:
        raise DataError(f"{path}: no utterances to write")
    utt2spk = {cut.id: cut.supervisions[0].speaker for cut in ordered}
    tables = {
        "wav.scp": {cut.id: cut.recording.sources[0].source for cut in ordered},
        "text": _known(ordered, lambda supervision: supervision.text),
        "utt2spk": utt2spk,
        "utt2emo": _known(ordered, lambda supervision: supervision.custom.get("emotion")),
        "utt2dur": {cut.id: duration(cut) for cut in ordered},
        "spk2utt": datadir.spk2utt(utt2spk),
    }
    for name, table in tables.items():
        datadir.write_table(path / name, table)
    if parts:
        jsonl.write(path / RECORDINGS, (cut.recording.to_dict() for cut in ordered))
        jsonl.write(path / SUPERVISIONS, (cut.supervisions[0].to_dict() for cut in ordered))
    jsonl.write(path / CUTS, (cut.to_dict() for cut in ordered))


def load(path: Path, lazy: bool = False) -> CutSet:
    """The cuts of a data dir, in the order of their ids.

    ``lazy``: read them from disk on each pass instead of holding them all.
    """
    file = path / CUTS
    if not file.is_file():
        raise DataError(f"{file} does not exist: run the stage that makes {path} first")
    if lazy:
        return CutSet.from_jsonl_lazy(file)
    return CutSet.from_cuts(_cut(item, n, path) for n, item in enumerate(jsonl.read(file), 1))


def subset(src: Path, dst: Path, ids: Collection[str]) -> None:
    """Write the data dir ``dst``: ``src`` cut down to ``ids``.

    Raises DataError naming an id that ``src`` lacks, or when ``ids`` is empty.
    """
    found = pick(load(src, lazy=True), ids, src)
    write(found, dst, parts=(src / RECORDINGS).is_file())


def pick(cuts: CutSet, ids: Collection[str], src: Path) -> CutSet:
    """The cuts of ``ids``; DataError naming one that is not among ``cuts`` (read from ``src``)."""
    keep = set(ids)
    found = [cut for cut in cuts if cut.id in keep]
    missing = sorted(keep - {cut.id for cut in found})
    if missing:
        raise DataError(f"{src}: no utterance {missing[0]} ({len(missing)} missing)")
    return CutSet.from_cuts(found)


def relocate(cuts: CutSet, sources: Mapping[str, str]) -> CutSet:
    """The cuts with their audio read from ``sources`` (files or archive entries) by id."""

    def move(cut: MonoCut) -> MonoCut:
        audio = [AudioSource(type="file", channels=[0], source=sources[cut.id])]
        return fastcopy(cut, recording=fastcopy(cut.recording, sources=audio))

    return CutSet.from_cuts(move(cut) for cut in cuts)


def problems(path: Path, audio: bool = True) -> list[str]:
    """:func:`datadir.validate`, and whether the cuts say the same as the tables; [] when fine."""
    found = datadir.validate(path, audio)
    if found:
        return found
    tables = {name: datadir.read_table(path / name) for name in datadir.PER_UTTERANCE}
    seen = []
    for cut in load(path, lazy=True):
        seen.append(cut.id)
        _check(cut, path)
        supervision = cut.supervisions[0]
        told = {
            "wav.scp": cut.recording.sources[0].source,
            "text": supervision.text,
            "utt2spk": supervision.speaker,
            "utt2emo": supervision.custom.get("emotion"),
            "utt2dur": duration(cut),
        }
        found += [
            f"{path / name}: {cut.id}: {tables[name].get(cut.id)!r}, but {value!r} in {CUTS}"
            for name, value in told.items()
            if tables[name].get(cut.id) != value
        ]
    if seen != list(tables["utt2spk"]):
        found.append(f"{path / CUTS}: not the utterances of the tables, or in another order")
    return found


def duration(cut: MonoCut) -> str:
    """Seconds as text that reads back as the same number; at 16 kHz at most seven decimals."""
    return repr(cut.recording.num_samples / cut.recording.sampling_rate)


def _known(
    cuts: Iterable[MonoCut], value: Callable[[SupervisionSegment], str | None]
) -> dict[str, str]:
    """A table of those cuts that have the value."""
    each = ((cut.id, value(cut.supervisions[0])) for cut in cuts)
    return {name: found for name, found in each if found is not None}


def _check(cut: MonoCut, path: Path) -> None:
    if len(cut.supervisions) != 1:
        raise DataError(f"{path}: cut {cut.id} has {len(cut.supervisions)} supervisions, not one")
    supervision = cut.supervisions[0]
    taught = supervision.text is not None or (supervision.custom or {}).get("emotion")
    if not supervision.speaker or supervision.custom is None or not taught:
        raise DataError(f"{path}: cut {cut.id} has no speaker, or neither transcript nor emotion")
    if {supervision.id, supervision.recording_id, cut.recording.id} != {cut.id}:
        raise DataError(f"{path}: cut {cut.id}: its recording or supervision has another id")
    if len(cut.recording.sources) != 1 or cut.recording.sources[0].type != "file":
        raise DataError(f"{path}: cut {cut.id}: one source of type 'file' is expected")
    if cut.start != 0 or cut.num_samples != cut.recording.num_samples:
        raise DataError(f"{path}: cut {cut.id} is only a part of its recording")


def _cut(item: Any, number: int, path: Path) -> MonoCut:
    """The cut of a manifest's line. Its audio is a file: of the other types of source that lhotse
    knows, one is a command that it would run."""
    try:
        kind = item.pop("type", "MonoCut")  # which lhotse writes beside a cut's own fields
        cut = MonoCut.from_dict(item)
        if kind != "MonoCut":
            raise DataError(f"{path}: cut {cut.id} is a {kind}; a MonoCut is expected")
        _check(cut, path)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged line leads to in there
        what = f"{type(error).__name__}: {error}"
        raise DataError(f"{path / CUTS}:{number}: not a cut ({what}); make it again") from None
    return cut
