"""Audit of the training: checkpoint selection, language models, equal budgets of all systems."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jointasr.config import layout
from jointasr.data import datadir
from jointasr.lm import arpa, training_text
from jointasr.report.findings import Finding, all_of, expect_none
from jointasr.scoring.pooling import DecodedFold
from jointasr.utils import done, files

MAY_DIFFER = ("steps", "processes", "useful")
"""entries of a training budget that may differ between systems"""


def checkpoint_selection(decoded: Sequence[DecodedFold]) -> Iterable[Finding]:
    """Check that each checkpoint was selected on the dev set of its fold and training condition."""
    models = {fold.model_dir: fold.model for fold in decoded}
    violations: dict[str, list[str]] = {}
    epochs: dict[str, list[int]] = {}
    for model_dir, model in models.items():
        expected = layout.set_dir(Path(model.data), "dev", model.train)
        wrong = Path(model.selected["on"]) != expected
        violations[str(model_dir)] = [f"selected on {model.selected['on']}"] if wrong else []
        name = layout.system_name(model.system, model.train)
        epochs.setdefault(name, []).append(model.selected["epoch"])
    check = "checkpoints not selected on their dev set"
    yield from expect_none(check, violations, "models")
    for system, chosen in epochs.items():
        yield Finding("epoch with the lowest dev error", system, _range(chosen), None)


def language_models(decoded: Sequence[DecodedFold]) -> Iterable[Finding]:
    """Check the n-gram models and their weights of all decoding methods.

    Each n-gram model must be equal to one estimated from the training text of its fold; its
    weights must have been tuned on the dev set only.
    """
    models = {fold.model_dir: fold.model for fold in decoded}
    different: dict[str, list[str]] = {}
    not_dev: dict[str, list[str]] = {}
    extra_texts: set[str] = set()
    for model_dir, model in models.items():
        dev = str(layout.set_dir(Path(model.data), "dev", model.train))
        for tune_dir in layout.tune_dirs(model_dir):
            record = tune_dir / done.NAME
            if not record.is_file():
                continue
            inputs = set(files.read_json(record)["inputs"])
            lm_dirs = [
                Path(path) for path in sorted(inputs) if (Path(path) / arpa.FILE_NAME).is_file()
            ]
            others = inputs - {dev, str(model_dir), *map(str, lm_dirs)}
            not_dev[str(tune_dir)] = sorted(others or {dev} - inputs)
            for lm_dir in lm_dirs:
                if str(lm_dir) in different:
                    continue  # checked for another system or training condition
                extra = files.read_json(lm_dir / training_text.META)["extra"]
                extra_texts.update(extra)
                train_dir = layout.set_dir(lm_dir.parent, "train", model.train)
                train = datadir.read_table(train_dir / "text")
                different[str(lm_dir)] = training_text.find_differences(
                    lm_dir, train, [Path(path) for path in extra]
                )
    check = "language models that differ from their fold's training text"
    yield from expect_none(check, different, "models")
    yield from expect_none("language model weights not tuned on dev only", not_dev, "weights")
    if extra_texts:
        value = ", ".join(sorted(extra_texts))
        yield Finding("additional text in language models", all_of(different), value, None)


def budgets(decoded: Sequence[DecodedFold]) -> Iterable[Finding]:
    """Check that all systems of a training condition and fold had the same data and epochs."""
    groups: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for fold in decoded:
        model = fold.model
        fixed = {key: n for key, n in model.budget.items() if key not in MAY_DIFFER}
        groups.setdefault((model.train, model.data), {})[model.system] = fixed
    violations: dict[str, list[str]] = {}
    for (train, data), systems in groups.items():
        first, *others = systems
        violations[f"{Path(data).name}, {train}"] = [
            f"{other} {_format(systems[other])} against {first} {_format(systems[first])}"
            for other in others
            if systems[other] != systems[first]
        ]
    unit = "folds and conditions"
    yield from expect_none("systems with another training budget", violations, unit)
    epochs = {
        f"{fixed['epochs']} epochs" for systems in groups.values() for fixed in systems.values()
    }
    steps = [fold.model.budget["steps"] for fold in decoded]
    value = f"{', '.join(sorted(epochs))}, {_range(steps)} steps"
    yield Finding("training budget", all_of(groups, unit), value, None)
    yield from _useful_utterances(decoded)


def _useful_utterances(decoded: Sequence[DecodedFold]) -> Iterable[Finding]:
    """Report systems that could not learn from all training utterances."""
    useful: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for fold in decoded:
        budget = fold.model.budget
        useful[fold.model.system] += budget.get("useful", budget["utterances"])
        total[fold.model.system] += budget["utterances"]
    for system in total:
        if useful[system] < total[system]:
            value = f"{useful[system] / total[system]:.0%}: the others lack transcript or emotion"
            yield Finding("training utterances with a target", system, value, None)


def _range(values: Sequence[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low} to {high}"


def _format(budget: Mapping[str, int]) -> str:
    return ", ".join(f"{key} {value}" for key, value in budget.items())
