"""The paper's own numbers reproduced, a small report looked at line by line, gaps shown as gaps."""

import sys
from pathlib import Path

import pytest
import toy_exp
from jointasr.report.table import Cells, Trio

from jointasr.bin import pool
from jointasr.bin import report as program
from jointasr.config import scenarios
from jointasr.config.schema import Report
from jointasr.report import markdown, pictures, report, table
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

PAPER = table.read_paper(ROOT / "conf" / "paper" / "table1.tsv")
TESTS = list(dict.fromkeys(test for test, _ in PAPER))
ROUNDED = {  # PAPER.md: the printed value, where the printed WERs give another
    ("music_snr15", "clean"): 9.9,
    ("music_snr15", "noisy"): 4.3,
    ("music_snr5", "noisy"): -4.6,
    ("speech_snr15", "noisy"): -8.6,
}


COUNTS = dict.fromkeys(("sub", "del", "ins", "ref_words"), 0)  # the paper does not give them
RATES = dict.fromkeys(("ua", "macro_f1", "ece", "n"), None)


def paper_cells() -> Cells:
    """The paper's 56 numbers as if they were our results."""
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
    return Cells(cells, "default")


def test_the_papers_improvements_follow_from_its_numbers() -> None:
    assert len(TESTS) == 7 and len(PAPER) == 14
    ours = table.table1(paper_cells(), Trio(), TESTS)
    printed = table.paper_rows(PAPER, TESTS)
    exact = 0
    for test, mine, theirs in zip(TESTS, ours, printed, strict=True):
        for column in (2, 5, 8, 11):
            train = "clean" if column in (2, 8) else "noisy"
            a, b = mine[column], theirs[column]
            assert a is not None and b is not None
            if column < 6 and (test, train) in ROUNDED:
                assert b == ROUNDED[test, train]
                assert table.number(a) != table.number(b)
                row = PAPER[test, train]
                assert within_rounding(row["wer_baseline"], row["wer_joint"], b)
            else:
                exact += 1
                assert table.number(a) == table.number(b), (test, column)
        assert [mine[i] for i in (0, 1, 3, 4, 6, 7, 9, 10)] == [
            theirs[i] for i in (0, 1, 3, 4, 6, 7, 9, 10)
        ]
    assert exact == 24


def within_rounding(baseline: float, joint: float, printed: float) -> bool:
    """Whether WERs that print as these can give an improvement that prints as that."""
    values = [
        table.wer_improvement(baseline + i, joint + j) for i in (-0.05, 0.05) for j in (-0.05, 0.05)
    ]
    ends = [value for value in values if value is not None]
    return min(ends) - 0.05 <= printed <= max(ends) + 0.05


def material(cells: Cells, exp: Path = Path("nowhere"), paper: bool = False) -> report.Material:
    origin = report.Origin("toy", "abc")
    return report.gather(cells, TESTS, exp, Report(resamples=200), PAPER if paper else None, origin)


def test_figure_2_has_the_orderings_that_the_paper_states() -> None:
    """Section 5, in words, from the numbers of its Table 1."""
    found = table.figure2(paper_cells(), Trio(), TESTS)
    asr = {key: dict(zip(TESTS, row, strict=True)) for key, row in found["wer"].items()}
    ser = {key: dict(zip(TESTS, row, strict=True)) for key, row in found["acc"].items()}
    assert list(asr) == [(name, train) for train in ("clean", "noisy") for name in ("asr", "joint")]
    assert set(asr["asr", "clean"].values()) == set(ser["ser", "clean"].values()) == {0.0}
    for system in ("asr", "joint"):  # "better performance in all the ASR test cases, except clean"
        better = {t for t in TESTS if asr[system, "noisy"][t] > asr[system, "clean"][t]}
        assert better == set(TESTS) - {"clean"}
    for system in ("ser", "joint"):  # "exception of clean, SNR 15 noise and SNR 15 Music"
        better = {t for t in TESTS if ser[system, "noisy"][t] > ser[system, "clean"][t]}
        assert better == set(TESTS) - {"clean", "noise_snr15", "music_snr15"}
    # joint over baseline in music and noise at all SNR, but for music 5 dB noise-trained
    for train in ("clean", "noisy"):
        for test in TESTS:
            better_asr = asr["joint", train][test] > asr["asr", train][test]
            speech_or_exception = "speech" in test or (test, train) == ("music_snr5", "noisy")
            assert better_asr is not speech_or_exception, (test, train)
            better_ser = ser["joint", train][test] > ser["ser", train][test]
            assert better_ser is not ((test, train) == ("speech_snr5", "clean")), (test, train)
    # its "9.9 %" over the clean-trained joint model is in points, and at speech 5 dB
    points = ser["joint", "noisy"]["speech_snr5"] - ser["joint", "clean"]["speech_snr5"]
    assert points == pytest.approx(9.9)
    assert asr["joint", "clean"]["clean"] == pytest.approx(100 * 1.8 / 16.8)


def test_the_note_names_the_four_rounded_values() -> None:
    note = report.paper_note(PAPER, TESTS)
    assert "music_snr15 clean-trained 9.9 (from the WERs: 9.7)" in note
    assert note.count("from the WERs:") == 4
    assert report.missing(paper_cells(), Trio(), TESTS) == []


def test_terminal_table_fits_100_columns() -> None:
    text = report.summary(material(paper_cells()), Path("exp"))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    values = "16.8 15.0 10.7 19.8 15.6 21.2 71.9 74.2 2.3 70.2 71.7 1.5"
    assert lines[2].split() == ["clean", *values.split()]
    assert len({len(line) for line in lines[:9]}) == 1
    assert lines[-2] == "Nothing is missing."
    assert lines[-1] == ("1 fold, engine k2, stack k2; more in exp/RESULTS.md, exp/report.html")


def make(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages 9 and 10 of three systems, one of one fold only, one lacking a scenario."""
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
    """The cells of the table rows that begin so."""
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
    (found,) = lines(text, "clean-trained, clean ")
    assert found[1:6] == ["62.5", "62.5", "0.0", "no worse", "[0.0, 0.0]"]
    assert found[9:11] == ["too few", "-"]  # two speakers are
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
    assert set(ablation[3::3] + ablation[4::3]) == {"-"}  # on other utterances than joint
    assert lines(text, "hypotheses")[0][2:] == ["none", "ok +"]
    assert lines(text, "asr ")[-1][1:] == [
        "asr", "conf/asr.yaml", "0", "default", "k2", "k2-pypi", "abc", "-",
    ]  # fmt: skip
    assert "asr, joint, text: made by\n\n    ./run.sh --conf x.yaml\n" in text
    assert str(tmp_path) not in text
    assert "paper joint" not in text
    shown = capsys.readouterr().out
    assert "missing: ser, clean-trained: all tests\n" in shown
    assert "| text, clean-trained " in shown
    assert "2 folds, engine k2, stack k2-pypi; more in exp/RESULTS.md, exp/report.html\n" in shown


def test_page_of_a_partial_experiment_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "toy", monkeypatch)
    html = Path("exp/report.html").read_text()
    assert "ser, noise-trained: all tests" in html
    assert html.count("<svg") >= 3 and 'aria-label="Figure 2 (a): ASR"' in html
    assert "Its audio is not here." in html  # the toy corpus has none
    assert "<del>SAT</del>" in html and "<ins>OH</ins>" in html
    assert str(tmp_path) not in html


def test_paper_is_shown_beside_ours_where_asked_for() -> None:
    asked = material(paper_cells(), paper=True)
    text = markdown.render(report.title(asked), report.scope(asked), report.sections(asked))
    row = lines(text, "clean ")[0]
    assert row == ["clean", *["16.8", "15.0", "10.7"] * 2]
    assert "paper Rel Imp" in text and "clean-trained: WER, %; Rel Imp in relative %" in text
    assert "off by the rounding of the WERs" in text
    assert "- nothing" in text.split("## Missing")[1]
    assert "## Ablations" not in text
    assert "only pooled numbers" in text and "Nothing could be audited" in text
    assert "commit abc" in text


def test_a_lone_system_takes_the_place_of_its_kind() -> None:
    cells = paper_cells().all
    renamed = [{**c, "system": "joint-s1"} if c["system"] == "joint" else c for c in cells]
    assert Cells(renamed, "default").trio() == Trio(joint="joint-s1")
    assert Cells([*cells, *renamed], "default").trio() == Trio()
    assert Cells(cells, "greedy").all == []


def test_nothing_to_report_and_bad_tables_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="run stage 9"):
        material(Cells([], "default"))
    bad = tmp_path / "table.tsv"
    bad.write_text("test\ttrain\twer\nclean\tclean\n")
    with pytest.raises(DataError, match="has not 3 columns"):
        table.read_paper(bad)
    empty = tmp_path / "tests.tsv"
    empty.write_text("# none\n")
    with pytest.raises(DataError, match="no test scenario"):
        scenarios.read_tests(empty)
    history = tmp_path / "epochs.tsv"
    history.write_text("epoch\tloss\n1\t2\n")
    with pytest.raises(DataError, match=r"epochs.tsv: not a table of epochs"):
        pictures.read_history(history)


def test_no_improvement_over_a_perfect_baseline() -> None:
    assert table.wer_improvement(0.0, 1.0) is None
    assert table.acc_improvement(50.0, 48.5) == -1.5
    assert [table.number(x) for x in (None, -0.04, -0.06, 12.25)] == ["-", "0.0", "-0.1", "12.2"]
