"""A report is generated again if and only if one of its inputs or outputs changed."""

import json
import os
import sys
from pathlib import Path

import pytest
import toy_exp

from jointasr.bin import pool
from jointasr.report import inputs
from jointasr.utils import files

EXP = Path("exp")
FOLD = EXP / "joint_clean/fold_Ses01F"
SUMMARY = "all cells\n"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe with scored decode folders, a paper table outside of it and a recorded report."""
    toy_exp.make_data(tmp_path / "toy")
    monkeypatch.chdir(tmp_path / "toy")
    toy_exp.make_system(Path(), "joint", "joint")
    score(monkeypatch)
    (tmp_path / "paper.tsv").write_text("16.8\n")
    for name in inputs.OUTPUTS:
        (EXP / name).write_text(f"{name}\n")
    inputs.record(EXP, digest(), SUMMARY)
    return tmp_path


def score(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["--tests", "conf/tests.tsv", "--results", "exp/results.json"]
    arguments += ["--command", "./run.sh", "exp/joint_clean"]
    monkeypatch.setattr(sys, "argv", ["pool", *arguments])
    pool.main()


def digest() -> str:
    tables = [Path("conf/tests.tsv"), Path("../paper.tsv")]
    return inputs.digest(EXP, {"method": "default"}, tables)


def is_up_to_date() -> bool:
    return inputs.read_summary(EXP, digest()) == SUMMARY


def test_scoring_again_and_logs_change_nothing(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_up_to_date()
    score(monkeypatch)
    (EXP / "log").mkdir()
    for name in ("log/train.1.log", ".RESULTS.md.lock", "joint_clean/fold_Ses01F/train.log"):
        (EXP / name).write_text("line\n")
    assert is_up_to_date()


@pytest.mark.parametrize(
    "name",
    [
        *("decode_clean/scoring_kaldi/utt2counts", "decode_clean/scoring_ser/utt2pred"),
        *("decode_clean/scoring_ser/confusion", "decode_clean/errs", "tb/file", "log/text"),
        *("errs/text", "results.json/text", "RESULTS.md", ".report.json", "report.html"),
    ],
)
def test_every_other_file_is_an_input(recipe: Path, name: str) -> None:
    path = FOLD / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("damaged\n")
    assert not is_up_to_date()


def test_content_of_tables(recipe: Path) -> None:
    """Also of a table outside of the recipe, with unchanged size and modification time."""
    paper = recipe / "paper.tsv"
    state = paper.stat()
    paper.write_text("16.9\n")
    os.utime(paper, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert not is_up_to_date()
    paper.write_text("16.8\n")
    assert is_up_to_date()
    paper.unlink()
    assert not is_up_to_date()


def test_links_to_folders_are_followed(recipe: Path) -> None:
    elsewhere, other = recipe / "elsewhere", recipe / "other"
    for folder in (elsewhere, other):
        folder.mkdir()
        (folder / "text").write_text("a\n")
        (folder / "cycle").symlink_to(folder)
    for name in ("linked", "again"):
        (EXP / name).symlink_to(elsewhere)
    (EXP / "dangling").symlink_to("nowhere")
    (EXP / "exp").symlink_to(EXP.resolve())
    inputs.record(EXP, digest(), SUMMARY)
    assert is_up_to_date()
    (elsewhere / "text").write_text("a b\n")
    assert not is_up_to_date()
    inputs.record(EXP, digest(), SUMMARY)
    (EXP / "again").unlink()
    (EXP / "again").symlink_to(other)
    assert not is_up_to_date()


@pytest.mark.parametrize("name", inputs.OUTPUTS)
def test_a_damaged_report(recipe: Path, name: str) -> None:
    (EXP / name).write_text("")
    assert not is_up_to_date()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "3", "\x00", "[" * 100000])
def test_a_damaged_record(recipe: Path, text: str) -> None:
    (EXP / inputs.RECORD).write_text(text)
    assert not is_up_to_date()
    (EXP / inputs.RECORD).write_bytes(b"\xff")
    assert not is_up_to_date()


def test_a_changed_summary(recipe: Path) -> None:
    record = json.loads((EXP / inputs.RECORD).read_text())
    (EXP / inputs.RECORD).write_text(json.dumps({**record, "summary": "other cells\n"}))
    assert inputs.read_summary(EXP, digest()) is None


def test_a_file_is_written_only_if_its_content_changes(tmp_path: Path) -> None:
    path = tmp_path / "folder/text"
    files.write_text_if_changed(path, "é\n")
    os.utime(path, (0, 0))
    files.write_text_if_changed(path, "é\n")
    assert path.stat().st_mtime == 0
    files.write_text_if_changed(path, "e\n")
    assert path.read_text() == "e\n" and path.stat().st_mtime > 0
