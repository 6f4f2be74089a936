"""The report's pictures and audio, for the page."""

from collections.abc import Sequence
from pathlib import Path

from jointasr.config.layout import HISTORY, HISTORY_HEADER
from jointasr.data import datadir, wav_scp
from jointasr.report import analysis, figures, page, table
from jointasr.report.analysis import METRICS, Metric, Scores
from jointasr.report.elements import Block, Figure, Listening, ListeningItem, SystemOutput
from jointasr.report.table import NAMES, TRAIN, Cells, Trio
from jointasr.scoring import decode_dir, metrics
from jointasr.scoring.pooling import Part
from jointasr.utils import files
from jointasr.utils.errors import DataError

YLABELS = {"wer": "WER reduction, relative %", "acc": "accuracy gained, points"}


def figure2(cells: Cells, trio: Trio, tests: Sequence[str]) -> Figure | None:
    """Figure 2 (a) and (b), from our numbers; None where there is nothing to compare."""
    svgs = []
    for part, (metric, models) in zip("ab", table.figure2(cells, trio, tests).items(), strict=True):
        if all(value is None for row in list(models.values())[1:] for value in row):
            continue
        values = {f"{name}, {NAMES[train]}": row for (name, train), row in models.items()}
        title = f"Figure 2 ({part}): {'ASR' if metric == 'wer' else 'SER'}"
        svgs.append(figures.figure2(values, tests, title, YLABELS[metric]))
    text = (
        "Relative to the clean-trained baseline (zero), positive where better; (a) relative "
        "reduction of the WER in per cent, (b) points of accuracy."
    )
    return Figure(text, svgs) if svgs else None


def confusions(cells: Cells, trio: Trio, test: str) -> Figure | None:
    """Confusion matrices of the two systems that name emotions, in one scenario."""
    svgs = []
    for train in TRAIN:
        for system in (trio.ser, trio.joint):
            cell = cells.get(system, train, test)
            if cell is not None and cell.get("confusion"):
                title = f"{system}, {NAMES[train]}, {test}"
                svgs.append(figures.confusion(**cell["confusion"], title=title))
    return Figure("Per cent of each spoken emotion, and counts.", svgs) if svgs else None


def speakers(scores: Scores, trio: Trio, tests: Sequence[str]) -> Figure | None:
    """Each speaker's rates: in the clean scenario and on average in noise."""
    svgs = []
    for metric, name in METRICS.items():
        base = trio.asr if metric == "wer" else trio.ser
        for where, sets in (("clean", tests[:1]), ("noisy tests", tests[1:])):
            values = {}
            for train in TRAIN:
                for system in (base, trio.joint):
                    rates = _speakers(scores, system, train, sets, metric)
                    if rates:
                        values[f"{system}, {NAMES[train]}"] = rates
            if values:
                svgs.append(figures.per_speaker(values, f"{name}, {where}", f"{name}, %"))
    return Figure("A mark is a speaker, an upright line the mean of them.", svgs) if svgs else None


def curves(parts: Sequence[Part]) -> Figure | None:
    """Losses and dev errors of each system's trainings, over epochs."""
    systems: dict[str, dict[str, list[figures.HistoryEpoch]]] = {}
    for home, model in {part.decode.parent: part.model for part in parts}.items():
        if (home / HISTORY).is_file():
            title = f"{model.system}, {NAMES[model.train]}"
            systems.setdefault(title, {})[model.fold] = read_history(home / HISTORY)
    if not systems:
        return None
    svgs = [figures.curves(folds, f"training of {title}") for title, folds in systems.items()]
    text = "A thin line is a fold, the bold one their mean; the checkpoint has the least error."
    return Figure(text, svgs)


def read_history(path: Path) -> list[figures.HistoryEpoch]:
    """The epochs of a training. Raises DataError where the table is not one."""
    header, *lines = files.read_text(path).splitlines() or [""]
    points = []
    try:
        assert header == HISTORY_HEADER
        for line in lines:
            epoch, _, train_loss, dev_loss, wer, wa = line.split("\t")
            error = (0.0 if wer == "-" else float(wer)) + (0.0 if wa == "-" else 100 - float(wa))
            points.append(
                figures.HistoryEpoch(int(epoch), float(train_loss), float(dev_loss), error)
            )
    except (AssertionError, ValueError):
        raise DataError(f"{path}: not a table of epochs; train the model again") from None
    return points


def listening(
    parts: Sequence[Part], scores: Scores, trio: Trio, tests: Sequence[str], worst: int
) -> list[Block]:
    """For each scenario the utterances that the joint system has most word errors in."""
    blocks: list[Block] = []
    for test in tests:
        own = [part for part in parts if part.test == test]
        chosen = _worst(scores, trio.joint, test, worst)
        if chosen and own:
            found = [_heard(utterance, own, trio) for utterance in chosen]
            text = f"{test}: most word errors of {trio.joint}, over both training conditions"
            blocks.append(Listening(text, found))
    return blocks


def _speakers(
    scores: Scores, system: str, train: str, tests: Sequence[str], metric: Metric
) -> dict[str, float]:
    """A speaker's mean rate over tests; {} where a test is missing."""
    keys = [(system, train, test) for test in tests]
    if not keys or any(key not in scores for key in keys):
        return {}
    found = [one for key in keys if (one := analysis.errors(scores[key], metric)) is not None]
    if not found:
        return {}
    rates = analysis.mean(found).by_speaker()
    return rates if metric == "wer" else {name: 100 - rate for name, rate in rates.items()}


def _worst(scores: Scores, system: str, test: str, count: int) -> list[str]:
    totals: dict[str, int] = {}
    for train in TRAIN:
        score = scores.get((system, train, test))
        for utterance, counts in (score.words if score else {}).items():
            totals[utterance] = totals.get(utterance, 0) + counts.errors
    ranked = sorted(totals, key=lambda utterance: (-totals[utterance], utterance))
    return [utterance for utterance in ranked[:count] if totals[utterance]]


def _heard(utterance: str, parts: Sequence[Part], trio: Trio) -> ListeningItem:
    """Audio, reference and every system's reading of an utterance in one scenario."""
    data = next(p.data for p in parts if utterance in datadir.read_table(p.data / "utt2spk"))
    text = datadir.read_table(data / "text").get(utterance, "")
    versions = []
    wanted = (trio.asr, trio.ser, trio.joint)
    own = [part for part in parts if part.data == data and part.model.system in wanted]
    for part in sorted(own, key=lambda part: wanted.index(part.model.system)):
        hyps = decode_dir.read_texts(part.decode)
        emotions = decode_dir.read_emotions(part.decode)
        words = metrics.align([text], [hyps[utterance]])[0] if utterance in hyps else []
        title = f"{part.model.system}, {NAMES[part.model.train]}"
        versions.append(SystemOutput(title, words, emotions.get(utterance, "")))
    spoken = datadir.read_table(data / "utt2emo").get(utterance, "unknown")
    title = f"{utterance}: {text.lower() or '(no words)'}"
    return ListeningItem(title, _audio(data, utterance), spoken, versions)


def _table(path: Path) -> dict[str, str]:
    return datadir.read_table(path) if path.is_file() else {}


def _audio(data: Path, utterance: str) -> str:
    """The utterance as it was decoded, "" where its archive is gone."""
    source = _table(data / "wav.scp").get(utterance)
    try:
        return page.audio_uri(wav_scp.read(source), wav_scp.RATE) if source else ""
    except DataError:
        return ""
