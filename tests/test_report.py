"""Table 1: the paper's own numbers reproduced, a golden small report, gaps shown as gaps."""

import sys
from pathlib import Path

import pytest
import toy_exp

from jointasr import report, scenarios, table
from jointasr.bin import pool
from jointasr.bin import report as program
from jointasr.errors import DataError
from jointasr.table import Cells, Trio

ROOT = Path(__file__).resolve().parent.parent
PAPER = table.read_paper(ROOT / "conf" / "paper" / "table1.tsv")
TESTS = list(dict.fromkeys(test for test, _ in PAPER))
ROUNDED = {  # PAPER.md: the printed value, where the printed WERs give another
    ("music_snr15", "clean"): 9.9,
    ("music_snr15", "noisy"): 4.3,
    ("music_snr5", "noisy"): -4.6,
    ("speech_snr15", "noisy"): -8.6,
}


def paper_cells() -> Cells:
    """The paper's 56 numbers as if they were our results."""
    cells = []
    for (test, train), row in PAPER.items():
        for system in ("asr", "ser", "joint"):
            column = "joint" if system == "joint" else "baseline"
            wer = {"value": row[f"wer_{column}"]} if system != "ser" else None
            acc = {"wa": row[f"acc_{column}"]} if system != "asr" else None
            cell = {"system": system, "kind": system, "method": "default", "train": train}
            cells.append(
                {
                    **cell,
                    **{"test": test, "folds": ["1"], "engine": "k2", "stack": "k2"},
                    **{"wer": wer, "acc": acc, "conf": f"conf/{system}.yaml", "seed": 0},
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


def test_the_note_names_the_four_rounded_values() -> None:
    note = report.paper_note(PAPER, TESTS)
    assert "music_snr15 clean-trained 9.9 (from the WERs: 9.7)" in note
    assert note.count("from the WERs:") == 4
    assert report.missing(paper_cells(), Trio(), TESTS) == []


def test_terminal_table_fits_100_columns() -> None:
    text = report.summary(paper_cells(), TESTS, Path("exp/RESULTS.md"))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    values = "16.8 15.0 10.7 19.8 15.6 21.2 71.9 74.2 2.3 70.2 71.7 1.5"
    assert lines[2].split() == ["clean", *values.split()]
    assert len({len(line) for line in lines[:9]}) == 1
    assert lines[-1] == "1 fold, engine k2, stack k2; more in exp/RESULTS.md"


GOLDEN = """# Results of toy

2 folds (Ses01F, Ses02M), 2 test speakers, 5 test utterances per scenario. Predictions of all \
folds are pooled, then scored. All values in per cent.

## Table 1

| test       | WER clean-trained: base | joint | imp. | WER noise-trained: base | joint | imp. | \
acc. clean-trained: base | joint | imp. | acc. noise-trained: base | joint | imp. |
| ---------- | ----------------------: | ----: | ---: | ----------------------: | ----: | ---: | \
-----------------------: | ----: | ---: | -----------------------: | ----: | ---: |
| clean      |                    62.5 |  62.5 |  0.0 |                       - |     - |    - | \
                       - |  60.0 |    - |                        - |     - |    - |
| noise_snr5 |                    62.5 |     - |    - |                       - |     - |    - | \
                       - |     - |    - |                        - |     - |    - |
"""


def test_small_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "toy"
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
    monkeypatch.setattr(sys, "argv", ["pool", *arguments, *map(str, systems)])
    pool.main()
    capsys.readouterr()
    arguments = ["--tests", "conf/tests.tsv", "--command", "./run.sh --conf x.yaml"]
    monkeypatch.setattr(sys, "argv", ["report", *arguments])
    program.main()
    text = Path("exp/RESULTS.md").read_text()
    assert text.startswith(GOLDEN)
    assert "Base: `asr` for WER, `ser` for accuracy; joint: `joint`." in text
    gaps = [
        "- asr, noise-trained: all tests",
        "- joint, clean-trained: noise_snr5",
        "- joint, noise-trained: all tests",
        "- text, clean-trained: without fold Ses02M in all tests "
        "(not comparable with systems that have them)",
        "- ser, clean-trained: all tests",
        "- ser, noise-trained: all tests",
    ]
    assert "## Missing\n\n" + "\n".join(gaps) + "\n" in text
    assert "| text, clean-trained  |  80.0 |       80.0 |\n" in text
    assert "| joint, clean-trained, clean     |   80.0 |   33.3 |   62.5 |\n" in text
    assert "| joint, clean-trained, clean     |   66.7 |   50.0 |   60.0 |\n" in text
    assert "| asr    |   asr |   conf/asr.yaml |    0 |     k2 | k2-pypi |\n" in text
    assert "by\n\n    ./run.sh --conf x.yaml\n" in text
    assert str(tmp_path) not in text
    assert "of the paper" not in text
    shown = capsys.readouterr().out
    assert "missing: ser, clean-trained: all tests\n" in shown
    assert "2 folds, engine k2, stack k2-pypi; more in exp/RESULTS.md\n" in shown


def test_paper_is_shown_where_asked_for() -> None:
    origin = report.Origin("toy", "./run.sh", "abc")
    text = report.build(paper_cells(), TESTS, Path("nowhere"), PAPER, origin)
    assert "## Table 1 of the paper" in text
    assert "## Missing" not in text
    assert "## All systems" not in text
    assert "only pooled numbers" in text
    assert "commit abc" in text


def test_a_lone_system_takes_the_place_of_its_kind() -> None:
    cells = paper_cells().all
    renamed = [{**c, "system": "joint-s1"} if c["system"] == "joint" else c for c in cells]
    assert Cells(renamed, "default").trio() == Trio(joint="joint-s1")
    assert Cells([*cells, *renamed], "default").trio() == Trio()
    assert Cells(cells, "greedy").all == []


def test_nothing_to_report_and_bad_tables_are_errors(tmp_path: Path) -> None:
    origin = report.Origin("toy", "./run.sh", "abc")
    with pytest.raises(DataError, match="run stage 9"):
        report.build(Cells([], "default"), TESTS, tmp_path, None, origin)
    bad = tmp_path / "table.tsv"
    bad.write_text("test\ttrain\twer\nclean\tclean\n")
    with pytest.raises(DataError, match="has not 3 columns"):
        table.read_paper(bad)
    empty = tmp_path / "tests.tsv"
    empty.write_text("# none\n")
    with pytest.raises(DataError, match="no test scenario"):
        scenarios.read_tests(empty)


def test_no_improvement_over_a_perfect_baseline() -> None:
    assert table.wer_improvement(0.0, 1.0) is None
    assert table.acc_improvement(50.0, 48.5) == -1.5
    assert [table.number(x) for x in (None, -0.04, -0.06, 12.25)] == ["-", "0.0", "-0.1", "12.2"]
