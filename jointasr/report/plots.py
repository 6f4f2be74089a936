"""Plots of the report as SVG images for an HTML page: readable on a phone, reproducible bytes.

Colors are those of Okabe and Ito, which color-blind readers can distinguish; markers and hatches
differ as well.
"""

import html
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

WIDTH = 4.2  # inches; a phone shows it at about 80 % of that size
COLORS = ("#000000", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P")
HATCHES = ("", "//", "", "\\\\")
STYLE = {
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text elements instead of paths
    "svg.hashsalt": "jointasr",
    "hatch.linewidth": 0.6,
}
ID = re.compile(r'(\bid="|xlink:href="#|url\(#)')


class HistoryEpoch(NamedTuple):
    """Losses and dev error of an epoch."""

    epoch: int
    train_loss: float
    dev_loss: float
    dev_error: float
    """sum of the error rates that the system has (WER, 100 - accuracy), per cent"""


def figure2(
    values: Mapping[str, Sequence[float | None]], tests: Sequence[str], title: str, ylabel: str
) -> str:
    """Plot Figure 2 (a) or (b) of the paper: gains of models, grouped by test.

    ``values`` holds a gain for each model and test. The first model is the reference, drawn as the
    zero line; None is drawn as zero.
    """
    with _figure(3.4) as figure:
        axes = figure.subplots()
        width = 0.8 / max(1, len(values) - 1)
        reference, *others = values
        for i, name in enumerate(others):
            heights = [0.0 if value is None else value for value in values[name]]
            positions = np.arange(len(tests)) - 0.4 + width * (i + 0.5)
            style: dict[str, Any] = {
                "color": COLORS[i + 1],
                "hatch": HATCHES[i],
                "edgecolor": "white",
            }
            axes.bar(positions, heights, width, label=name, linewidth=0.5, **style)
        axes.axhline(0, color=COLORS[0], linewidth=1.2, label=f"{reference} (zero)")
        axes.set_xticks(range(len(tests)), [test.replace("_snr", " ") for test in tests])
        axes.tick_params("x", rotation=45)
        axes.set_ylabel(ylabel)
        axes.grid(axis="y", linewidth=0.4)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
        return _svg(figure, title)


def learning_curves(folds: Mapping[str, Sequence[HistoryEpoch]], title: str) -> str:
    """Plot training and dev loss, and dev error, of one system over epochs.

    Thin lines are folds, the bold line is their mean over the epochs that all folds have.
    """
    with _figure(3.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True)
        for axes, field, i, label in (
            (upper, "train_loss", 4, "training"),
            (upper, "dev_loss", 2, "dev"),
            (lower, "dev_error", 2, "dev"),
        ):
            lines = [[getattr(epoch, field) for epoch in epochs] for epochs in folds.values()]
            for line in lines:
                axes.plot(range(1, len(line) + 1), line, color=COLORS[i], linewidth=0.5, alpha=0.5)
            shortest = min(map(len, lines))
            mean = np.mean([line[:shortest] for line in lines], axis=0)
            style: dict[str, Any] = {"color": COLORS[i], "marker": MARKERS[i], "markersize": 4}
            axes.plot(range(1, shortest + 1), mean, label=label, linewidth=2, **style)
        upper.set_ylabel("loss")
        upper.legend(frameon=False, fontsize=9)
        lower.set_ylabel("dev error, %")
        lower.set_xlabel("epoch")
        lower.xaxis.get_major_locator().set_params(integer=True)
        return _svg(figure, title)


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]], title: str) -> str:
    """Plot a confusion matrix: counts and per cent of each reference emotion (row)."""
    with _figure(3.4) as figure:
        axes = figure.subplots()
        table = np.array(counts, dtype=float)
        shares = 100 * table / np.maximum(table.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for (i, j), share in np.ndenumerate(shares):
            color = "white" if share > 55 else "black"
            axes.text(j, i, f"{share:.0f} %\n{counts[i][j]}", ha="center", va="center", color=color)
        axes.set_xticks(range(len(labels)), labels)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_xlabel("recognized")
        axes.set_ylabel("reference")
        axes.spines[:].set_visible(False)
        return _svg(figure, title)


def per_speaker(values: Mapping[str, Mapping[str, float]], title: str, xlabel: str) -> str:
    """Plot the rate of each speaker (row) by series; vertical lines are means over speakers."""
    speakers = sorted({speaker for rates in values.values() for speaker in rates}, reverse=True)
    with _figure(1.6 + 0.24 * len(speakers)) as figure:
        axes = figure.subplots()
        for i, (name, rates) in enumerate(values.items()):
            rows = [speakers.index(speaker) for speaker in rates]
            shift = (len(values) - 1 - 2 * i) * 0.09
            style: dict[str, Any] = {"color": COLORS[i], "marker": MARKERS[i], "s": 22}
            axes.scatter(list(rates.values()), np.array(rows) + shift, label=name, **style)
            axes.axvline(float(np.mean(list(rates.values()))), color=COLORS[i], linewidth=0.8)
        axes.set_yticks(range(len(speakers)), speakers)
        axes.set_xlabel(xlabel)
        axes.grid(axis="y", linewidth=0.4)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
        return _svg(figure, title)


@contextmanager
def _figure(height: float) -> Iterator[Figure]:
    with matplotlib.rc_context(STYLE):
        figure = Figure((WIDTH, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure


def _svg(figure: Any, title: str) -> str:
    """Return a figure as SVG with ids unique to its title and the title as its aria-label."""
    figure.suptitle(title, fontsize=10, fontweight="bold")
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    prefix = re.sub(r"[^a-z0-9]+", "-", title.lower())
    text = ID.sub(rf"\g<1>{prefix}-", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)
