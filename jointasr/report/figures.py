"""The report's pictures as SVG to be put into a page: legible on a phone, the same bytes each time.

Colours are those of Okabe and Ito, which colour-blind readers tell apart; shapes differ as well.
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

WIDTH = 4.2  # inches; a phone shows it at about 80 %
COLOURS = ("#000000", "#E69F00", "#0072B2", "#009E73", "#D55E00", "#CC79A7")
MARKERS = ("o", "s", "^", "D", "v", "P")
HATCHES = ("", "//", "", "\\\\")
STYLE = {
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "jointasr",
    "hatch.linewidth": 0.6,
}
ID = re.compile(r'(\bid="|xlink:href="#|url\(#)')


class HistoryEpoch(NamedTuple):
    """A point of a training curve."""

    epoch: int
    train_loss: float
    dev_loss: float
    dev_error: float
    """per cent: the sum of the system's own error rates"""


def figure2(
    values: Mapping[str, Sequence[float | None]], tests: Sequence[str], title: str, ylabel: str
) -> str:
    """The paper's Figure 2, (a) or (b): model kinds relative to the first of ``values``, by test.

    ``values`` are gains, positive where better than the clean-trained baseline, at zero.
    """
    with _figure(3.4) as figure:
        axes = figure.subplots()
        width = 0.8 / max(1, len(values) - 1)
        base, *others = values
        for i, name in enumerate(others):
            heights = [0.0 if value is None else value for value in values[name]]
            places = np.arange(len(tests)) - 0.4 + width * (i + 0.5)
            look: dict[str, Any] = {
                "color": COLOURS[i + 1],
                "hatch": HATCHES[i],
                "edgecolor": "white",
            }
            axes.bar(places, heights, width, label=name, linewidth=0.5, **look)
        axes.axhline(0, color=COLOURS[0], linewidth=1.2, label=f"{base} (zero)")
        axes.set_xticks(range(len(tests)), [test.replace("_snr", " ") for test in tests])
        axes.tick_params("x", rotation=45)
        axes.set_ylabel(ylabel)
        axes.grid(axis="y", linewidth=0.4)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
        return _svg(figure, title)


def curves(folds: Mapping[str, Sequence[HistoryEpoch]], title: str) -> str:
    """Training of one system: losses above, error on dev below; a thin line a fold, bold: mean."""
    with _figure(3.6) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        for axes, what, i, label in (
            (above, "train_loss", 4, "training"),
            (above, "dev_loss", 2, "dev"),
            (below, "dev_error", 2, "dev"),
        ):
            lines = [[getattr(point, what) for point in points] for points in folds.values()]
            for line in lines:
                axes.plot(range(1, len(line) + 1), line, color=COLOURS[i], linewidth=0.5, alpha=0.5)
            shortest = min(map(len, lines))
            middle = np.mean([line[:shortest] for line in lines], axis=0)
            look: dict[str, Any] = {"color": COLOURS[i], "marker": MARKERS[i], "markersize": 4}
            axes.plot(range(1, shortest + 1), middle, label=label, linewidth=2, **look)
        above.set_ylabel("loss")
        above.legend(frameon=False, fontsize=9)
        below.set_ylabel("error on dev, %")
        below.set_xlabel("epoch")
        below.xaxis.get_major_locator().set_params(integer=True)
        return _svg(figure, title)


def confusion(labels: Sequence[str], counts: Sequence[Sequence[int]], title: str) -> str:
    """Counts and per cent of each row (spoken); columns: recognised."""
    with _figure(3.4) as figure:
        axes = figure.subplots()
        table = np.array(counts, dtype=float)
        shares = 100 * table / np.maximum(table.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
        for (i, j), share in np.ndenumerate(shares):
            ink = "white" if share > 55 else "black"
            axes.text(j, i, f"{share:.0f} %\n{counts[i][j]}", ha="center", va="center", color=ink)
        axes.set_xticks(range(len(labels)), labels)
        axes.set_yticks(range(len(labels)), labels)
        axes.set_xlabel("recognised")
        axes.set_ylabel("spoken")
        axes.spines[:].set_visible(False)
        return _svg(figure, title)


def per_speaker(values: Mapping[str, Mapping[str, float]], title: str, xlabel: str) -> str:
    """A row of marks a speaker: the rate of each series, whose mean is a thin upright line."""
    speakers = sorted({speaker for rates in values.values() for speaker in rates}, reverse=True)
    with _figure(1.6 + 0.24 * len(speakers)) as figure:
        axes = figure.subplots()
        for i, (name, rates) in enumerate(values.items()):
            rows = [speakers.index(speaker) for speaker in rates]
            shift = (len(values) - 1 - 2 * i) * 0.09
            look: dict[str, Any] = {"color": COLOURS[i], "marker": MARKERS[i], "s": 22}
            axes.scatter(list(rates.values()), np.array(rows) + shift, label=name, **look)
            axes.axvline(float(np.mean(list(rates.values()))), color=COLOURS[i], linewidth=0.8)
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
    """The figure for a page: its ids made its own, its title for readers who cannot see it."""
    figure.suptitle(title, fontsize=10, fontweight="bold")
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None}, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    own = re.sub(r"[^a-z0-9]+", "-", title.lower())
    text = ID.sub(rf"\g<1>{own}-", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(title)}"', 1)
