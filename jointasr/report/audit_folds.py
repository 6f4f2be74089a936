"""Audit of the folds: utterances, speakers and dialogues shared by training, dev and test."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jointasr.config import layout
from jointasr.data import datadir
from jointasr.prep import folds
from jointasr.prep.folds import FoldUtterance
from jointasr.report.findings import Finding, all_of, expect_none
from jointasr.scoring.pooling import DecodedFold
from jointasr.utils import done, files


class FoldSplits(NamedTuple):
    """Utterances of a fold's data dirs."""

    train: list[FoldUtterance]
    dev: list[FoldUtterance]
    test: list[FoldUtterance]


def overlaps(fold_dirs: Sequence[Path], decoded: Sequence[DecodedFold]) -> Iterable[Finding]:
    """Check that training, dev and test sets are disjoint.

    In a speaker fold, the partner of the test speaker is in training, as in the paper: shared
    dialogues are expected and only counted. Sentences that recur word for word are counted too.
    """
    by_name = {_name(path, fold_dirs): _read_splits(path, decoded) for path in fold_dirs}
    for check, violations in (
        ("utterances in training and test", _shared(by_name, "id", "train", "test")),
        ("utterances in dev and test", _shared(by_name, "id", "dev", "test")),
        ("utterances in training and dev", _shared(by_name, "id", "train", "dev")),
        ("speakers in training and test", _shared(by_name, "speaker", "train", "test")),
        ("speakers in dev and test", _shared(by_name, "speaker", "dev", "test")),
        ("dialogues in training and dev", _shared(by_name, "dialogue", "train", "dev")),
    ):
        yield from expect_none(check, violations)
    yield from _shared_dialogues(fold_dirs, by_name)
    check = "test sentences that occur in training"
    yield Finding(check, all_of(by_name), _recurring_sentences(by_name), None)


def _shared_dialogues(
    fold_dirs: Sequence[Path], by_name: Mapping[str, FoldSplits]
) -> Iterable[Finding]:
    check = "dialogues in training and test"
    shared = _shared(by_name, "dialogue", "train", "test")
    disjoint = {
        _name(path, fold_dirs) for path in fold_dirs if layout.scheme_name(path) != "speaker"
    }
    if disjoint:
        yield from expect_none(check, {name: shared[name] for name in disjoint})
    speaker_folds = {name: splits for name, splits in by_name.items() if name not in disjoint}
    if speaker_folds:
        count = sum(len(shared[name]) for name in speaker_folds)
        total = sum(
            len({utterance.dialogue for utterance in splits.test})
            for splits in speaker_folds.values()
        )
        value = f"{count} of {total}: the speakers of a session share its dialogues"
        yield Finding(check, all_of(speaker_folds), value, None)


def _read_splits(fold_dir: Path, decoded: Sequence[DecodedFold]) -> FoldSplits:
    """Read all training, dev and test dirs that the models of a fold used."""
    same_fold = [fold for fold in decoded if Path(fold.model.data) == fold_dir]
    data_dirs = {
        "train": {layout.set_dir(fold_dir, "train", fold.model.train) for fold in same_fold},
        "dev": {layout.set_dir(fold_dir, "dev", fold.model.train) for fold in same_fold},
        "test": {fold.test_dir for fold in same_fold},
    }
    splits = {
        split: sorted({utt for path in sorted(paths) for utt in folds.read_utterances(path)})
        for split, paths in data_dirs.items()
    }
    return FoldSplits(**splits)


def _shared(
    by_name: Mapping[str, FoldSplits], field: str, split: str, other: str
) -> dict[str, list[str]]:
    """Return by fold the values of a field that occur in both splits."""
    return {
        name: sorted(
            {getattr(utterance, field) for utterance in getattr(splits, split)}
            & {getattr(utterance, field) for utterance in getattr(splits, other)}
        )
        for name, splits in by_name.items()
    }


def _recurring_sentences(by_name: Mapping[str, FoldSplits]) -> str:
    """Count, by style, the test utterances whose transcript also occurs in training."""
    totals: Counter[str] = Counter()
    recurring: Counter[str] = Counter()
    for splits in by_name.values():
        train_texts = {utterance.text for utterance in splits.train}
        for utterance in splits.test:
            if utterance.text:
                totals[utterance.style or "other"] += 1
                recurring[utterance.style or "other"] += utterance.text in train_texts
    styles = ", ".join(f"{style} {recurring[style]} of {totals[style]}" for style in sorted(totals))
    return f"{sum(recurring.values())} of {sum(totals.values())} ({styles})"


def excluded_utterances(fold_dirs: Sequence[Path]) -> Iterable[Finding]:
    """Count, by reason, the utterances of the prepared corpora that were excluded."""
    for data in sorted({layout.data_folder(path) for path in fold_dirs}):
        selected_dir = layout.selected_dir(data)
        selected = datadir.read_table(selected_dir / "utt2spk")
        used_labels = {"", *datadir.read_table(selected_dir / "utt2emo").values()}
        for corpus in files.read_json(selected_dir / done.NAME)["inputs"]:
            emotions = datadir.read_table(Path(corpus) / "utt2emo")
            texts = datadir.read_table(Path(corpus) / "text")
            utterances = datadir.read_table(Path(corpus) / "utt2spk").keys()
            reasons: Counter[str] = Counter()
            for utt in utterances - selected.keys():
                if emotions.get(utt, "") not in used_labels:
                    reasons[f"label {emotions[utt]}"] += 1
                elif texts.get(utt) == "":
                    reasons["no words"] += 1
            unexplained = len(utterances - selected.keys()) - sum(reasons.values())
            value = f"{len(selected)} of {len(utterances)} used; excluded: "
            value += ", ".join(f"{why} {n}" for why, n in sorted(reasons.items())) or "none"
            if unexplained:
                value += f", without a reason {unexplained}"
            yield Finding("excluded utterances", corpus, value, False if unexplained else None)


def _name(fold_dir: Path, fold_dirs: Sequence[Path]) -> str:
    """Return the name of a fold, or its path if the folds are in different folders."""
    parents = {other.parent for other in fold_dirs}
    return fold_dir.name if len(parents) == 1 else str(fold_dir)
