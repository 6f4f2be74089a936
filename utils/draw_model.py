#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Draw the joint system as an SVG file: utils/draw_model.py docs/model.svg"""

import argparse
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

TRAINED, FIXED, LOSS = "#CFE3F2", "#EEEEEE", "#FBE3B8"
HEIGHT = 0.62
BOXES = {  # name: (text, x, y, width, colour)
    "wave": ("noisy speech, 16 kHz,\nspeed, notches, dropped chunks", 1.3, 2.0, 2.3, FIXED),
    "encoder": ("wav2vec2 encoder\n(shared)", 3.9, 2.0, 1.9, TRAINED),
    "head": ("CTC head", 6.2, 3.2, 1.5, TRAINED),
    "words": ("transcript\n(greedy search)", 8.3, 3.2, 1.6, FIXED),
    "bert": ("BERT", 10.2, 3.2, 1.2, TRAINED),
    "acoustic": ("average pooling\nMLP with skip connection", 6.7, 0.8, 2.4, TRAINED),
    "linguistic": ("average pooling\nMLP with skip connection", 10.2, 2.0, 2.4, TRAINED),
    "classifier": ("concatenation,\nemotion classifier", 10.2, 0.8, 1.9, TRAINED),
    "ctc": ("CTC loss (k2),\nweight 1 \u2212 \u03b1", 6.2, 4.4, 1.8, LOSS),
    "cross_entropy": ("cross-entropy,\nweight \u03b1", 12.6, 0.8, 1.6, LOSS),
}
ARROWS = (
    ("wave", "encoder"),
    ("encoder", "head"),
    ("encoder", "acoustic"),
    ("head", "words"),
    ("head", "ctc"),
    ("words", "bert"),
    ("bert", "linguistic"),
    ("linguistic", "classifier"),
    ("acoustic", "classifier"),
    ("classifier", "cross_entropy"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the joint system.")
    parser.add_argument("out", type=Path, help="SVG file to write")
    draw(parser.parse_args().out)


def draw(path: Path) -> None:
    """Write the diagram of the joint system (the paper, Figure 1c) to ``path``."""
    style = {"svg.fonttype": "none", "svg.hashsalt": "jointasr", "font.family": "sans-serif"}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(9.6, 3.6))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, 13.6), ylim=(0.2, 5.0))
        axes.axis("off")
        for text, x, y, width, colour in BOXES.values():
            corner = x - width / 2, y - HEIGHT / 2
            shape = FancyBboxPatch(corner, width, HEIGHT, "round,pad=0.06", fc=colour, ec="#444444")
            axes.add_patch(shape)
            axes.text(x, y, text, ha="center", va="center", fontsize=8.5)
        for start, end in ARROWS:
            axes.annotate("", _border(end, start), _border(start, end), arrowprops=_ARROW)
        FigureCanvasSVG(figure).print_svg(path, metadata={"Date": None, "Creator": None})


_ARROW = {"arrowstyle": "-|>", "color": "#444444"}


def _border(name: str, other: str) -> tuple[float, float]:
    """Where the line from the centre of box ``name`` to that of ``other`` leaves the box."""
    _, x, y, width, _ = BOXES[name]
    _, to_x, to_y, _, _ = BOXES[other]
    dx, dy = to_x - x, to_y - y
    scale = min(
        (width / 2 + 0.08) / abs(dx) if dx else float("inf"),
        (HEIGHT / 2 + 0.08) / abs(dy) if dy else float("inf"),
    )
    return x + dx * scale, y + dy * scale


if __name__ == "__main__":
    main()
