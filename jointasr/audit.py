"""What training and test share, and whether all is as it should be: read anew from the disk.

Nothing here trusts what an earlier stage said of itself, where the files can be looked at.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jointasr import arpa, audit_noise, datadir, done, folds, jsonl, lm_text, scenarios
from jointasr.errors import DataError
from jointasr.experiment import DECODED
from jointasr.folds import Turn
from jointasr.results import HAS_EMOTIONS, HAS_WORDS, Part

MOST = 5  # named of what is wrong somewhere
UNEQUAL = ("steps", "processes", "useful")  # what a budget need not have in common with others

Culprits = Mapping[str, Sequence[str]]
"""what is wrong, by where"""


class Finding(NamedTuple):
    """One thing looked at."""

    check: str
    where: str
    """a fold, a set, a pair of systems; "all 10 folds" where they agree"""
    value: str
    """what was found"""
    ok: bool | None
    """None: a count to know, no verdict"""


class Fold(NamedTuple):
    """The turns of a fold's data dirs."""

    train: list[Turn]
    dev: list[Turn]
    test: list[Turn]


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
        ("checkpoint", lambda: _selected(parts)),
        ("language models", lambda: _language_models(parts)),
        ("equal budgets", lambda: _budgets(parts)),
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
        yield from _none(check, culprits)
    sessions = {_name(home, homes) for home in homes if home.parent.name != "speaker"}
    shared = _shared(by_name, "dialogue", "train", "test")
    if sessions:
        yield from _none("dialogues in training and test", {k: shared[k] for k in sessions})
    rest = {name: fold for name, fold in by_name.items() if name not in sessions}
    if rest:
        lost = sum(len(shared[name]) for name in rest)
        total = sum(len({turn.dialogue for turn in fold.test}) for fold in rest.values())
        value = f"{lost} of {total}: the speakers of a session share its dialogues"
        yield Finding("dialogues in training and test", _all(rest), value, None)
    check = "sentences of test, word for word in training"
    yield Finding(check, _all(by_name), _seen(by_name), None)


def _fold(home: Path, parts: Sequence[Part]) -> Fold:
    """The turns of all training, dev and test dirs that the models of a fold used."""
    own = [part for part in parts if Path(part.model.data) == home]
    names = {
        "train": {f"train_{part.model.train}" for part in own},
        "dev": {f"dev_{part.model.train}" for part in own},
        "test": {part.data.name for part in own},
    }
    found = {}
    for split, folders in names.items():
        found[split] = sorted({t for name in folders for t in folds.read_turns(home / name)})
    return Fold(**found)


def _shared(by_name: Mapping[str, Fold], field: str, one: str, other: str) -> dict[str, list[str]]:
    return {
        name: sorted(
            {getattr(turn, field) for turn in getattr(fold, one)}
            & {getattr(turn, field) for turn in getattr(fold, other)}
        )
        for name, fold in by_name.items()
    }


def _seen(by_name: Mapping[str, Fold]) -> str:
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
        source = folder.parents[3] / "local/selected"
        listed = datadir.read_list(folder.parent / "test.list")
        wrong = set(listed) ^ datadir.read_table(folder / "utt2spk").keys()
        for table in ("text", "utt2emo", "utt2spk"):
            truth, used = datadir.read_table(source / table), datadir.read_table(folder / table)
            wrong |= {utt for utt in listed if truth.get(utt) != used.get(utt)}
        culprits[str(folder)] = sorted(wrong)
    yield from _none("references that are not the corpus'", culprits, "test sets")


def _audio(parts: Sequence[Part]) -> Iterable[Finding]:
    """Each data dir plays its own set's archive: no test in clean what should be noisy."""
    sets: dict[Path, str] = {part.data: part.test for part in parts}
    for part in parts:
        noisy = part.model.train != scenarios.CLEAN
        home, train = Path(part.model.data), part.model.train
        sets[home / f"train_{train}"] = scenarios.TRAIN if noisy else scenarios.CLEAN
        sets[home / f"dev_{train}"] = scenarios.DEV if noisy else scenarios.CLEAN
    culprits: dict[str, list[str]] = {}
    for folder, name in sets.items():
        archived = datadir.read_table(folder.parents[3] / name / "wav.scp")
        cuts = jsonl.read(folder / "cuts.jsonl.gz")
        played = {cut["id"]: cut["recording"]["sources"][0]["source"] for cut in cuts}
        culprits[str(folder)] = sorted(u for u, s in played.items() if archived.get(u) != s)
    yield from _none("audio that is not of its set's archive", culprits, "data dirs")


def _hypotheses(parts: Sequence[Part]) -> Iterable[Finding]:
    """One hypothesis for each utterance of the test set, no more, no less."""
    culprits: dict[str, list[str]] = {}
    for part in parts:
        wanted = datadir.read_table(part.data / "utt2spk").keys()
        names = ["text"] if part.model.kind in HAS_WORDS else []
        names += ["utt2emo", "emo_post"] if part.model.kind in HAS_EMOTIONS else []
        for name in names:
            path = part.decode / name
            wrong = wanted ^ datadir.read_table(path).keys() if path.is_file() else wanted
            culprits[str(path)] = sorted(wrong)
    yield from _none("hypotheses missing or too many", culprits, "outputs")


def _unread(parts: Sequence[Part]) -> Iterable[Finding]:
    """Utterances whose audio could not be read when they were decoded; errors in the score."""
    culprits: dict[str, list[str]] = {}
    for part in parts:
        path = part.decode / DECODED
        told = datadir.read_json(path) if path.is_file() else {}
        culprits[str(part.decode)] = sorted(told.get("unread", {}))
    yield from _none("audio that could not be read, counted as errors", culprits, "outputs")


def _left_out(homes: Sequence[Path]) -> Iterable[Finding]:
    """Turns of the prepared corpus that the experiment does not use, by reason."""
    for data in sorted({home.parents[2] for home in homes}):
        kept = datadir.read_table(data / "local/selected/utt2spk")
        used = {"", *datadir.read_table(data / "local/selected/utt2emo").values()}
        for corpus in datadir.read_json(data / "local/selected" / done.NAME)["inputs"]:
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


# ---- what was trained --------------------------------------------------------------------------


def _selected(parts: Sequence[Part]) -> Iterable[Finding]:
    """Each model was chosen on the dev set of its fold and condition."""
    models = {part.decode.parent: part.model for part in parts}
    culprits: dict[str, list[str]] = {}
    epochs: dict[str, list[int]] = {}
    for home, model in models.items():
        right = Path(model.data) / f"dev_{model.train}"
        wrong = Path(model.selected["on"]) != right
        culprits[str(home)] = [f"chosen on {model.selected['on']}"] if wrong else []
        epochs.setdefault(f"{model.system}_{model.train}", []).append(model.selected["epoch"])
    yield from _none("checkpoints chosen on anything but their dev set", culprits, "models")
    for system, chosen in epochs.items():
        yield Finding("epoch of the checkpoint, least error on dev", system, _range(chosen), None)


def _language_models(parts: Sequence[Part]) -> Iterable[Finding]:
    """n-gram models that any method of decoding used, estimated once more from the fold's training
    text, and what their weights were chosen on."""
    models = {part.decode.parent: part.model for part in parts}
    text: dict[str, list[str]] = {}
    weights: dict[str, list[str]] = {}
    more: set[str] = set()
    for home, model in models.items():
        dev = f"{model.data}/dev_{model.train}"
        for record in sorted(home.glob(f"tune_*/{done.NAME}")):
            inputs = set(datadir.read_json(record)["inputs"])
            used = [Path(name) for name in sorted(inputs) if (Path(name) / arpa.NAME).is_file()]
            others = inputs - {dev, str(home), *map(str, used)}
            weights[str(record.parent)] = sorted(others or {dev} - inputs)
            for folder in used:
                if str(folder) in text:
                    continue  # of another system or condition
                extra = datadir.read_json(folder / lm_text.ABOUT)["extra"]
                more.update(extra)
                train = datadir.read_table(folder.parent / f"train_{model.train}" / "text")
                paths = [Path(name) for name in extra]
                text[str(folder)] = lm_text.differences(folder, train, paths)
    yield from _none("language models not of their fold's training text", text, "models")
    yield from _none("weights of language models not chosen on dev alone", weights, "choices")
    if more:
        yield Finding("more text in language models", _all(text), ", ".join(sorted(more)), None)


def _budgets(parts: Sequence[Part]) -> Iterable[Finding]:
    """All systems of a condition and fold had the same data and number of epochs."""
    groups: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for part in parts:
        model = part.model
        known = {k: n for k, n in model.budget.items() if k not in UNEQUAL}
        groups.setdefault((model.train, model.data), {})[model.system] = known
    culprits: dict[str, list[str]] = {}
    for (train, data), systems in groups.items():
        base, *others = systems
        culprits[f"{Path(data).name}, {train}"] = [
            f"{other} {_values(systems[other])} against {base} {_values(systems[base])}"
            for other in others
            if systems[other] != systems[base]
        ]
    yield from _none("systems with another budget", culprits, "folds and conditions")
    budgets = {f"{m['epochs']} epochs" for systems in groups.values() for m in systems.values()}
    steps = [part.model.budget["steps"] for part in parts]
    value = f"{', '.join(sorted(budgets))}, {_range(steps)} steps"
    yield Finding("budget of training", _all(groups, "folds and conditions"), value, None)
    taught: dict[str, Counter[str]] = {}
    for part in parts:
        budget = part.model.budget
        given = Counter(useful=budget.get("useful", budget["utterances"]), of=budget["utterances"])
        taught[part.model.system] = taught.get(part.model.system, Counter()) + given
    for system, count in taught.items():
        if count["useful"] < count["of"]:
            value = f"{count['useful'] / count['of']:.0%}: the others lack transcript or emotion"
            yield Finding("utterances of training that teach it", system, value, None)


# ---- noise -------------------------------------------------------------------------------------


def _noise(homes: Sequence[Path], parts: Sequence[Part]) -> Iterable[Finding]:
    """Noise files of training, dev and test are others; mixtures have the SNR asked for."""
    tests = {part.test for part in parts} - {scenarios.CLEAN}
    trained = {"train": scenarios.TRAIN, "dev": scenarios.DEV}
    if all(part.model.train == scenarios.CLEAN for part in parts):
        trained = {}
    for data in sorted({home.parents[2] for home in homes}):
        pools = {pool: _files(data, {name}) for pool, name in trained.items()}
        pools["test"] = _files(data, tests)
        yield from _none(
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
    return set().union(*(audit_noise.files(data / "local/mix" / name) for name in sets))


# ---- how findings are worded -------------------------------------------------------------------


def _none(check: str, culprits: Culprits, what: str = "folds") -> Iterable[Finding]:
    """Nothing is expected anywhere: one finding that says so, or one for each place."""
    bad = {where: names for where, names in culprits.items() if names}
    if culprits and not bad:
        yield Finding(check, _all(culprits, what), "none", True)
    for where, names in bad.items():
        more = f" and {len(names) - MOST} more" if len(names) > MOST else ""
        yield Finding(check, where, ", ".join(names[:MOST]) + more, False)


def _all(places: Mapping[Any, object], what: str = "folds") -> str:
    return f"all {len(places)} {what}" if len(places) > 1 else str(next(iter(places)))


def _name(home: Path, homes: Sequence[Path]) -> str:
    """A fold's name, with its folder where several data folders are in play."""
    alone = len({other.parent for other in homes}) == 1
    return home.name if alone else str(home)


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _values(budget: Mapping[str, int]) -> str:
    return ", ".join(f"{key} {value}" for key, value in budget.items())
