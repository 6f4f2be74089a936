"""The HTML report: contents, and layout in a browser on a phone and on a desktop."""

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from chrome import DESKTOP, PHONE, chromium

from jointasr.report import html_page, plots
from jointasr.report.elements import (
    AudioExample,
    AudioExamples,
    Bullets,
    Code,
    Figure,
    Paragraph,
    Section,
    SystemOutput,
    Table,
    TableCell,
)

TESTS = ["clean", *(f"{kind}_snr{db}" for kind in ("noise", "music", "speech") for db in (15, 5))]
MARKUP = '<script>alert("x")</script> & `code<b>`'
LONG = "x" * 200


def wave(number: int) -> np.ndarray:
    generator = np.random.default_rng(number)
    return np.rint(generator.normal(0, 500, 16000 + 100 * number)).astype(np.int16)


def full() -> str:
    """Return a page with all elements, of the size of a real report."""
    speakers = {f"Ses0{n}{who}": 10.0 + n for n in range(1, 6) for who in "FM"}
    series = [f"{who}, {train}-trained" for train in ("clean", "noise") for who in ("asr", "joint")]
    values: dict[str, list[float | None]] = {
        name: [1.5, -3.0, None, 4.0, 0.0, 9.0, 20.0] for name in series
    }
    epoch = [plots.HistoryEpoch(n, 3 / n, 3.2 / n, 60 / n) for n in range(1, 7)]
    svgs = [
        *(plots.figure2(values, TESTS, f"Figure 2 ({x})", "points") for x in "ab"),
        *(plots.per_speaker(dict.fromkeys(series, speakers), f"S {x}", "WER, %") for x in "ab"),
        plots.learning_curves({name: epoch for name in speakers}, "training of joint"),
        plots.confusion(["ang", "hap"], [[1000, 2], [0, 0]], "joint, clean"),
    ]
    words = [("THE", "THE"), ("CAT", "HAT"), (None, "OH"), ("SAT", None)]
    examples = [
        AudioExample(
            f"Ses01F-Ses01F_impro01_F{n:03d}: {MARKUP}",
            html_page.audio_uri(wave(n), 16000),
            "ang",
            [SystemOutput(name, words, "neu") for name in series],
        )
        for n in range(35)
    ]
    wide = [[f"{test}, {train}", *["-12.3 [-45.6, 78.9]"] * 12] for test in TESTS for train in "ab"]
    narrow: list[list[str | TableCell]] = [
        ["clean", TableCell("16.8", "good"), *["15.0"] * 4, TableCell("-41.3", "bad")]
    ]
    sections = [
        Section("Summary", [Bullets([MARKUP, LONG]), Paragraph(f"{MARKUP} {LONG}")]),
        Section("Table 1", [Table("WER, %", ["test", *"abcdef"], narrow)]),
        Section("Tests", [Table("", [f"column {n}" for n in range(13)], wide)]),
        Section("Figures", [Figure("Seen by all.", svgs)]),
        Section("Worst", [AudioExamples("clean: most word errors", examples)]),
        Section(
            "Audit", [Table("", ["a", "b"], [[LONG, TableCell("failed", "bad")]], textual=True)]
        ),
        Section("Origin", [Code(f"./run.sh --set '{LONG}'\n# {MARKUP}")]),
    ]
    return html_page.render(f"Results {MARKUP}", "A lead `code`.", sections)


def sparse() -> str:
    sections = [
        Section("Summary", [Bullets(["Missing: 6, listed below."])]),
        Section("Table 1", [Table("WER, %", ["test", "base"], [["clean", "-"]])]),
    ]
    return html_page.render("Results", "1 fold.", sections)


def test_text_is_escaped_and_pages_are_reproducible() -> None:
    text = full()
    assert "<script" not in text and "&lt;script&gt;" in text
    assert "<code>code&lt;b&gt;</code>" in text
    assert text == full()
    assert "http" not in text.replace("http://www.w3.org", "")


def test_errors_in_alignments_are_marked() -> None:
    words = [("THE", "THE"), ("<A>", "B"), (None, "OH"), ("SAT", None)]
    text = html_page.render(
        "t",
        "",
        [
            Section(
                "s",
                [
                    AudioExamples(
                        "", [AudioExample("u", "", "ang", [SystemOutput("asr", words, "")])]
                    )
                ],
            )
        ],
    )
    steps = [
        "THE",
        "<span class=e><del>&lt;A&gt;</del> <ins>B</ins></span>",
        "<span class=e><ins>OH</ins></span>",
        "<span class=e><del>SAT</del></span>",
    ]
    assert f"<dd>{' '.join(steps)} </dd>" in text
    assert "Audio not available." in text


def test_audio_is_lossless() -> None:
    samples = wave(3)
    head, data = html_page.audio_uri(samples, 16000).split(",")
    assert head == "data:audio/flac;base64"
    back, rate = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="int16")
    assert rate == 16000 and np.array_equal(back, samples)


def test_svg_ids_are_unique() -> None:
    one, two = (
        plots.confusion(["a", "b"], [[1, 2], [3, 4]], title) for title in ("first", "second")
    )
    ids = [set(text.split('"')[0] for text in svg.split(' id="')[1:]) for svg in (one, two)]
    assert ids[0] and not ids[0] & ids[1]
    for svg, own in zip((one, two), ids, strict=True):
        used = {text.split(")")[0] for text in svg.split("url(#")[1:]}
        used |= {text.split('"')[0] for text in svg.split('xlink:href="#')[1:]}
        assert used <= own


@pytest.fixture(scope="module", params=[PHONE, DESKTOP], ids=["phone", "desktop"])
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Chromium with the window of a phone (and its viewport) or of a desktop."""
    with chromium(request.param) as driver:
        yield driver


@pytest.mark.parametrize("make", [full, sparse])
def test_layout_in_a_browser(browser: Any, make: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(make(), encoding="utf-8")
    browser.get_log("performance")
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []
    log = "".join(entry["message"] for entry in browser.get_log("performance"))
    requested = {piece.split(":")[0] for piece in log.split('"url":"')[1:]}
    assert "file" in requested and requested <= {"file", "data", "about", "chrome"}, requested
    for element in browser.find_elements("tag name", "details"):
        browser.execute_script("arguments[0].open = true", element)
    wide, seen = browser.execute_script(
        "const e = document.documentElement; return [e.scrollWidth, e.clientWidth]"
    )
    assert wide <= seen
    assert seen == browser.execute_script("return window.innerWidth") or seen > 1000
    if seen < 500:
        assert seen == PHONE[0]
    headings = [item.text for item in browser.find_elements("css selector", "h1, h2")]
    assert headings[1:3] == ["Summary", "Table 1"]
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('svg text')].map(t => {"
        "  const m = t.getScreenCTM();"
        "  return parseFloat(getComputedStyle(t).fontSize) * Math.hypot(m.a, m.b) })"
    )
    assert all(size >= 7.5 for size in sizes), min(sizes)
    assert bool(sizes) == (make is full)


def test_audio_plays_on_a_click(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(full(), encoding="utf-8")
    browser.get(path.as_uri())
    browser.set_script_timeout(20)
    length = browser.execute_async_script(
        "const done = arguments[0], a = document.querySelector('audio');"
        "a.addEventListener('loadedmetadata', () => done(a.duration));"
        "a.addEventListener('error', () => done(-1)); a.load(); a.preload = 'auto';"
    )
    assert length == pytest.approx(len(wave(0)) / 16000, abs=0.01)
