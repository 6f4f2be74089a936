"""The table of decoding methods: rates, gains and costs worked out by hand."""

import json
import sys
from pathlib import Path

import pytest
import toy_exp
from jointasr.report.table import Cells

from jointasr.bin import pool
from jointasr.config import scenarios
from jointasr.config.schema import Report
from jointasr.data.datadir import write_table
from jointasr.report import markdown, methods, tables

RIGHT = {"Ses01F-a": "THE CAT SAT", "Ses01F-b": "OH", "Ses01F-c": "GO"}


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cells:
    """The toy experiment's asr, and a method that finds three of its four lost words again."""
    toy_exp.make_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    system = toy_exp.make_system(tmp_path, "asr", "asr")
    toy_exp.make_system(tmp_path, "asr", "asr", method="hlg")
    toy_exp.make_system(tmp_path, "ser", "ser")
    for test in toy_exp.TESTS:
        decode = system / f"fold_Ses01F/decode_{test}_hlg"
        write_table(decode / "text", RIGHT)
        rows = {utt: " ".join(["0.750000"] * len(text.split())) for utt, text in RIGHT.items()}
        write_table(decode / "word_post", rows)
        usage = {"audio": 10.0, "seconds": 4.0, "search": 1.0, "memory": 2.5}
        (decode / "usage.json").write_text(json.dumps(usage))
    for method in ("hlg", "default"):
        arguments = [str(system), "--tests", "conf/tests.tsv", "--method", method]
        arguments += ["--results", "exp/results.json", "--command", "./run.sh"]
        monkeypatch.setattr(sys, "argv", ["pool", *arguments])
        pool.main()
    return Cells(json.loads(Path("exp/results.json").read_text()), "default")


def test_methods_side_by_side(cells: Cells) -> None:
    tests = list(scenarios.read_tests(Path("conf/tests.tsv")))
    conf = Report(resamples=200)
    default, hlg = methods.rows(cells, tests, Path("exp"), conf)
    assert (default.method, hlg.method, hlg.system, hlg.train) == ("default", "hlg", "asr", "clean")
    assert default.clean is not None and hlg.clean is not None and hlg.noisy is not None
    assert default.clean.wer.value == pytest.approx(62.5) and default.clean.gain is None
    # 8 words; errors left: OH inserted, ON deleted, WERE taken for WHERE
    assert hlg.clean.wer.value == pytest.approx(37.5)
    assert hlg.clean.gain is not None and hlg.clean.gain.value == pytest.approx(25.0)
    # scripted (a): 5 words, one wrong; improvised: 3 words, two wrong
    expected = {"improvised": pytest.approx(200 / 3), "scripted": pytest.approx(20.0)}
    assert hlg.clean.styles == expected and hlg.noisy.styles == expected
    assert (hlg.search, hlg.memory) == (pytest.approx(0.1), 2.5)
    # five words said to be right with .75, four of them are
    assert hlg.calibration == pytest.approx(5.0)
    assert (default.search, default.memory, default.calibration) == (None, None, None)
    text = "".join(map(markdown.block, tables.methods([default, hlg])))
    (row,) = [line for line in text.splitlines() if line.startswith("| asr, clean-trained, hlg ")]
    assert [cell.strip() for cell in row.split("|")[2:7:2]] == ["37.5", "66.7", "25.0"]


def test_a_single_method_has_no_table(cells: Cells) -> None:
    only = Cells(cells.all, "default")
    assert methods.rows(only, ["clean"], Path("exp"), Report()) == []
