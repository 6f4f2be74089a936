"""What was trained, on what it was chosen, and whether systems had the same."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jointasr.config import layout
from jointasr.data import datadir
from jointasr.lm import arpa, training_text
from jointasr.report.findings import Finding, everywhere, none
from jointasr.scoring.pooling import Part
from jointasr.utils import done

UNEQUAL = ("steps", "processes", "useful")  # what a budget need not have in common with others


def selected(parts: Sequence[Part]) -> Iterable[Finding]:
    """Each model was chosen on the dev set of its fold and condition."""
    models = {part.decode.parent: part.model for part in parts}
    culprits: dict[str, list[str]] = {}
    epochs: dict[str, list[int]] = {}
    for home, model in models.items():
        right = layout.set_dir(Path(model.data), "dev", model.train)
        wrong = Path(model.selected["on"]) != right
        culprits[str(home)] = [f"chosen on {model.selected['on']}"] if wrong else []
        epochs.setdefault(layout.system_name(model.system, model.train), []).append(
            model.selected["epoch"]
        )
    yield from none("checkpoints chosen on anything but their dev set", culprits, "models")
    for system, chosen in epochs.items():
        yield Finding("epoch of the checkpoint, least error on dev", system, _range(chosen), None)


def language_models(parts: Sequence[Part]) -> Iterable[Finding]:
    """n-gram models that any method of decoding used, estimated once more from the fold's training
    text, and what their weights were chosen on."""
    models = {part.decode.parent: part.model for part in parts}
    text: dict[str, list[str]] = {}
    weights: dict[str, list[str]] = {}
    more: set[str] = set()
    for home, model in models.items():
        dev = str(layout.set_dir(Path(model.data), "dev", model.train))
        for record in (folder / done.NAME for folder in layout.tune_dirs(home)):
            if not record.is_file():
                continue
            inputs = set(datadir.read_json(record)["inputs"])
            used = [Path(name) for name in sorted(inputs) if (Path(name) / arpa.NAME).is_file()]
            others = inputs - {dev, str(home), *map(str, used)}
            weights[str(record.parent)] = sorted(others or {dev} - inputs)
            for folder in used:
                if str(folder) in text:
                    continue  # of another system or condition
                extra = datadir.read_json(folder / training_text.ABOUT)["extra"]
                more.update(extra)
                train_dir = layout.set_dir(folder.parent, "train", model.train)
                train = datadir.read_table(train_dir / "text")
                paths = [Path(name) for name in extra]
                text[str(folder)] = training_text.differences(folder, train, paths)
    yield from none("language models not of their fold's training text", text, "models")
    yield from none("weights of language models not chosen on dev alone", weights, "choices")
    if more:
        value = ", ".join(sorted(more))
        yield Finding("more text in language models", everywhere(text), value, None)


def budgets(parts: Sequence[Part]) -> Iterable[Finding]:
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
    yield from none("systems with another budget", culprits, "folds and conditions")
    budgets = {f"{m['epochs']} epochs" for systems in groups.values() for m in systems.values()}
    steps = [part.model.budget["steps"] for part in parts]
    value = f"{', '.join(sorted(budgets))}, {_range(steps)} steps"
    yield Finding("budget of training", everywhere(groups, "folds and conditions"), value, None)
    taught: dict[str, Counter[str]] = {}
    for part in parts:
        budget = part.model.budget
        given = Counter(useful=budget.get("useful", budget["utterances"]), of=budget["utterances"])
        taught[part.model.system] = taught.get(part.model.system, Counter()) + given
    for system, count in taught.items():
        if count["useful"] < count["of"]:
            value = f"{count['useful'] / count['of']:.0%}: the others lack transcript or emotion"
            yield Finding("utterances of training that teach it", system, value, None)


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _values(budget: Mapping[str, int]) -> str:
    return ", ".join(f"{key} {value}" for key, value in budget.items())
