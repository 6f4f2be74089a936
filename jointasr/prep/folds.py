"""Who trains, who validates, who is tested: leave one speaker, or one session, out, or as given.

A speaker is who speaks the turn, not whose dialogue it is. The two speakers of a session share all
its dialogues, so in a speaker fold the test speaker's partner trains (PAPER.md: one speaker tests,
nine train) on turns of the very dialogues that are tested. That is allowed, counted and shown; the
session scheme avoids it.

Validation by ``heldout`` takes whole dialogues: all turns that the training speakers have in one
go to dev, so that no dialogue is on both sides of train and dev. The share is met per speaker:
each training speaker has round(fraction * dialogues), at least one, of theirs in dev. A dialogue
counts for every training speaker in it, hence for both of its speakers, except in the test
speaker's session, where it counts for the partner alone. ``partner`` validates on the other
speaker of the test speaker's session, and the eight others train.

Scheme ``given`` reads the supervisions' ``custom["fold"]``: the name of the fold in which the turn
is tested, or, where those are "train", "dev" and "test", the one fold's lists themselves.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jointasr.config import layout
from jointasr.data import datadir
from jointasr.text import lang
from jointasr.utils import files, jsonl, rng
from jointasr.utils.errors import DataError

FILE = "folds.json"
SPLITS = ("train", "dev", "test")
SCHEMES = ("speaker", "session", "given")
GIVEN = "given"
"""name of the fold of a corpus that has the three lists itself"""


class FoldUtterance(NamedTuple):
    """What folds are made from."""

    id: str
    speaker: str
    session: str
    dialogue: str
    style: str
    text: str
    fold: str = ""


class Fold(NamedTuple):
    """Turns of one fold, each list sorted by id."""

    name: str
    train: list[FoldUtterance]
    dev: list[FoldUtterance]
    test: list[FoldUtterance]


def read_utterances(path: Path) -> list[FoldUtterance]:
    """The turns of a data dir, raw (with manifests) or a fold's (with cuts), sorted by id."""
    turns = []
    raw = path / layout.SUPERVISIONS
    cuts = (cut["supervisions"][0] for cut in jsonl.read(path / layout.CUTS))
    for item in jsonl.read(raw) if raw.is_file() else cuts:
        custom = item.get("custom") or {}
        missing = [key for key in ("session", "dialogue") if not custom.get(key)]
        if missing:
            raise DataError(f"{path}: {item['id']} has no {missing[0]} in its supervision")
        turns.append(
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
    return sorted(turns)


def make(
    turns: Sequence[FoldUtterance], scheme: str, dev: str, fraction: float, seed: int
) -> list[Fold]:
    """All folds, by name. Each turn is in exactly one list of each fold.

    ``scheme``: "speaker" or "session"; ``dev``: "heldout" (``fraction`` of each training speaker's
    dialogues, 0 < fraction < 1) or "partner" (speaker scheme only). Raises DataError when a fold
    cannot be made, saying which and why.
    """
    assert scheme in SCHEMES and dev in ("heldout", "partner"), (scheme, dev)
    if scheme == "given":
        without = [turn.id for turn in turns if not turn.fold]
        if without:
            raise DataError(f"data.scheme: given, but {without[0]} has no fold")
    if dev == "partner" and scheme != "speaker":
        raise DataError(
            f"data.dev: partner goes with data.scheme: speaker; use heldout for {scheme}"
        )
    if not 0 < fraction < 1:
        raise DataError(f"data.dev_fraction: {fraction} is not between 0 and 1")
    if scheme == "given" and _lists(turns):
        return [_complete(Fold(GIVEN, *([t for t in turns if t.fold == s] for s in SPLITS)))]
    folds = []
    for name in units(turns, scheme):
        test = [turn for turn in turns if _unit(turn, scheme) == name]
        rest = [turn for turn in turns if _unit(turn, scheme) != name]
        if dev == "partner":
            sessions = {turn.session for turn in test}
            chosen = {turn.id for turn in rest if turn.session in sessions}
        else:
            dialogues = _held_out(rest, fraction, seed, scheme, name)
            chosen = {turn.id for turn in rest if turn.dialogue in dialogues}
        train = [turn for turn in rest if turn.id not in chosen]
        held = [turn for turn in rest if turn.id in chosen]
        folds.append(_complete(Fold(name, train, held, test)))
    return folds


def units(turns: Sequence[FoldUtterance], scheme: str) -> list[str]:
    """Names of the folds: the speakers or sessions there are, or what is given, sorted."""
    if scheme == "given" and _lists(turns):
        return [GIVEN]
    return sorted({_unit(turn, scheme) for turn in turns})


def summary(fold: Fold) -> dict[str, Any]:
    """Counts of a fold: turns and speakers, dialogues and sentences shared with the test set.

    ``shared_sentences`` are the test turns with words whose transcript occurs, word for word,
    among the training turns'; also for improvised and scripted turns apart.
    """
    counts: dict[str, Any] = {
        split: {
            "utterances": len(turns),
            "speakers": sorted({turn.speaker for turn in turns}),
            "dialogues": len({turn.dialogue for turn in turns}),
        }
        for split, turns in zip(SPLITS, fold[1:], strict=True)
    }
    tested = {turn.dialogue for turn in fold.test}
    for split, turns in (("train", fold.train), ("dev", fold.dev)):
        shared = [turn for turn in turns if turn.dialogue in tested]
        counts[split]["dialogues_shared_with_test"] = len({turn.dialogue for turn in shared})
        counts[split]["utterances_in_shared_dialogues"] = len(shared)
    trained = {turn.text for turn in fold.train}
    spoken = [turn for turn in fold.test if turn.text]
    styles = sorted({turn.style for turn in spoken if turn.style})
    counts["shared_sentences"] = {
        "all": _seen(spoken, trained),
        **{style: _seen([t for t in spoken if t.style == style], trained) for style in styles},
    }
    return counts


def write(folds: Sequence[Fold], out: Path, options: dict[str, Any]) -> dict[str, Any]:
    """Write ``<fold>/{train,dev,test}.list`` and ``folds.json`` (returned) below ``out``."""
    for fold in folds:
        for split, turns in zip(SPLITS, fold[1:], strict=True):
            datadir.write_list(
                layout.list_file(out / fold.name, split), [turn.id for turn in turns]
            )
    record = {**options, "folds": {fold.name: summary(fold) for fold in folds}}
    files.write_json(out / FILE, record)
    return record


def names(path: Path, wanted: Sequence[str]) -> list[str]:
    """The folds asked for (all, when ``wanted`` is empty) of the folder ``path``.

    Raises DataError naming one that does not exist, or occurs twice.
    """
    if not (path / FILE).is_file():
        raise DataError(f"{path}: no folds there; run stage 3 first")
    known = list(datadir.read_json(path / FILE)["folds"])
    for name in wanted:
        if name not in known:
            raise DataError(f"fold {name} does not exist in {path}; there are {' '.join(known)}")
    if len(set(wanted)) != len(wanted):
        raise DataError(f"a fold is named twice: {' '.join(wanted)}")
    return list(wanted) or known


def checked_texts(source: Path, letters: str) -> dict[str, str]:
    """All transcripts of a table, training and test.

    Raises DataError naming an utterance and a character that is none of ``letters``.
    """
    if not source.is_file():
        raise DataError(f"{source} does not exist: run stage 2 first")
    texts = datadir.read_table(source)
    for utterance, text in texts.items():
        lang.check_characters(text, letters, utterance, str(source))
    return texts


def texts_of(texts: Mapping[str, str], ids: Path) -> list[str]:
    """Transcripts of the utterances listed in ``ids``, in its order; some may have none."""
    return [texts[name] for name in datadir.read_list(ids) if name in texts]


def _held_out(
    turns: Sequence[FoldUtterance], fraction: float, seed: int, scheme: str, fold: str
) -> set[str]:
    """Dialogues for dev: in a random order, each speaker in turn adds what their share lacks.

    A dialogue that would leave one of its speakers with nothing to train on is passed over. Where
    nobody has a dialogue to spare, the share of all dialogues is taken, with all their speakers.
    """
    speakers: dict[str, set[str]] = {}  # of each dialogue
    dialogues: dict[str, set[str]] = {}  # of each speaker
    for turn in turns:
        speakers.setdefault(turn.dialogue, set()).add(turn.speaker)
        dialogues.setdefault(turn.speaker, set()).add(turn.dialogue)
    chosen: set[str] = set()
    for speaker in sorted(dialogues):
        share = max(1, round(fraction * len(dialogues[speaker])))
        order = sorted(
            dialogues[speaker], key=lambda name: rng.derive(seed, "dev", scheme, fold, name)
        )
        for name in order:
            if len(chosen & dialogues[speaker]) >= share:
                break
            if all(dialogues[other] - chosen - {name} for other in speakers[name]):
                chosen.add(name)
    if not chosen and len(speakers) > 1:
        order = sorted(speakers, key=lambda name: rng.derive(seed, "dev", scheme, fold, name))
        chosen.update(order[: min(max(1, round(fraction * len(order))), len(order) - 1)])
    return chosen


def _complete(fold: Fold) -> Fold:
    for split, turns in zip(SPLITS, fold[1:], strict=True):
        if not turns:
            raise DataError(f"fold {fold.name}: no turns for {split}; is the corpus complete?")
    return fold


def _lists(turns: Sequence[FoldUtterance]) -> bool:
    """Whether the given folds are the lists of one. Raises DataError for a mixture of both."""
    named = {turn.fold for turn in turns}
    if named & set(SPLITS) and named != set(SPLITS):
        raise DataError(
            f"data.scheme: given: folds are named {' '.join(sorted(named))}; give train, dev and "
            "test, all three, or other names of the folds that test"
        )
    return named == set(SPLITS)


def _unit(turn: FoldUtterance, scheme: str) -> str:
    return {"speaker": turn.speaker, "session": turn.session, "given": turn.fold}[scheme]


def _seen(turns: Sequence[FoldUtterance], trained: set[str]) -> dict[str, int]:
    return {"utterances": len(turns), "in_train": sum(turn.text in trained for turn in turns)}
