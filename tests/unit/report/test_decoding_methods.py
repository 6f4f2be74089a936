"""The table of decoding methods: values computed by hand."""

import json
import sys
from pathlib import Path

import pytest
import toy_exp

from jointasr.bin import pool
from jointasr.config import scenarios
from jointasr.config.report_schema import Report
from jointasr.data.datadir import write_table
from jointasr.report import decoding_methods, markdown, tables
from jointasr.scoring.results_json import Results

RIGHT = {"Ses01F-a": "THE CAT SAT", "Ses01F-b": "OH", "Ses01F-c": "GO"}


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """The asr system of the toy experiment, and a method that corrects two of its five errors."""
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
    return Results(json.loads(Path("exp/results.json").read_text()), "default")


def test_rows_of_two_methods(results: Results) -> None:
    tests = list(scenarios.read_tests(Path("conf/tests.tsv")))
    conf = Report(resamples=200)
    default, hlg = decoding_methods.rows(results, tests, Path("exp"), conf)
    assert (default.method, hlg.method, hlg.system, hlg.train) == ("default", "hlg", "asr", "clean")
    assert default.clean is not None and hlg.clean is not None and hlg.noisy is not None
    assert default.clean.wer.value == pytest.approx(62.5) and default.clean.gain is None
    # 8 words; 3 errors: OH inserted, ON deleted, WERE substituted by WHERE
    assert hlg.clean.wer.value == pytest.approx(37.5)
    assert hlg.clean.gain is not None and hlg.clean.gain.value == pytest.approx(25.0)
    # scripted (a): 5 words, one wrong; improvised: 3 words, two wrong
    expected = {"improvised": pytest.approx(200 / 3), "scripted": pytest.approx(20.0)}
    assert hlg.clean.styles == expected and hlg.noisy.styles == expected
    assert (hlg.search_rtf, hlg.memory) == (pytest.approx(0.1), 2.5)
    # five words with posterior .75, four of them correct
    assert hlg.word_ece == pytest.approx(5.0)
    assert (default.search_rtf, default.memory, default.word_ece) == (None, None, None)
    text = "".join(map(markdown.block, tables.decoding_methods([default, hlg])))
    (row,) = [line for line in text.splitlines() if line.startswith("| asr, clean-trained, hlg ")]
    assert [cell.strip() for cell in row.split("|")[2:7:2]] == ["37.5", "66.7", "25.0"]


def test_scenarios_with_other_utterances_have_no_mean(results: Results) -> None:
    hypotheses = Path("exp/asr_clean/fold_Ses01F/decode_noise_snr5_hlg/scoring_kaldi/utt2counts")
    hypotheses.write_text("\n".join(hypotheses.read_text().splitlines()[1:]) + "\n")
    tests = ["noise_snr5", "clean", "noise_snr5"]
    _, hlg = decoding_methods.rows(results, tests, Path("exp"), Report(resamples=200))
    assert hlg.clean is not None and hlg.noisy is None


def test_no_rows_for_a_single_method(results: Results) -> None:
    single = Results(results.cells, "default")
    assert decoding_methods.rows(single, ["clean"], Path("exp"), Report()) == []
