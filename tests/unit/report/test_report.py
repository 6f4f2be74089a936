"""Table 1 and Figure 2 from the published results; the report of a toy experiment."""

import sys
from pathlib import Path

import pytest
import toy_exp

from jointasr.bin import pool
from jointasr.bin import report as program
from jointasr.config import scenarios
from jointasr.config.report_schema import Report
from jointasr.report import figures, formatting, markdown, report, report_data, table1
from jointasr.report.report_data import ReportData
from jointasr.report.table1 import Table1Systems, select_systems
from jointasr.scoring.results_json import Results
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

PAPER = table1.read_paper(ROOT / "conf" / "paper" / "table1.tsv")
TESTS = list(dict.fromkeys(test for test, _ in PAPER))
ROUNDED = {  # published improvement, if the published WERs give another value
    ("music_snr15", "clean"): 9.9,
    ("music_snr15", "noisy"): 4.3,
    ("music_snr5", "noisy"): -4.6,
    ("speech_snr15", "noisy"): -8.6,
}


COUNTS = dict.fromkeys(("sub", "del", "ins", "ref_words"), 0)  # not published
RATES = dict.fromkeys(("ua", "macro_f1", "ece", "n"), None)


def paper_results() -> Results:
    """Return the 56 published values as results."""
    cells = []
    for (test, train), row in PAPER.items():
        for system in ("asr", "ser", "joint"):
            column = "joint" if system == "joint" else "baseline"
            wer = {"value": row[f"wer_{column}"], **COUNTS} if system != "ser" else None
            acc = {"wa": row[f"acc_{column}"], **RATES} if system != "asr" else None
            cell = {"system": system, "kind": system, "method": "default", "train": train}
            cells.append(
                {
                    **cell,
                    **{"test": test, "folds": ["1"], "engine": "k2", "stack": "k2"},
                    **{"wer": wer, "acc": acc, "conf": f"conf/{system}.yaml", "seed": 0},
                    **{"command": "./run.sh", "by_speaker": {}},
                }
            )
    return Results(cells, "default")


def test_published_improvements_follow_from_published_values() -> None:
    assert len(TESTS) == 7 and len(PAPER) == 14
    ours = table1.table1(paper_results(), Table1Systems(), TESTS)
    published = table1.paper_rows(PAPER, TESTS)
    exact = 0
    for test, our_row, paper_row in zip(TESTS, ours, published, strict=True):
        for column in (2, 5, 8, 11):
            train = "clean" if column in (2, 8) else "noisy"
            a, b = our_row[column], paper_row[column]
            assert a is not None and b is not None
            if column < 6 and (test, train) in ROUNDED:
                assert b == ROUNDED[test, train]
                assert formatting.number(a) != formatting.number(b)
                row = PAPER[test, train]
                assert within_rounding(row["wer_baseline"], row["wer_joint"], b)
            else:
                exact += 1
                assert formatting.number(a) == formatting.number(b), (test, column)
        assert [our_row[i] for i in (0, 1, 3, 4, 6, 7, 9, 10)] == [
            paper_row[i] for i in (0, 1, 3, 4, 6, 7, 9, 10)
        ]
    assert exact == 24


def within_rounding(baseline: float, joint: float, published: float) -> bool:
    """Return whether WERs that round to these can give an improvement that rounds to that."""
    values = [
        table1.wer_improvement(baseline + i, joint + j)
        for i in (-0.05, 0.05)
        for j in (-0.05, 0.05)
    ]
    ends = [value for value in values if value is not None]
    return min(ends) - 0.05 <= published <= max(ends) + 0.05


def collect(results: Results, exp: Path = Path("nowhere"), paper: bool = False) -> ReportData:
    origin = report_data.Origin("toy", "abc")
    published = PAPER if paper else None
    return report_data.collect(results, TESTS, exp, Report(resamples=200), published, origin)


def test_figure_2_has_the_orderings_stated_in_the_paper() -> None:
    """Check the statements of section 5 of the paper with the values of its Table 1."""
    values = table1.figure2(paper_results(), Table1Systems(), TESTS)
    asr = {key: dict(zip(TESTS, row, strict=True)) for key, row in values["wer"].items()}
    ser = {key: dict(zip(TESTS, row, strict=True)) for key, row in values["acc"].items()}
    assert list(asr) == [(name, train) for train in ("clean", "noisy") for name in ("asr", "joint")]
    assert set(asr["asr", "clean"].values()) == set(ser["ser", "clean"].values()) == {0.0}
    for system in ("asr", "joint"):  # "better performance in all the ASR test cases, except clean"
        better = {t for t in TESTS if asr[system, "noisy"][t] > asr[system, "clean"][t]}
        assert better == set(TESTS) - {"clean"}
    for system in ("ser", "joint"):  # "exception of clean, SNR 15 noise and SNR 15 Music"
        better = {t for t in TESTS if ser[system, "noisy"][t] > ser[system, "clean"][t]}
        assert better == set(TESTS) - {"clean", "noise_snr15", "music_snr15"}
    # joint over baseline in music and noise at all SNR, except music 5 dB noise-trained
    for train in ("clean", "noisy"):
        for test in TESTS:
            better_asr = asr["joint", train][test] > asr["asr", train][test]
            speech_or_exception = "speech" in test or (test, train) == ("music_snr5", "noisy")
            assert better_asr is not speech_or_exception, (test, train)
            better_ser = ser["joint", train][test] > ser["ser", train][test]
            assert better_ser is not ((test, train) == ("speech_snr5", "clean")), (test, train)
    # "9.9 %" over the clean-trained joint model is in percentage points, at speech 5 dB
    points = ser["joint", "noisy"]["speech_snr5"] - ser["joint", "clean"]["speech_snr5"]
    assert points == pytest.approx(9.9)
    assert asr["joint", "clean"]["clean"] == pytest.approx(100 * 1.8 / 16.8)


def test_note_on_the_four_improvements_that_differ_by_rounding() -> None:
    note = table1.paper_note(PAPER, TESTS)
    assert "music_snr15 clean-trained 9.9 (from the WERs: 9.7)" in note
    assert note.count("from the WERs:") == 4
    assert report_data.missing(paper_results(), Table1Systems(), TESTS) == []


def test_terminal_table_fits_100_columns() -> None:
    text = report.terminal(collect(paper_results()), Path("exp"))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    values = "16.8 15.0 10.7 19.8 15.6 21.2 71.9 74.2 2.3 70.2 71.7 1.5"
    assert lines[2].split() == ["clean", *values.split()]
    assert len({len(line) for line in lines[:9]}) == 1
    assert lines[-2] == "Nothing is missing."
    assert lines[-1] == (
        "1 fold, engine k2, stack k2; full report: exp/RESULTS.md, exp/report.html"
    )


def make(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run stages 9 and 10 for three systems; one has a single fold, one lacks a scenario."""
    toy_exp.make_data(recipe)
    monkeypatch.chdir(recipe)
    systems = [
        toy_exp.make_system(recipe, "asr", "asr"),
        toy_exp.make_system(recipe, "joint", "joint"),
        toy_exp.make_system(recipe, "text", "joint", folds=["Ses01F"]),
    ]
    for fold in toy_exp.FOLDS:
        (recipe / systems[1] / f"fold_{fold}" / "decode_noise_snr5" / ".done").unlink()
    arguments = ["--tests", "conf/tests.tsv", "--results", "exp/results.json", "--allow-missing"]
    arguments += ["--command", "./run.sh --conf x.yaml"]
    monkeypatch.setattr(sys, "argv", ["pool", *arguments, *map(str, systems)])
    pool.main()
    monkeypatch.setattr(sys, "argv", ["report", "--tests", "conf/tests.tsv"])
    program.main()


def lines(text: str, start: str) -> list[list[str]]:
    """Return the cells of the table rows that start with ``start``."""
    rows = [line for line in text.splitlines() if line.startswith(f"| {start}")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_small_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "toy", monkeypatch)
    text = Path("exp/RESULTS.md").read_text()
    assert "Base: `asr` for WER, `ser` for accuracy; joint: `joint`." in text
    gaps = [
        "- asr, noise-trained: all tests",
        "- joint, clean-trained: noise_snr5",
        "- joint, noise-trained: all tests",
        "- text, clean-trained: without speaker Ses02M in all tests "
        "(not comparable with systems that have them)",
        "- ser, clean-trained: all tests",
        "- ser, noise-trained: all tests",
    ]
    assert "## Missing\n\n" + "\n".join(gaps) + "\n" in text
    assert lines(text, "clean ")[:2] == [
        ["clean", "62.5", "62.5", "0.0", "-", "-", "-"],
        ["clean", "-", "60.0", "-", "-", "-", "-"],
    ]
    (comparison,) = lines(text, "clean-trained, clean ")
    assert comparison[1:6] == ["62.5", "62.5", "0.0", "non-inferior", "[0.0, 0.0]"]
    assert comparison[9:11] == ["too few", "-"]  # only two speakers
    joint = lines(text, "joint, clean-trained, clean ")
    assert [joint[0][1], joint[0][4:]] == ["62.5", ["1", "3", "1", "8"]]
    assert [joint[1][1], joint[1][4:]] == ["60.0", ["62.5", "58.3", "10.0", "5"]]
    header = lines(text, "system and test")
    assert header[2][1:] == ["improvised", "scripted", "ang", "hap", "neu", "sad", "all"]
    assert joint[2][1:] == ["100.0", "40.0", "25.0", "-", "50.0", "100.0", "62.5"]
    assert joint[3][1:] == ["33.3", "100.0", "50.0", "0.0", "100.0", "100.0", "60.0"]
    assert joint[4][1:] == ["80.0", "33.3", "62.5"] and header[4][1:] == ["Ses01F", "Ses02M", "all"]
    assert lines(text, "ang ")[0] == ["ang", "1", "1", "0", "0"]
    (ablation,) = lines(text, "text, clean-trained ")[:1]
    assert ablation[1] == "0" and ablation[2::3] == ["80.0", "80.0", "66.7", "66.7"]
    assert set(ablation[3::3] + ablation[4::3]) == {"-"}  # other test utterances than joint
    assert lines(text, "missing or extra")[0][2:] == ["none", "passed +"]
    assert lines(text, "asr ")[-1][1:] == [
        "asr", "conf/asr.yaml", "0", "default", "k2", "k2-pypi", "abc", "-",
    ]  # fmt: skip
    assert "Command for asr, joint, text:\n\n    ./run.sh --conf x.yaml\n" in text
    assert str(tmp_path) not in text
    assert "paper joint" not in text
    shown = capsys.readouterr().out
    assert "missing: ser, clean-trained: all tests\n" in shown
    assert "| text, clean-trained " in shown
    assert (
        "2 folds, engine k2, stack k2-pypi; full report: exp/RESULTS.md, exp/report.html\n" in shown
    )


def test_an_unchanged_report_is_shown_and_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "toy", monkeypatch)
    first = capsys.readouterr().out
    made = Path("exp/RESULTS.md").stat().st_mtime_ns
    program.main()
    summary = first[first.index("\n") + 1 :]  # stage 9 prints a line before
    assert capsys.readouterr().out == f"exp/RESULTS.md: up to date\n{summary}"
    assert Path("exp/RESULTS.md").stat().st_mtime_ns == made
    text = next(Path("exp").glob("asr_clean/fold_*/decode_clean/text"))
    text.write_text(text.read_text() + "\n")

    def make_again(args: object) -> str:
        Path("exp/report.html").write_text("page\n")
        return "made\n"

    monkeypatch.setattr(program, "make", make_again)
    program.main()
    assert capsys.readouterr().out == "made\n"
    program.main()
    assert "up to date" in capsys.readouterr().out
    Path("exp/report.html").unlink()
    program.main()
    assert capsys.readouterr().out == "made\n"


def test_html_page_of_a_partial_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "toy", monkeypatch)
    html = Path("exp/report.html").read_text()
    assert "ser, noise-trained: all tests" in html
    assert html.count("<svg") >= 3 and 'aria-label="Figure 2 (a): ASR"' in html
    assert "Audio not available." in html  # the toy corpus has no audio
    assert "<del>SAT</del>" in html and "<ins>OH</ins>" in html
    assert str(tmp_path) not in html


def test_published_results_next_to_ours() -> None:
    data = collect(paper_results(), paper=True)
    text = markdown.render(report.title(data), report.scope(data), report.sections(data))
    row = lines(text, "clean ")[0]
    assert row == ["clean", *["16.8", "15.0", "10.7"] * 2]
    assert "paper Rel Imp" in text and "clean-trained: WER, %; Rel Imp in relative %" in text
    assert "Published improvements that differ" in text
    assert "- nothing" in text.split("## Missing")[1]
    assert "## Ablations" not in text
    assert "only pooled results" in text and "Not audited" in text
    assert "commit abc" in text


def test_table_1_uses_the_only_system_of_a_kind() -> None:
    cells = paper_results().cells
    renamed = [{**c, "system": "joint-s1"} if c["system"] == "joint" else c for c in cells]
    assert select_systems(Results(renamed, "default")) == Table1Systems(joint="joint-s1")
    assert select_systems(Results([*cells, *renamed], "default")) == Table1Systems()
    assert Results(cells, "greedy").cells == []


def test_missing_results_and_malformed_tables_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run stage 9"):
        collect(Results([], "default"))
    malformed = tmp_path / "table.tsv"
    malformed.write_text("test\ttrain\twer\nclean\tclean\n")
    with pytest.raises(DataError, match="expected 3 columns"):
        table1.read_paper(malformed)
    empty = tmp_path / "tests.tsv"
    empty.write_text("# none\n")
    with pytest.raises(DataError, match="no test scenario"):
        scenarios.read_tests(empty)
    history = tmp_path / "epochs.tsv"
    history.write_text("epoch\tloss\n1\t2\n")
    with pytest.raises(DataError, match=r"epochs.tsv: not a table of epochs"):
        figures.read_history(history)


def test_no_improvement_over_a_perfect_baseline() -> None:
    assert table1.wer_improvement(0.0, 1.0) is None
    assert table1.acc_improvement(50.0, 48.5) == -1.5
    assert [formatting.number(x) for x in (None, -0.04, -0.06, 12.25)] == [
        "-",
        "0.0",
        "-0.1",
        "12.2",
    ]
