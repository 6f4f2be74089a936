"""utils/validate_data_dir.sh and fix_data_dir.sh on data dirs with known errors."""

from pathlib import Path

import pytest
from data_fixtures import make_iemocap
from shell import run

from jointasr.utils.project import ROOT

VALIDATE = ROOT / "utils/validate_data_dir.sh"
FIX = ROOT / "utils/fix_data_dir.sh"
DIR = "data/local/corpus"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    make_iemocap(tmp_path)
    return tmp_path


def lines(recipe: Path, table: str) -> list[str]:
    return (recipe / DIR / table).read_text(encoding="utf-8").splitlines()


def put(recipe: Path, table: str, content: list[str]) -> None:
    (recipe / DIR / table).write_text("".join(f"{line}\n" for line in content), encoding="utf-8")


def test_good(recipe: Path) -> None:
    done = run(VALIDATE, DIR, cwd=recipe)
    assert done.returncode == 0, done.stderr
    assert f"{DIR}: ok, {len(lines(recipe, 'text'))} utterances, 4 speakers" in done.stdout


def test_missing_audio_is_reported(recipe: Path) -> None:
    utterance, wav = lines(recipe, "wav.scp")[1].split()
    (recipe / wav).unlink()
    done = run(VALIDATE, DIR, cwd=recipe)
    assert done.returncode == 1 and utterance in done.stderr and "1 problems" in done.stderr
    assert "fix_data_dir" not in done.stderr, "it does not fix audio"
    assert run(VALIDATE, "--no-audio", "true", DIR, cwd=recipe).returncode == 0


def test_edited_table_is_reported(recipe: Path) -> None:
    """fix_data_dir.sh would not restore the table; so it is not suggested."""
    text = lines(recipe, "text")
    put(recipe, "text", [text[0] + " MORE", *text[1:]])
    done = run(VALIDATE, DIR, cwd=recipe)
    assert done.returncode == 1 and "in cuts.jsonl.gz" in done.stderr
    assert "1 problems" in done.stderr and "fix_data_dir" not in done.stderr


def test_fix_sorts_drops_reports_and_keeps_a_backup(recipe: Path) -> None:
    text = lines(recipe, "utt2dur")
    dropped = text[2].split()[0]
    put(recipe, "utt2dur", [*text[3:], *text[:2]])
    broken = run(VALIDATE, DIR, cwd=recipe)
    assert broken.returncode == 1 and "not sorted" in broken.stderr and dropped in broken.stderr
    assert f"; utils/fix_data_dir.sh {DIR} drops incomplete utterances" in broken.stderr
    assert lines(recipe, "utt2dur") == [*text[3:], *text[:2]], "only checked"
    fixed = run(FIX, DIR, cwd=recipe)
    assert fixed.returncode == 0, fixed.stderr
    assert f"{DIR}/wav.scp: dropped {dropped} (not in utt2dur)" in fixed.stdout
    assert f"{DIR}/utt2dur: sorted" in fixed.stdout
    assert f"cuts.jsonl.gz: dropped {dropped}" in fixed.stdout
    assert (recipe / DIR / ".backup/utt2dur").read_text().splitlines() == [*text[3:], *text[:2]]
    assert lines(recipe, "utt2dur") == [line for line in text if not line.startswith(dropped)]
    checked = run(VALIDATE, DIR, cwd=recipe)
    assert checked.returncode == 0, checked.stderr


def test_duplicates_are_errors(recipe: Path) -> None:
    text = lines(recipe, "text")
    put(recipe, "text", [text[0], *text])
    done = run(FIX, DIR, cwd=recipe)
    assert done.returncode == 1 and "text:2: " in done.stderr and "occurs twice" in done.stderr


@pytest.mark.parametrize("script", [VALIDATE, FIX])
def test_no_such_folder(script: Path, tmp_path: Path) -> None:
    done = run(script, "none", cwd=tmp_path)
    assert done.returncode == 1 and "error: none: no such folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert "expected one data dir" in run(script, cwd=tmp_path).stderr
