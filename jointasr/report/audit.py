"""What training and test share, and whether all is as it should be: read anew from the disk.

Nothing here trusts what an earlier stage said of itself, where the files can be looked at.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jointasr.config import layout, scenarios
from jointasr.data import datadir
from jointasr.prep import folds
from jointasr.prep.folds import FoldUtterance
from jointasr.report import audit_noise, audit_training
from jointasr.report.findings import Finding, everywhere, none
from jointasr.scoring import decode_dir
from jointasr.scoring.pooling import Part
from jointasr.utils import done, jsonl
from jointasr.utils.errors import DataError


class FoldLists(NamedTuple):
    """The turns of a fold's data dirs."""

    train: list[FoldUtterance]
    dev: list[FoldUtterance]
    test: list[FoldUtterance]


def audit(parts: Sequence[Part]) -> list[Finding]:
    """Findings about the decode folders of a report and the models behind them.

    Read below the current folder. What cannot be read is a finding that failed, not an error.
    """
    models = {part.decode.parent: part.model for part in parts}
    homes = sorted({Path(model.data) for model in models.values()})
    checks: list[tuple[str, Callable[[], Iterable[Finding]]]] = [
        ("training and test apart", lambda: _apart(homes, parts)),
        ("references", lambda: _references(parts)),
        ("audio", lambda: _audio(parts)),
        ("hypotheses", lambda: _hypotheses(parts)),
        ("audio that could not be read", lambda: _unread(parts)),
        ("utterances left out", lambda: _left_out(homes)),
        ("checkpoint", lambda: audit_training.selected(parts)),
        ("language models", lambda: audit_training.language_models(parts)),
        ("equal budgets", lambda: audit_training.budgets(parts)),
        ("noise", lambda: _noise(homes, parts)),
    ]
    found: list[Finding] = []
    for name, check in checks:
        found += _look(name, check)
    return found


def _look(name: str, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    try:
        return list(check())
    except (DataError, OSError) as error:
        return [Finding(name, "", f"could not be looked at: {error}", False)]


# ---- folds -------------------------------------------------------------------------------------


def _apart(homes: Sequence[Path], parts: Sequence[Part]) -> Iterable[Finding]:
    read = {home: _fold(home, parts) for home in homes}
    by_name = {_name(home, homes): fold for home, fold in read.items()}
    for check, culprits in (
        ("utterances in training and test", _shared(by_name, "id", "train", "test")),
        ("utterances in dev and test", _shared(by_name, "id", "dev", "test")),
        ("utterances in training and dev", _shared(by_name, "id", "train", "dev")),
        ("speakers in training and test", _shared(by_name, "speaker", "train", "test")),
        ("speakers in dev and test", _shared(by_name, "speaker", "dev", "test")),
        ("dialogues in training and dev", _shared(by_name, "dialogue", "train", "dev")),
    ):
        yield from none(check, culprits)
    sessions = {_name(home, homes) for home in homes if home.parent.name != "speaker"}
    shared = _shared(by_name, "dialogue", "train", "test")
    if sessions:
        yield from none("dialogues in training and test", {k: shared[k] for k in sessions})
    rest = {name: fold for name, fold in by_name.items() if name not in sessions}
    if rest:
        lost = sum(len(shared[name]) for name in rest)
        total = sum(len({turn.dialogue for turn in fold.test}) for fold in rest.values())
        value = f"{lost} of {total}: the speakers of a session share its dialogues"
        yield Finding("dialogues in training and test", everywhere(rest), value, None)
    check = "sentences of test, word for word in training"
    yield Finding(check, everywhere(by_name), _seen(by_name), None)


def _fold(home: Path, parts: Sequence[Part]) -> FoldLists:
    """The turns of all training, dev and test dirs that the models of a fold used."""
    own = [part for part in parts if Path(part.model.data) == home]
    data_dirs = {
        "train": {layout.set_dir(home, "train", part.model.train) for part in own},
        "dev": {layout.set_dir(home, "dev", part.model.train) for part in own},
        "test": {part.data for part in own},
    }
    found = {}
    for split, folders in data_dirs.items():
        found[split] = sorted({t for folder in folders for t in folds.read_utterances(folder)})
    return FoldLists(**found)


def _shared(
    by_name: Mapping[str, FoldLists], field: str, one: str, other: str
) -> dict[str, list[str]]:
    return {
        name: sorted(
            {getattr(turn, field) for turn in getattr(fold, one)}
            & {getattr(turn, field) for turn in getattr(fold, other)}
        )
        for name, fold in by_name.items()
    }


def _seen(by_name: Mapping[str, FoldLists]) -> str:
    spoken: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    for fold in by_name.values():
        trained = {turn.text for turn in fold.train}
        for turn in fold.test:
            if turn.text:
                spoken[turn.style or "other"] += 1
                seen[turn.style or "other"] += turn.text in trained
    styles = ", ".join(f"{style} {seen[style]} of {spoken[style]}" for style in sorted(spoken))
    return f"{sum(seen.values())} of {sum(spoken.values())} ({styles})"


# ---- what was scored ---------------------------------------------------------------------------


def _references(parts: Sequence[Part]) -> Iterable[Finding]:
    """Texts and emotions of the test dirs against the corpus as prepared."""
    culprits: dict[str, list[str]] = {}
    for folder in sorted({part.data for part in parts}):
        source = layout.selected_dir(layout.data_folder(folder.parent))
        listed = datadir.read_list(layout.list_file(folder.parent, "test"))
        wrong = set(listed) ^ datadir.read_table(folder / "utt2spk").keys()
        for table in ("text", "utt2emo", "utt2spk"):
            truth, used = datadir.read_table(source / table), datadir.read_table(folder / table)
            wrong |= {utt for utt in listed if truth.get(utt) != used.get(utt)}
        culprits[str(folder)] = sorted(wrong)
    yield from none("references that are not the corpus'", culprits, "test sets")


def _audio(parts: Sequence[Part]) -> Iterable[Finding]:
    """Each data dir plays its own set's archive: no test in clean what should be noisy."""
    sets: dict[Path, str] = {part.data: part.test for part in parts}
    for part in parts:
        noisy = part.model.train != scenarios.CLEAN
        home, train = Path(part.model.data), part.model.train
        sets[layout.set_dir(home, "train", train)] = scenarios.TRAIN if noisy else scenarios.CLEAN
        sets[layout.set_dir(home, "dev", train)] = scenarios.DEV if noisy else scenarios.CLEAN
    culprits: dict[str, list[str]] = {}
    for folder, name in sets.items():
        archived = datadir.read_table(layout.data_folder(folder.parent) / name / "wav.scp")
        cuts = jsonl.read(folder / layout.CUTS)
        played = {cut["id"]: cut["recording"]["sources"][0]["source"] for cut in cuts}
        culprits[str(folder)] = sorted(u for u, s in played.items() if archived.get(u) != s)
    yield from none("audio that is not of its set's archive", culprits, "data dirs")


def _hypotheses(parts: Sequence[Part]) -> Iterable[Finding]:
    """One hypothesis for each utterance of the test set, no more, no less."""
    culprits: dict[str, list[str]] = {}
    for part in parts:
        wanted = datadir.read_table(part.data / "utt2spk").keys()
        for name in decode_dir.hypothesis_files(part.model.kind):
            path = part.decode / name
            wrong = wanted ^ datadir.read_table(path).keys() if path.is_file() else wanted
            culprits[str(path)] = sorted(wrong)
    yield from none("hypotheses missing or too many", culprits, "outputs")


def _unread(parts: Sequence[Part]) -> Iterable[Finding]:
    """Utterances whose audio could not be read when they were decoded; errors in the score."""
    culprits: dict[str, list[str]] = {}
    for part in parts:
        culprits[str(part.decode)] = sorted(decode_dir.read_unreadable(part.decode))
    yield from none("audio that could not be read, counted as errors", culprits, "outputs")


def _left_out(homes: Sequence[Path]) -> Iterable[Finding]:
    """Turns of the prepared corpus that the experiment does not use, by reason."""
    for data in sorted({layout.data_folder(home) for home in homes}):
        selected = layout.selected_dir(data)
        kept = datadir.read_table(selected / "utt2spk")
        used = {"", *datadir.read_table(selected / "utt2emo").values()}
        for corpus in datadir.read_json(selected / done.NAME)["inputs"]:
            emotions = datadir.read_table(Path(corpus) / "utt2emo")
            texts = datadir.read_table(Path(corpus) / "text")
            everyone = datadir.read_table(Path(corpus) / "utt2spk")
            labels = {utt: emotions.get(utt, "") for utt in everyone}
            reasons = Counter(
                f"label {emotion}" if emotion not in used else "no words"
                for utt, emotion in labels.items()
                if utt not in kept and (emotion not in used or texts.get(utt) == "")
            )
            unexplained = labels.keys() - kept.keys()
            left = len(unexplained) - sum(reasons.values())
            value = f"{len(kept)} of {len(labels)} used; left out: "
            value += ", ".join(f"{why} {n}" for why, n in sorted(reasons.items())) or "none"
            if left:
                value += f", without a reason {left}"
            yield Finding("utterances left out", corpus, value, False if left else None)


# ---- noise -------------------------------------------------------------------------------------


def _noise(homes: Sequence[Path], parts: Sequence[Part]) -> Iterable[Finding]:
    """Noise files of training, dev and test are others; mixtures have the SNR asked for."""
    tests = {part.test for part in parts} - {scenarios.CLEAN}
    trained = {"train": scenarios.TRAIN, "dev": scenarios.DEV}
    if all(part.model.train == scenarios.CLEAN for part in parts):
        trained = {}
    for data in sorted({layout.data_folder(home) for home in homes}):
        pools = {pool: _files(data, {name}) for pool, name in trained.items()}
        pools["test"] = _files(data, tests)
        yield from none(
            "noise files in two pools",
            {
                f"{one} and {other}": sorted(pools[one] & pools[other])
                for one, other in itertools.combinations(pools, 2)
            },
            "pairs of pools",
        )
        for name in [*trained.values(), *sorted(tests)]:
            measured = audit_noise.measure(data, name)
            yield Finding("SNR, measured again", f"{data}/{name}", measured.text, measured.ok)


def _files(data: Path, sets: Iterable[str]) -> set[str]:
    return set().union(*(audit_noise.files(layout.mix_dir(data, name)) for name in sets))


def _name(home: Path, homes: Sequence[Path]) -> str:
    """A fold's name, with its folder where several data folders are in play."""
    alone = len({other.parent for other in homes}) == 1
    return home.name if alone else str(home)
