"""Pooling: decode folders of several folds to one cell of exp/results.json.

Counts are summed over folds, then converted to rates; also by fold, speaker, emotion and style. The
model.json of each exp/<system>_<train>/fold_<fold> describes the model and locates its data and
lang dirs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jointasr.config import layout
from jointasr.config.model_description import ModelDescription, read_model
from jointasr.scoring import decode_dir, score_dir
from jointasr.scoring.results_json import CellKey, cell_key, strip_absolute_paths
from jointasr.scoring.scores import GROUPINGS, UtteranceScores
from jointasr.utils import done
from jointasr.utils.errors import DataError


@dataclass(frozen=True)
class DecodedFold:
    """A finished decode folder: the results of one fold that a cell is pooled from."""

    model: ModelDescription
    test: str
    method: str
    path: Path
    """the decode folder"""

    @property
    def key(self) -> CellKey:
        """Key of the cell."""
        return (self.model.system, self.method, self.model.train, self.test)

    @property
    def model_dir(self) -> Path:
        """Folder of the trained model."""
        return self.path.parent

    @property
    def test_dir(self) -> Path:
        """Test data dir of the fold."""
        return layout.test_dir(Path(self.model.data), self.test)


FoldScores = tuple[DecodedFold, UtteranceScores]


def find_decoded_folds(
    systems: Sequence[Path], folds: Sequence[str], tests: Sequence[str], method: str
) -> tuple[list[DecodedFold], list[Path]]:
    """Return (finished decode folders, missing or unfinished ones) of ``folds`` x ``tests``.

    ``systems`` are folders exp/<name>_<clean|noisy>. Without ``folds``, all folds for
    which any of the systems has a model. Raises DataError for a system that does not exist.
    """
    for system in systems:
        if not system.is_dir():
            raise DataError(f"{system} does not exist; run stage 7 (train) for it first")
    existing = {layout.fold_name(path) for system in systems for path in layout.model_dirs(system)}
    folds = list(folds) or sorted(existing)
    if not folds:
        raise DataError(f"no fold_* in {', '.join(map(str, systems))}; run stage 7 (train) first")
    decoded: list[DecodedFold] = []
    missing: list[Path] = []
    for system in systems:
        for fold in folds:
            model_dir = layout.model_dir(system, fold)
            finished = _decoded_folds(model_dir, tests, method)
            decoded += finished
            paths = [layout.decode_dir(model_dir, test, method) for test in tests]
            missing += [path for path in paths if path not in {fold.path for fold in finished}]
    return decoded, missing


def decoded_folds_of(cell: Mapping[str, Any], exp: Path) -> list[DecodedFold]:
    """Return the decode folders that a cell was pooled from, if they still exist."""
    system, method, train, test = cell_key(cell)
    system_dir = layout.system_dir(exp, system, train)
    model_dirs = [layout.model_dir(system_dir, fold) for fold in cell["folds"]]
    return [fold for path in model_dirs for fold in _decoded_folds(path, [test], method)]


def _decoded_folds(model_dir: Path, tests: Sequence[str], method: str) -> list[DecodedFold]:
    """Return the finished decode folders of a model, in the order of ``tests``."""
    paths = {test: layout.decode_dir(model_dir, test, method) for test in tests}
    finished = {test: path for test, path in paths.items() if (path / done.NAME).is_file()}
    if not finished or not (model_dir / layout.MODEL_JSON).is_file():
        return []
    model = read_model(model_dir)
    return [DecodedFold(model, test, method, path) for test, path in finished.items()]


def missing_message(missing: Sequence[Path], total: int) -> str:
    """Return a message that lists missing decode folders by model, and the command to run."""
    by_model: dict[Path, list[str]] = {}
    for decode in missing:
        by_model.setdefault(decode.parent, []).append(decode.name)
    listed = [f"{path} ({len(names)}: {', '.join(names)})" for path, names in by_model.items()]
    more = f" and {len(listed) - 5} more models" if len(listed) > 5 else ""
    folds = " ".join(sorted({layout.fold_name(path) for path in by_model}))
    return (
        f"{len(missing)} of {total} decode folders are missing or unfinished: "
        f"{'; '.join(listed[:5])}{more}. Run ./run.sh --stage 7 --stop-stage 8 "
        f"--folds '{folds}', or score the finished ones with --allow-missing true"
    )


def score_all(decoded: Iterable[DecodedFold]) -> list[FoldScores]:
    """Score decode folders, write their score files, and return the scores.

    Raises DataError if a decode folder lacks an output of its system.
    """
    scored = []
    for fold in decoded:
        _require_outputs(fold)
        scores = score_dir.score(fold.test_dir, Path(fold.model.lang), fold.path)
        scored.append((fold, scores))
    return scored


def pool(scored: Iterable[FoldScores], command: str) -> list[dict[str, Any]]:
    """Return one cell per system, training condition, scenario and method.

    ``command`` is recorded in the cells, with absolute paths reduced to their last component.
    """
    groups: dict[CellKey, list[FoldScores]] = {}
    for fold, scores in scored:
        groups.setdefault(fold.key, []).append((fold, scores))
    recorded = strip_absolute_paths(command)
    return [{**_cell(group), "command": recorded} for group in groups.values()]


def pool_scores(group: Sequence[FoldScores]) -> UtteranceScores:
    """Return the scores of all folds of a cell, utterances sorted by id.

    Raises DataError for an utterance in two test sets and for folds with different emotions.
    """
    _require_disjoint(group)
    labels = next((scores.labels for _, scores in group if scores.labels), ())
    for fold, scores in group:
        if scores.labels not in ((), labels):  # (): no labelled test utterance
            raise DataError(
                f"{fold.path}: its emotions are not those of fold {group[0][0].model.fold}"
            )
    total = sum((scores for _, scores in group), UtteranceScores({}, labels=labels))
    return total.subset(sorted(total.utterances))


def _cell(group: Sequence[FoldScores]) -> dict[str, Any]:
    folds = [fold for fold, _ in group]
    first, model = folds[0], folds[0].model
    for fold in folds:
        for name in ("kind", "conf", "seed"):
            value, expected = getattr(fold.model, name), getattr(model, name)
            if value != expected:
                raise DataError(
                    f"{fold.model_dir} and {first.model_dir} differ in {name} ({value}, "
                    f"{expected}); give systems with different settings different names"
                )
    total = pool_scores(group)
    return {
        "system": model.system,
        "kind": model.kind,
        "conf": strip_absolute_paths(model.conf),
        "seed": model.seed,
        "method": first.method,
        "train": model.train,
        "test": first.test,
        "folds": sorted(fold.model.fold for fold in folds),
        "engine": "+".join(sorted({fold.model.engine for fold in folds})),
        "stack": "+".join(sorted({fold.model.stack for fold in folds})),
        "commit": "+".join(sorted({fold.model.commit for fold in folds})),
        "wer": _wer(total, first),
        "acc": _acc(total),
        "confusion": asdict(total.confusion) if total.confusion is not None else None,
        "by_fold": {fold.model.fold: _rates(scores) for fold, scores in group},
        **{
            f"by_{name}": {group: _rates(part) for group, part in total.group_by(key).items()}
            for name, _, key in GROUPINGS
        },
    }


def _rates(scores: UtteranceScores) -> dict[str, Any]:
    return {"wer": _wer(scores), "acc": _acc(scores)}


def _wer(
    scores: UtteranceScores, fold: DecodedFold | None = None
) -> dict[str, float | None] | None:
    """Return WER and counts, None without transcripts.

    Without reference words, the WER is None if ``fold`` is None (a group of utterances); otherwise
    (a cell, of which ``fold`` is the first fold) DataError is raised.
    """
    total = scores.counts
    if total is None:
        return None
    if not total.ref_words and fold is not None:
        raise DataError(f"{fold.path}: no reference words, WER is undefined")
    return {
        "value": total.wer if total.ref_words else None,
        "sub": total.sub,
        "del": total.dele,
        "ins": total.ins,
        "ref_words": total.ref_words,
    }


def _acc(scores: UtteranceScores) -> dict[str, float | None] | None:
    total = scores.confusion
    if total is None:
        return None
    return {
        "wa": total.wa,
        "ua": total.ua,
        "macro_f1": total.macro_f1,
        "ece": scores.ece,
        "n": total.n,
    }


def _require_disjoint(group: Sequence[FoldScores]) -> None:
    """Raise DataError for an utterance in the test sets of two folds: it would count twice."""
    seen: dict[str, DecodedFold] = {}
    for fold, scores in group:
        for utt in sorted(scores.words.keys() | scores.emotions.keys()):
            other = seen.setdefault(utt, fold)
            if other is not fold:
                raise DataError(
                    f"{utt} is in the test sets of both {other.path} and {fold.path}; "
                    "choose folds of one scheme with --folds"
                )


def _require_outputs(fold: DecodedFold) -> None:
    for name in decode_dir.hypothesis_files(fold.model.kind):
        if not (fold.path / name).is_file():
            raise DataError(
                f"{fold.path / name} is missing from a finished decode folder of a "
                f"{fold.model.kind} system; delete the folder and decode again (stage 8)"
            )
