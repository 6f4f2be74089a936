"""The report as one self-contained HTML file: no network access, no scripts, any screen size."""

import base64
import io
import re
from collections.abc import Iterable
from functools import cache
from importlib import resources

import jinja2
import numpy as np
import soundfile
from markupsafe import Markup, escape

from jointasr.report.elements import Section, TableCell
from jointasr.scoring.metrics import Pair

TEMPLATE = "report.html.j2"
CODE = re.compile(r"`([^`]+)`")


def render(title: str, lead: str, sections: Iterable[Section]) -> str:
    """Return the HTML text, the same for the same input."""
    return _template().render(title=title, lead=lead, sections=list(sections))


def audio_uri(samples: np.ndarray, rate: int) -> str:
    """Return int16 samples of shape (T,) as a data: URI with FLAC audio, which is lossless."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(file.getvalue()).decode()}"


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"inline": _inline, "slug": _slug, "pair": _pair, "svg": Markup}
    environment.tests["styled"] = lambda value: isinstance(value, TableCell)
    environment.filters["kind"] = lambda block: type(block).__name__
    text = resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(text)


def _inline(text: str) -> Markup:
    """Escape text and mark up text between backquotes as code."""
    return Markup(CODE.sub(r"<code>\1</code>", str(escape(text))))


def _slug(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _pair(pair: Pair) -> Markup:
    """Mark up one step of an alignment: <del> for the reference word, <ins> for the hypothesis."""
    ref, hyp = pair
    if ref == hyp:
        return escape(ref)
    parts = []
    if ref is not None:
        parts.append(Markup("<del>{}</del>").format(ref))
    if hyp is not None:
        parts.append(Markup("<ins>{}</ins>").format(hyp))
    return Markup("<span class=e>{}</span>").format(Markup(" ").join(parts))
