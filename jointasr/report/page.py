"""A report as one HTML file that needs nothing else: no network, no script, phone or desktop."""

import base64
import io
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import jinja2
import numpy as np
import soundfile
from markupsafe import Markup, escape

from jointasr.report.elements import Cell, Section
from jointasr.scoring.metrics import Pair

TEMPLATE = "report.html.j2"
CODE = re.compile(r"`([^`]+)`")


def render(title: str, lead: str, sections: Iterable[Section]) -> str:
    """The text of the page; the same input gives the same bytes."""
    return _template().render(title=title, lead=lead, sections=list(sections))


def audio_uri(samples: np.ndarray, rate: int) -> str:
    """int16 samples (T,) as a data: URI of FLAC, which browsers play and which loses nothing."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(file.getvalue()).decode()}"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"inline": _inline, "slug": _slug, "pair": _pair, "svg": Markup}
    environment.tests["cell"] = lambda value: isinstance(value, Cell)
    environment.filters["kind"] = lambda block: type(block).__name__
    return environment.get_template(TEMPLATE)


def _inline(text: str) -> Markup:
    """Escaped text; what is between backquotes as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _pair(pair: Pair) -> Markup:
    """A step of an alignment: what was left out is struck out, what was added underlined."""
    ref, hyp = pair
    if ref == hyp:
        return escape(ref)
    parts = []
    if ref is not None:
        parts.append(Markup("<del>{}</del>").format(ref))
    if hyp is not None:
        parts.append(Markup("<ins>{}</ins>").format(hyp))
    return Markup("<span class=e>{}</span>").format(Markup(" ").join(parts))
