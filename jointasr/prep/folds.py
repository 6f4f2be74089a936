"""Folds of cross-validation: leave-one-speaker-out, leave-one-session-out, or given by the corpus.

The speaker of an utterance is the person who speaks, not the person with motion capture markers,
after whom the dialogue is named. The two speakers of a session share all its dialogues. In a
speaker fold (one test speaker, nine training speakers), the training set therefore has utterances
of the test speaker's partner from the test dialogues. They are counted and reported; scheme
``session`` has none.

Dev set ``heldout`` consists of whole dialogues: all utterances of the training speakers in such a
dialogue are in dev, so that train and dev share no dialogue. Each training speaker has
round(fraction * dialogues), but at least one, of their dialogues in dev. A dialogue counts for each
of its training speakers: for both speakers, except in the test speaker's session. Dev set
``partner`` consists of the other speaker of the test speaker's session; the other eight are in
train.

Scheme ``given`` reads ``custom["fold"]`` of the supervisions: the name of the fold whose test set
has the utterance or, where the names are "train", "dev" and "test", the sets of a single fold.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from jointasr.config import layout
from jointasr.config.layout import SCHEMES
from jointasr.data import datadir
from jointasr.text import lang
from jointasr.utils import files, jsonl, rng
from jointasr.utils.errors import DataError

FILE = "folds.json"
SPLITS = ("train", "dev", "test")
GIVEN = "given"
"""name of the single fold where the corpus gives train, dev and test sets"""


class FoldUtterance(NamedTuple):
    """The properties of an utterance that determine its split in each fold."""

    id: str
    speaker: str
    session: str
    dialogue: str
    style: str
    text: str
    fold: str = ""
    """as given by the corpus; "" if it gives none"""


class Fold(NamedTuple):
    """The utterances of one fold, each list sorted by id."""

    name: str
    train: list[FoldUtterance]
    dev: list[FoldUtterance]
    test: list[FoldUtterance]


def read_utterances(path: Path, check_tables: bool = False) -> list[FoldUtterance]:
    """Read the utterances of a data dir, sorted by id, from its supervisions, else its cuts.

    ``check_tables``: raise DataError if text, utt2spk or utt2emo differs from them, or if a Kaldi
    table of the data dir has other utterances. The values of wav.scp and utt2dur, which
    supervisions lack, are compared by :func:`jointasr.data.manifest.load`.
    """
    utterances = []
    raw = path / layout.SUPERVISIONS
    cuts = (cut["supervisions"][0] for cut in jsonl.read(path / layout.CUTS))
    manifest = layout.SUPERVISIONS if raw.is_file() else layout.CUTS
    tables = datadir.ManifestCheck(path, manifest) if check_tables else None
    for item in jsonl.read(raw) if raw.is_file() else cuts:
        custom = item.get("custom") or {}
        if tables is not None:
            values = {"text": item.get("text"), "utt2emo": custom.get("emotion")}
            tables.check(item["id"], {**values, "utt2spk": item["speaker"]})
        missing = [key for key in ("session", "dialogue") if not custom.get(key)]
        if missing:
            raise DataError(f"{path}: {item['id']} has no {missing[0]} in its supervision")
        utterances.append(
            FoldUtterance(
                item["id"],
                item["speaker"],
                custom["session"],
                custom["dialogue"],
                custom.get("style", ""),
                item.get("text") or "",
                custom.get("fold", ""),
            )
        )
    if tables is not None:
        tables.check_ids([utterance.id for utterance in utterances])
    return sorted(utterances)


def make(
    utterances: Sequence[FoldUtterance], scheme: str, dev: str, fraction: float, seed: int
) -> list[Fold]:
    """Return all folds, sorted by name. Each utterance is in exactly one split of a fold.

    ``scheme``: one of SCHEMES. ``dev``: "heldout" (``fraction`` of each training speaker's
    dialogues, 0 < fraction < 1) or "partner" (scheme "speaker" only). Raises DataError naming a
    fold that cannot be made.
    """
    assert scheme in SCHEMES and dev in ("heldout", "partner"), (scheme, dev)
    if scheme == "given":
        missing = [utterance.id for utterance in utterances if not utterance.fold]
        if missing:
            raise DataError(f"data.scheme: given, but {missing[0]} has no fold")
    if dev == "partner" and scheme != "speaker":
        raise DataError(
            f"data.dev: partner requires data.scheme: speaker; use heldout for {scheme}"
        )
    if not 0 < fraction < 1:
        raise DataError(f"data.dev_fraction: {fraction} is not between 0 and 1")
    if scheme == "given" and _gives_splits(utterances):
        splits = [[u for u in utterances if u.fold == split] for split in SPLITS]
        return [_require_utterances(Fold(GIVEN, *splits))]
    folds = []
    for name in fold_names(utterances, scheme):
        test = [u for u in utterances if _test_fold(u, scheme) == name]
        rest = [u for u in utterances if _test_fold(u, scheme) != name]
        if dev == "partner":
            sessions = {u.session for u in test}
            dev_ids = {u.id for u in rest if u.session in sessions}
        else:
            dialogues = _held_out(rest, fraction, seed, scheme, name)
            dev_ids = {u.id for u in rest if u.dialogue in dialogues}
        train = [u for u in rest if u.id not in dev_ids]
        held_out = [u for u in rest if u.id in dev_ids]
        folds.append(_require_utterances(Fold(name, train, held_out, test)))
    return folds


def fold_names(utterances: Sequence[FoldUtterance], scheme: str) -> list[str]:
    """Return the names of the folds, sorted: all speakers, sessions or given names."""
    if scheme == "given" and _gives_splits(utterances):
        return [GIVEN]
    return sorted({_test_fold(utterance, scheme) for utterance in utterances})


def summary(fold: Fold) -> dict[str, Any]:
    """Count utterances of a fold, and dialogues and sentences that the test set shares.

    ``shared_sentences`` counts the test utterances with words whose transcript also occurs in the
    training set: all, and by style where styles are known.
    """
    counts: dict[str, Any] = {
        split: {
            "utterances": len(utterances),
            "speakers": sorted({u.speaker for u in utterances}),
            "dialogues": len({u.dialogue for u in utterances}),
        }
        for split, utterances in zip(SPLITS, fold[1:], strict=True)
    }
    test_dialogues = {u.dialogue for u in fold.test}
    for split, utterances in (("train", fold.train), ("dev", fold.dev)):
        shared = [u for u in utterances if u.dialogue in test_dialogues]
        counts[split]["dialogues_shared_with_test"] = len({u.dialogue for u in shared})
        counts[split]["utterances_in_shared_dialogues"] = len(shared)
    train_texts = {u.text for u in fold.train}
    spoken = [u for u in fold.test if u.text]
    styles = sorted({u.style for u in spoken if u.style})
    counts["shared_sentences"] = {
        "all": _count_in_train(spoken, train_texts),
        **{
            style: _count_in_train([u for u in spoken if u.style == style], train_texts)
            for style in styles
        },
    }
    return counts


def write(folds: Sequence[Fold], out: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Write ``<fold>/{train,dev,test}.list`` and ``folds.json`` to ``out``; return the latter."""
    for fold in folds:
        for split, utterances in zip(SPLITS, fold[1:], strict=True):
            ids = [utterance.id for utterance in utterances]
            datadir.write_list(layout.list_file(out / fold.name, split), ids)
    record = {**options, "folds": {fold.name: summary(fold) for fold in folds}}
    files.write_json(out / FILE, record)
    return record


def select(path: Path, requested: Sequence[str]) -> list[str]:
    """Return the requested folds of the folder ``path``; all folds if none is requested.

    Raises DataError naming a fold that does not exist or that is requested twice.
    """
    if not (path / FILE).is_file():
        raise DataError(f"{path}: no folds there; run stage 3 first")
    existing = list(files.read_json(path / FILE)["folds"])
    for name in requested:
        if name not in existing:
            raise DataError(f"fold {name} does not exist in {path}; there are {' '.join(existing)}")
    if len(set(requested)) != len(requested):
        raise DataError(f"a fold is named twice: {' '.join(requested)}")
    return list(requested) or existing


def read_transcripts(source: Path, letters: str) -> dict[str, str]:
    """Read a table of transcripts, ``{utterance: text}``.

    Raises DataError naming an utterance with a character that is not in ``letters``.
    """
    if not source.is_file():
        raise DataError(f"{source} does not exist: run stage 2 first")
    texts = datadir.read_table(source)
    for utterance, text in texts.items():
        lang.check_characters(text, letters, utterance, str(source))
    return texts


@cache
def check_tables(path: Path) -> None:
    """Compare the tables of a data dir with its cuts, once per process.

    Raises DataError if a table was edited: models of text must use the transcripts of the cuts.
    """
    from jointasr.data import manifest  # here, because it imports lhotse

    manifest.load(path)


def select_transcripts(texts: Mapping[str, str], ids: Path) -> list[str]:
    """Return the transcripts of the utterances listed in the file ``ids``, without missing ones."""
    return [texts[name] for name in datadir.read_list(ids) if name in texts]


def _held_out(
    utterances: Sequence[FoldUtterance], fraction: float, seed: int, scheme: str, fold: str
) -> set[str]:
    """Choose the dialogues of dev in random order for each speaker, until it has the share.

    A dialogue that would leave one of its speakers without training data is skipped. Where all
    dialogues are skipped (one dialogue per speaker), the share is taken of all dialogues together.
    """
    speakers: dict[str, set[str]] = {}  # by dialogue
    dialogues: dict[str, set[str]] = {}  # by speaker
    for utterance in utterances:
        speakers.setdefault(utterance.dialogue, set()).add(utterance.speaker)
        dialogues.setdefault(utterance.speaker, set()).add(utterance.dialogue)

    def shuffled(names: set[str]) -> list[str]:
        return sorted(names, key=lambda name: rng.derive(seed, "dev", scheme, fold, name))

    chosen: set[str] = set()
    for speaker in sorted(dialogues):
        share = max(1, round(fraction * len(dialogues[speaker])))
        for name in shuffled(dialogues[speaker]):
            if len(chosen & dialogues[speaker]) >= share:
                break
            if all(dialogues[other] - chosen - {name} for other in speakers[name]):
                chosen.add(name)
    if not chosen and len(speakers) > 1:
        share = min(max(1, round(fraction * len(speakers))), len(speakers) - 1)
        chosen.update(shuffled(set(speakers))[:share])
    return chosen


def _require_utterances(fold: Fold) -> Fold:
    for split, utterances in zip(SPLITS, fold[1:], strict=True):
        if not utterances:
            raise DataError(f"fold {fold.name}: no utterances for {split}; is the corpus complete?")
    return fold


def _gives_splits(utterances: Sequence[FoldUtterance]) -> bool:
    """Return whether given folds are train, dev and test; raise DataError if only some are."""
    names = {utterance.fold for utterance in utterances}
    if names & set(SPLITS) and names != set(SPLITS):
        raise DataError(
            f"data.scheme: given: folds are named {' '.join(sorted(names))}; give train, dev and "
            "test, all three, or other names for the folds to test"
        )
    return names == set(SPLITS)


def _test_fold(utterance: FoldUtterance, scheme: str) -> str:
    """Return the name of the fold whose test set has the utterance."""
    fold_by_scheme = {
        "speaker": utterance.speaker,
        "session": utterance.session,
        "given": utterance.fold,
    }
    return fold_by_scheme[scheme]


def _count_in_train(utterances: Sequence[FoldUtterance], train_texts: set[str]) -> dict[str, int]:
    return {
        "utterances": len(utterances),
        "in_train": sum(u.text in train_texts for u in utterances),
    }
