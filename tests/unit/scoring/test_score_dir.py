"""local/score.sh and its score files, with counts computed by hand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import toy_exp

from jointasr.data.datadir import read_table, write_table
from jointasr.scoring import score_dir, score_files
from jointasr.scoring.metrics import WordCounts, confuse
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

WER = "%WER 80.00 [ 4 / 5, 1 ins, 3 del, 0 sub ]"
ACC = "%ACC 66.67 [ 2 / 3, UA 66.67, macro-F1 50.00 ]"
DATA = Path("data/folds/speaker/Ses01F/test_clean")
LANG = Path("data/folds/speaker/Ses01F/lang_char")
DECODE = Path("exp/joint_clean/fold_Ses01F/decode_clean")


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy_exp.make_data(tmp_path)
    toy_exp.make_system(tmp_path, "joint", "joint")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_score(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_script("local/score.sh", *arguments)


def run_script(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / name, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "JOINTASR_VENV": sys.prefix},
    )


def test_score_sh_writes_files_in_the_format_of_kaldi(recipe: Path) -> None:
    done = run_score(DATA, LANG, DECODE)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{WER} {DECODE}\n{ACC} {DECODE}\n"
    grep = subprocess.run(
        "grep WER exp/*/fold_*/decode_*/scoring_kaldi/*",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert (grep.returncode, grep.stderr) == (0, "")
    assert grep.stdout == f"{DECODE}/scoring_kaldi/wer:{WER}\n"
    assert (DECODE / "scoring_kaldi/wer").read_text() == (
        f"{WER}\nScored 3 sentences, 0 not present in hyp.\n"
    )
    assert (DECODE / "scoring_kaldi/utt2counts").read_text() == (
        "Ses01F-a 3 0 1 0\nSes01F-b 0 0 0 1\nSes01F-c 2 0 2 0\n"
    )
    assert (DECODE / "scoring_kaldi/per_spk").read_text().splitlines()[1] == (
        "Ses01F 3 5 2 0 1 3 80.00"
    )
    assert (DECODE / "scoring_ser/acc").read_text().splitlines()[0] == ACC
    assert (DECODE / "scoring_ser/confusion").read_text().splitlines() == [
        "ref\\hyp ang     hap     neu     sad",
        "ang     1       0       0       0",
        "hap     0       0       1       0",
        "neu     0       0       0       0",
        "sad     0       0       0       1",
    ]
    assert (DECODE / "scoring_ser/per_spk").read_text().splitlines()[1] == "Ses01F 3 2 66.67"
    assert (DECODE / "scoring_kaldi/per_style").read_text().splitlines() == [
        "# style sentences words corr sub ins del err%",
        "improvised 2 2 0 0 1 2 150.00",
        "scripted 1 3 2 0 0 1 33.33",
    ]
    assert (DECODE / "scoring_ser/per_emo").read_text().splitlines() == [
        "# emotion utterances corr acc%",
        *("ang 1 1 100.00", "hap 1 0 0.00", "sad 1 1 100.00"),
    ]
    assert (DECODE / "scoring_ser/ece").read_text() == "%ECE 3.33 [ 10 bins, 3 utterances ]\n"


def test_score_lines() -> None:
    counts = WordCounts(sub=108, dele=12, ins=3, ref_words=819)
    assert score_files.wer_line(counts) == "%WER 15.02 [ 123 / 819, 3 ins, 12 del, 108 sub ]"
    confusion = confuse([("a", "a"), ("a", "b"), ("b", "b"), ("b", "b")], ["a", "b"])
    assert score_files.acc_line(confusion) == "%ACC 75.00 [ 3 / 4, UA 75.00, macro-F1 73.33 ]"


def test_wrong_number_of_arguments_is_refused(recipe: Path) -> None:
    done = run_score(DATA, LANG)
    assert done.returncode == 1
    assert "expected three arguments" in done.stderr


def test_errors_are_one_line_and_name_the_file(recipe: Path) -> None:
    write_table(DECODE / "text", {"Ses01F-a": "THE"})
    done = run_score(DATA, LANG, DECODE)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {DECODE}/text: no hypothesis for 2 utterances (Ses01F-b")
    assert done.stderr.count("\n") == 1
    assert not (DECODE / "scoring_kaldi").exists()


def test_error_file_aligns_every_utterance(recipe: Path) -> None:
    score_dir.score(DATA, LANG, DECODE)
    assert (
        (DECODE / "errs").read_text()
        == f"""{WER}

PER-UTT DETAILS: word, or (reference->hypothesis)
Ses01F-a: THE CAT (SAT->*)
Ses01F-b: (*->OH)
Ses01F-c: (GO->*) (ON->*)

SUBSTITUTIONS: count ref -> hyp

DELETIONS: count ref
1 GO
1 ON
1 SAT

INSERTIONS: count hyp
1 OH

PER-WORD STATS: word, correct, errors, in reference, in hypothesis
GO 0 1 1 0
OH 0 1 0 1
ON 0 1 1 0
SAT 0 1 1 0
CAT 1 0 1 1
THE 1 0 1 1
"""
    )


def test_written_scores_can_be_loaded(recipe: Path) -> None:
    scores = score_dir.score(DATA, LANG, DECODE)
    assert score_dir.load(DATA, DECODE) == scores
    assert scores.counts == WordCounts(dele=3, ins=1, ref_words=5)
    assert scores.confusion is not None
    assert (scores.confusion.correct, scores.confusion.n) == (2, 3)
    with pytest.raises(DataError, match="not scored yet"):
        score_dir.load(DATA, recipe)


def test_one_kind_of_output_suffices(recipe: Path) -> None:
    (DECODE / "text").unlink()
    scores = score_dir.score(DATA, LANG, DECODE)
    assert scores.counts is None
    assert scores.confusion is not None
    assert scores.ece == pytest.approx(100 * abs(0.7 - 2 / 3))
    (DECODE / "emo_post").unlink()
    assert score_dir.score(DATA, LANG, DECODE).ece is None
    (DECODE / "utt2emo").unlink()
    with pytest.raises(DataError, match="neither text nor utt2emo"):
        score_dir.score(DATA, LANG, DECODE)


def remove_references(table: str, *utterances: str) -> None:
    references = read_table(DATA / table, allow_empty=True)
    write_table(DATA / table, {utt: v for utt, v in references.items() if utt not in utterances})


def test_utterances_without_transcript_or_label_are_not_scored(recipe: Path) -> None:
    complete = score_dir.score(DATA, LANG, DECODE)
    first, *rest = complete.words
    remove_references("text", first)
    remove_references("utt2emo", rest[0])
    scores = score_dir.score(DATA, LANG, DECODE)
    assert scores.words == {utt: complete.words[utt] for utt in rest}
    assert (
        scores.emotions.keys() == scores.posteriors.keys() == complete.emotions.keys() - {rest[0]}
    )
    assert score_dir.load(DATA, DECODE) == scores
    extra = read_table(DECODE / "text") | {"another": "X"}
    write_table(DECODE / "text", extra)
    with pytest.raises(DataError, match=r"\(another\) not in"):
        score_dir.score(DATA, LANG, DECODE)


def test_speakers_without_any_transcript(recipe: Path) -> None:
    """A fold without transcripts does not count in the WER; without any, the cell has no WER."""
    utterances = list(read_table(DATA / "text"))
    for folder in Path("data/folds/speaker/Ses01F").glob("test_*"):
        write_table(folder / "text", {})
    scores = score_dir.score(DATA, LANG, DECODE)
    assert scores.counts is None and scores.confusion is not None and len(utterances) == 3
    assert score_dir.load(DATA, DECODE) == scores
    options = ("--folds", "Ses01F Ses02M", "--command", "./run.sh")
    for fold in ("Ses01F", "Ses02M"):
        for folder in Path(f"data/folds/speaker/{fold}").glob("test_*"):
            write_table(folder / "text", {})
        done = run_script("steps/score.sh", *options, "exp/joint_clean")
        assert done.returncode == 0, done.stderr
        (cell,) = [
            c for c in json.loads(Path("exp/results.json").read_text()) if c["test"] == "clean"
        ]
        assert (cell["wer"] is None) == (fold == "Ses02M") and cell["acc"]["n"] > 3
        done = run_script("steps/report.sh", "--paper", "false")
        assert done.returncode == 0, done.stderr


def test_unknown_emotions_and_speakers_are_refused(recipe: Path) -> None:
    write_table(DECODE / "utt2emo", dict.fromkeys(toy_exp.REFS["Ses01F"], "joy"))
    with pytest.raises(DataError, match="decode_clean/utt2emo: Ses01F-a has the emotion 'joy'"):
        score_dir.score(DATA, LANG, DECODE)
    write_table(DATA / "utt2spk", {"Ses01F-a": "Ses01F"})
    with pytest.raises(DataError, match="no speaker for Ses01F-b"):
        score_dir.score(DATA, LANG, DECODE)


def test_inconsistent_posteriors_are_refused(recipe: Path) -> None:
    rows = dict.fromkeys(toy_exp.REFS["Ses01F"], "0.7 0.1 0.1 0.1")
    for wrong in ("0.7 0.1 0.2", "0.7 0.1 0.1 0.2", "a b c d"):
        write_table(DECODE / "emo_post", {**rows, "Ses01F-b": wrong})
        with pytest.raises(DataError, match=f"Ses01F-b: expected 4 posteriors .* not '{wrong}'"):
            score_dir.score(DATA, LANG, DECODE)
    write_table(DECODE / "emo_post", {"Ses01F-a": "0.7 0.1 0.1 0.1"})
    with pytest.raises(DataError, match="emo_post: no hypothesis for 2 utterances"):
        score_dir.score(DATA, LANG, DECODE)


def test_posteriors_of_unlabelled_utterances_are_not_checked(recipe: Path) -> None:
    rows = dict.fromkeys(toy_exp.REFS["Ses01F"], "0.7 0.1 0.1 0.1")
    remove_references("utt2emo", "Ses01F-a")
    write_table(DECODE / "emo_post", {**rows, "Ses01F-a": "0.7"})
    assert score_dir.score(DATA, LANG, DECODE).posteriors.keys() == {"Ses01F-b", "Ses01F-c"}
    write_table(DECODE / "emo_post", {"Ses01F-b": "0.7"})
    with pytest.raises(DataError, match=r"emo_post: no hypothesis for 1 utterance \(Ses01F-c\)"):
        score_dir.score(DATA, LANG, DECODE)
    write_table(DECODE / "emo_post", {**rows, "Ses01F-b": "0.7", "another": "0.7"})
    with pytest.raises(DataError, match=r"\(another\) not in"):
        score_dir.score(DATA, LANG, DECODE)


def test_scripts_of_stages_9_and_10(recipe: Path) -> None:
    options = ("--folds", "Ses01F Ses02M", "--command", "./run.sh --x 'a b'")
    done = run_script("steps/score.sh", *options, "exp/joint_clean")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "exp/results.json: 2 cells from 4 decode folders, 0 other cells unchanged\n"
    )
    done = run_script("steps/report.sh", "--paper", "true")
    assert done.returncode == 0, done.stderr
    assert "noise_snr5" in done.stdout
    text = Path("exp/RESULTS.md").read_text()
    assert "    ./run.sh --x 'a b'\n" in text
    assert "paper joint" in text and (Path("exp") / "report.html").is_file()
    done = run_script("steps/score.sh", "--folds", "Ses09F", "exp/joint_clean")
    assert done.returncode == 1
    assert done.stderr.startswith("error: 2 of 2 decode folders are missing")
