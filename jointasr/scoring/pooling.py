"""Pooling: decode folders of many folds into the cells of exp/results.json.

A cell is one system, trained on clean or noisy data, in one test scenario, over all folds: counts
are summed over folds, then turned into rates; also by fold, speaker, emotion and style.
exp/<system>_<train>/fold_<fold>/model.json, written by training, says what each model is and where
its data and lang dirs are; nothing is guessed from names. Cells that were not asked for stay in
results.json as they are.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jointasr.config import layout
from jointasr.config.layout import DEFAULT_METHOD
from jointasr.config.model_description import (
    ModelDescription,
    read_model,
)
from jointasr.scoring import decode_dir, score_dir
from jointasr.scoring.score_dir import Score
from jointasr.utils import done, files
from jointasr.utils.errors import DataError

SYSTEMS = ("asr", "ser", "joint")
ABSOLUTE = re.compile(r"(?<![^\s=,'\"])/(?:[^/\s,'\"]*/)*(?=[^/\s,'\"])")


@dataclass(frozen=True)
class Part:
    """One decode folder: a fold's share of a cell."""

    model: ModelDescription
    test: str
    method: str
    decode: Path

    @property
    def key(self) -> tuple[str, str, str, str]:
        return (self.model.system, self.method, self.model.train, self.test)

    @property
    def data(self) -> Path:
        """The fold's test dir."""
        return layout.test_dir(Path(self.model.data), self.test)


def find(
    systems: Sequence[Path], folds: Sequence[str], tests: Sequence[str], method: str
) -> tuple[list[Part], list[Path]]:
    """(decode folders that are finished, those that are missing), ``folds`` x ``tests`` each.

    ``systems`` are folders exp/<name>_<clean|noisy>. Without ``folds``, all folds that any of
    the systems has.
    """
    for system in systems:
        if not system.is_dir():
            raise DataError(f"{system} does not exist; run stage 7 (train) for it first")
    known = {layout.fold_name(path) for system in systems for path in layout.model_dirs(system)}
    folds = list(folds) or sorted(known)
    if not folds:
        raise DataError(f"no fold_* in {', '.join(map(str, systems))}; run stage 7 (train) first")
    parts, missing = [], []
    for system in systems:
        for fold in folds:
            home = layout.model_dir(system, fold)
            model = read_model(home) if (home / layout.MODEL_JSON).is_file() else None
            for test in tests:
                decode = layout.decode_dir(home, test, method)
                if model and (decode / done.NAME).is_file():
                    parts.append(Part(model, test, method, decode))
                else:
                    missing.append(decode)
    return parts, missing


def missing_message(missing: Sequence[Path], wanted: int) -> str:
    """What is missing, by model, and how to make it."""
    models: dict[Path, list[str]] = {}
    for decode in missing:
        models.setdefault(decode.parent, []).append(decode.name)
    some = [f"{home} ({len(names)}: {', '.join(names)})" for home, names in models.items()]
    more = f" and {len(some) - 5} more models" if len(some) > 5 else ""
    folds = " ".join(sorted({layout.fold_name(home) for home in models}))
    return (
        f"{len(missing)} of {wanted} decode folders are missing or unfinished: "
        f"{'; '.join(some[:5])}{more}. Make them with: ./run.sh --stage 7 --stop-stage 8 "
        f"--folds '{folds}', or score what is there with --allow-missing true"
    )


def score_parts(parts: Iterable[Part]) -> list[tuple[Part, Score]]:
    """Score every decode folder (written there too)."""
    scored = []
    for part in parts:
        _require_outputs(part)
        scored.append((part, score_dir.score(part.data, Path(part.model.lang), part.decode)))
    return scored


def parts_of(cell: Mapping[str, Any], exp: Path) -> list[Part]:
    """The decode folders that a cell was pooled from, as far as they are still there."""
    system, method, train, test = key_of(cell)
    parts = []
    for fold in cell["folds"]:
        home = layout.model_dir(layout.system_dir(exp, system, train), fold)
        decode = layout.decode_dir(home, test, method)
        if (home / layout.MODEL_JSON).is_file() and (decode / done.NAME).is_file():
            parts.append(Part(read_model(home), test, method, decode))
    return parts


def pool(scored: Iterable[tuple[Part, Score]], command: str) -> list[dict[str, Any]]:
    """One cell per system, training condition, scenario and method, counts summed over folds.

    ``command`` made them; of absolute paths in it only the last part is kept.
    """
    groups: dict[tuple[str, str, str, str], list[tuple[Part, Score]]] = {}
    for part, score in scored:
        groups.setdefault(part.key, []).append((part, score))
    return [{**_cell(group), "command": portable(command)} for group in groups.values()]


def read(path: Path) -> list[dict[str, Any]]:
    """The cells of results.json; [] when there is none yet."""
    if not path.is_file():
        return []
    try:
        cells = json.loads(files.read_text(path))
        for cell in cells:
            key_of(cell)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: not a list of cells ({error!r}); move it away") from None
    assert isinstance(cells, list)
    return cells


def merge(
    old: Iterable[dict[str, Any]],
    new: Iterable[dict[str, Any]],
    asked: Callable[[tuple[str, str, str, str]], bool],
    tests: Sequence[str],
) -> list[dict[str, Any]]:
    """``new`` cells, and the ``old`` ones that were not ``asked`` for, in a stable order."""
    cells = {key_of(cell): cell for cell in old if not asked(key_of(cell))}
    cells |= {key_of(cell): cell for cell in new}
    return [cells[key] for key in sorted(cells, key=lambda key: _order(key, tests))]


def write(path: Path, cells: Sequence[Mapping[str, Any]]) -> None:
    """Write results.json whole or not at all."""
    files.write_text(path, json.dumps(cells, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def key_of(cell: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """What a cell is about: system, method, training condition, test scenario."""
    return (cell["system"], cell["method"], cell["train"], cell["test"])


def _cell(group: Sequence[tuple[Part, Score]]) -> dict[str, Any]:
    parts = [part for part, _ in group]
    model = parts[0].model
    for part in parts:
        for name in ("kind", "conf", "seed"):
            if getattr(part.model, name) != getattr(model, name):
                raise DataError(
                    f"{part.decode.parent} and {parts[0].decode.parent} differ in {name} "
                    f"({getattr(part.model, name)}, {getattr(model, name)}): one name, one system"
                )
    total = pooled(group)
    return {
        "system": model.system,
        "kind": model.kind,
        "conf": portable(model.conf),
        "seed": model.seed,
        "method": parts[0].method,
        "train": model.train,
        "test": parts[0].test,
        "folds": sorted(part.model.fold for part in parts),
        "engine": "+".join(sorted({part.model.engine for part in parts})),
        "stack": "+".join(sorted({part.model.stack for part in parts})),
        "commit": "+".join(sorted({part.model.commit for part in parts})),
        "wer": _wer(total, parts[0]),
        "acc": _acc(total),
        "confusion": asdict(total.confusion) if total.confusion is not None else None,
        "by_fold": {
            part.model.fold: {"wer": _wer(score), "acc": _acc(score)} for part, score in group
        },
        **{
            f"by_{name}": {
                group: {"wer": _wer(s), "acc": _acc(s)} for group, s in total.by(key).items()
            }
            for name, _, key in score_dir.GROUPS
        },
    }


def pooled(group: Sequence[tuple[Part, Score]]) -> Score:
    """The scores of all folds of a cell as one, utterances sorted by id.

    Raises DataError for an utterance in two test sets, which would count twice, and where folds
    differ in their emotions.
    """
    _require_disjoint(group)
    labels = next((score.labels for _, score in group if score.labels), ())
    for part, score in group:
        if score.labels not in ((), labels):  # none where no label of the fold's test is known
            raise DataError(f"{part.decode}: other emotions than fold {group[0][0].model.fold}")
    total = sum((score for _, score in group), Score({}, labels=labels))
    return total.only(sorted(total.facts))


def _require_disjoint(group: Sequence[tuple[Part, Score]]) -> None:
    """An utterance tested in two folds would count twice."""
    seen: dict[str, Part] = {}
    for part, score in group:
        for utt in sorted(score.words.keys() | score.emotions.keys()):
            other = seen.setdefault(utt, part)
            if other is not part:
                raise DataError(
                    f"{utt} is in the test sets of both {other.decode} and {part.decode}; "
                    "choose folds of one scheme by --folds"
                )


def _wer(score: Score, part: Part | None = None) -> dict[str, float | None] | None:
    """Word errors; of a cell (``part`` says which), none is possible without reference words."""
    total = score.counts
    if total is None:
        return None
    if not total.ref_words and part is not None:
        raise DataError(f"{part.decode}: not one reference word, so no word error rate")
    return {
        "value": total.wer if total.ref_words else None,
        "sub": total.sub,
        "del": total.dele,
        "ins": total.ins,
        "ref_words": total.ref_words,
    }


def _acc(score: Score) -> dict[str, float | None] | None:
    total = score.confusion
    if total is None:
        return None
    return {
        "wa": total.wa,
        "ua": total.ua,
        "macro_f1": total.macro_f1,
        "ece": score.ece,
        "n": total.n,
    }


def _require_outputs(part: Part) -> None:
    for name in decode_dir.hypothesis_files(part.model.kind):
        if not (part.decode / name).is_file():
            raise DataError(
                f"{part.decode}/{name} is missing though the folder is finished and its system "
                f"is {part.model.kind}; delete the folder and decode it again (stage 8)"
            )


def portable(text: str) -> str:
    """Absolute paths cut to their last part: results travel, folders do not."""
    return ABSOLUTE.sub("", text)


def _order(key: tuple[str, str, str, str], tests: Sequence[str]) -> tuple[object, ...]:
    system, method, train, test = key
    return (
        SYSTEMS.index(system) if system in SYSTEMS else len(SYSTEMS),
        system,
        method != DEFAULT_METHOD,
        method,
        train,
        tests.index(test) if test in tests else len(tests),
        test,
    )
