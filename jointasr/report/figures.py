"""The figures of the report, plotted from cells, scores and training histories."""

from collections.abc import Sequence
from pathlib import Path

from jointasr.config.layout import HISTORY, HISTORY_HEADER
from jointasr.report import analysis, plots, table1
from jointasr.report.analysis import METRICS, Metric, ScoresByCell
from jointasr.report.elements import Figure
from jointasr.report.formatting import TRAINED, TRAINING_SETS
from jointasr.report.table1 import Table1Systems
from jointasr.scoring.pooling import DecodedFold
from jointasr.scoring.results_json import Results
from jointasr.utils import files
from jointasr.utils.errors import DataError

YLABELS = {"wer": "WER reduction, relative %", "acc": "accuracy gain, points"}


def figure2(results: Results, systems: Table1Systems, tests: Sequence[str]) -> Figure | None:
    """Return Figure 2 (a) and (b) of the paper from our results, None if they lack the systems."""
    svgs = []
    by_metric = table1.figure2(results, systems, tests)
    for part, (metric, models) in zip("ab", by_metric.items(), strict=True):
        if all(value is None for row in list(models.values())[1:] for value in row):
            continue
        values = {f"{name}, {TRAINED[train]}": row for (name, train), row in models.items()}
        title = f"Figure 2 ({part}): {'ASR' if metric == 'wer' else 'SER'}"
        svgs.append(plots.figure2(values, tests, title, YLABELS[metric]))
    caption = (
        "Relative to the clean-trained baseline (zero), positive if better: (a) relative reduction "
        "of the WER in per cent, (b) gain of accuracy in percentage points."
    )
    return Figure(caption, svgs) if svgs else None


def confusions(results: Results, systems: Table1Systems, test: str) -> Figure | None:
    """Return the confusion matrices of the SER and the joint system in one scenario."""
    svgs = []
    for train in TRAINING_SETS:
        for system in (systems.ser, systems.joint):
            cell = results.get(system, train, test)
            if cell is not None and cell.get("confusion"):
                title = f"{system}, {TRAINED[train]}, {test}"
                svgs.append(plots.confusion(**cell["confusion"], title=title))
    caption = "Per cent of each reference emotion, and counts of utterances."
    return Figure(caption, svgs) if svgs else None


def speakers(scores: ScoresByCell, systems: Table1Systems, tests: Sequence[str]) -> Figure | None:
    """Return WER and accuracy of each speaker, clean and averaged over the noisy scenarios."""
    svgs = []
    for metric, name in METRICS.items():
        baseline = systems.asr if metric == "wer" else systems.ser
        for where, scenarios in (("clean", tests[:1]), ("noisy tests", tests[1:])):
            values = {}
            for train in TRAINING_SETS:
                for system in (baseline, systems.joint):
                    rates = _speaker_rates(scores, system, train, scenarios, metric)
                    if rates:
                        values[f"{system}, {TRAINED[train]}"] = rates
            if values:
                svgs.append(plots.per_speaker(values, f"{name}, {where}", f"{name}, %"))
    caption = "Each marker is a speaker, each vertical line the mean over speakers."
    return Figure(caption, svgs) if svgs else None


def learning_curves(decoded: Sequence[DecodedFold]) -> Figure | None:
    """Return losses and dev errors of each system over epochs."""
    systems: dict[str, dict[str, list[plots.HistoryEpoch]]] = {}
    for model_dir, model in {fold.model_dir: fold.model for fold in decoded}.items():
        if (model_dir / HISTORY).is_file():
            title = f"{model.system}, {TRAINED[model.train]}"
            systems.setdefault(title, {})[model.fold] = read_history(model_dir / HISTORY)
    if not systems:
        return None
    svgs = [
        plots.learning_curves(folds, f"training of {title}") for title, folds in systems.items()
    ]
    caption = (
        "Thin lines are folds, bold lines their mean; the checkpoint is the epoch with the lowest "
        "dev error."
    )
    return Figure(caption, svgs)


def read_history(path: Path) -> list[plots.HistoryEpoch]:
    """Read epochs.tsv of a model folder. Raises DataError if the table is malformed."""
    header, *lines = files.read_text(path).splitlines() or [""]
    epochs = []
    try:
        if header != HISTORY_HEADER:
            raise ValueError(header)
        for line in lines:
            epoch, _, train_loss, dev_loss, wer, wa = line.split("\t")
            error = (0.0 if wer == "-" else float(wer)) + (0.0 if wa == "-" else 100 - float(wa))
            epochs.append(plots.HistoryEpoch(int(epoch), float(train_loss), float(dev_loss), error))
    except ValueError:
        raise DataError(f"{path}: not a table of epochs; train the model again") from None
    return epochs


def _speaker_rates(
    scores: ScoresByCell, system: str, train: str, tests: Sequence[str], metric: Metric
) -> dict[str, float]:
    """Return the mean rate of each speaker over the tests that have the metric.

    {} if a test is missing.
    """
    keys = [(system, train, test) for test in tests]
    if any(key not in scores for key in keys):
        return {}
    runs = [analysis.utterance_errors(scores[key], metric) for key in keys]
    errors = analysis.mean_errors(run for run in runs if run is not None)
    if errors is None:
        return {}
    rates = errors.by_speaker()
    return rates if metric == "wer" else {name: 100 - rate for name, rate in rates.items()}
