"""Tables compared with GNU sort, and damaged data dirs."""

import os
import subprocess
from pathlib import Path

import pytest
from data_fixtures import sound, write_wav
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jointasr.data import datadir
from jointasr.utils.errors import DataError

IDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=8
).filter(lambda text: not any(char.isspace() for char in text))


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A data dir of three utterances by two speakers."""
    frames = {"a-1": 1600, "a-2": 2000, "b-1": 1777}
    sources = {
        utt: str(write_wav(tmp_path / f"{utt}.wav", sound(len(utt), n)))
        for utt, n in frames.items()
    }
    utt2spk = {utt: utt[0] for utt in frames}
    path = tmp_path / "data"
    datadir.write_table(path / "wav.scp", sources)
    datadir.write_table(path / "text", {"a-1": "HELLO THERE", "a-2": "", "b-1": "YES"})
    datadir.write_table(path / "utt2spk", utt2spk)
    datadir.write_table(path / "spk2utt", datadir.spk2utt(utt2spk))
    datadir.write_table(path / "utt2emo", dict.fromkeys(frames, "neu"))
    datadir.write_table(path / "utt2dur", {utt: repr(n / 16000) for utt, n in frames.items()})
    return path


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(IDS, IDS, min_size=1, max_size=20))
def test_order_is_that_of_sort(tmp_path: Path, table: dict[str, str]) -> None:
    path = tmp_path / "table"
    datadir.write_table(path, table)
    ordered = subprocess.run(
        ["sort", str(path)], env={**os.environ, "LC_ALL": "C"}, capture_output=True, check=True
    )
    assert ordered.stdout == path.read_bytes()
    assert datadir.read_table(path) == table


def test_good_dir_is_valid_and_fix_leaves_it(good: Path) -> None:
    assert datadir.validate(good) == []
    before = {path.name: path.read_bytes() for path in good.iterdir()}
    assert datadir.fix(good) == []
    assert before == {path.name: path.read_bytes() for path in good.iterdir()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a x\nb y\na z\n", r"utt2spk:3: a occurs twice"),
        ("a x\nb\n", r"utt2spk:2: b has no value"),
        ("a x\n\nb y\n", r"utt2spk:2: empty line"),
    ],
)
def test_bad_table_names_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "utt2spk"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        datadir.read_table(path)


def test_text_may_be_empty_and_keeps_its_inner_blanks(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("a\nb one\u00a0word  two \n")
    assert datadir.read_table(path) == {"a": "", "b": "one\u00a0word  two"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("text", None, "text does not exist"),
        ("utt2dur", "a-1 0.1\nb-1 0.1110625\n", "utt2dur: no entry for a-2"),
        ("utt2emo", "b-1 neu\na-1 neu\na-2 neu\n", "utt2emo: not sorted"),
        ("spk2utt", "a a-1\nb b-1\n", "spk2utt: not the inverse"),
        ("utt2spk", "a-1 b\na-2 a\nb-1 b\n", "a-1 does not start with its speaker b"),
        ("utt2dur", "a-1 0.1\na-2 nan\nb-1 0.1110625\n", "a-2: 'nan' is not a duration"),
        (
            "utt2dur",
            "a-1 0.1\na-2 0.125\nb-1 0.111\n",
            "b-1: 0.111 s, but the audio has 0.1110625 s",
        ),
        ("wav.scp", "a-1 /none.wav\na-2 /none.wav\nb-1 /none.wav\n", "no such audio file"),
    ],
)
def test_validate_names_what_is_wrong(
    good: Path, name: str, text: str | None, message: str
) -> None:
    (good / name).unlink()
    if text is not None:
        (good / name).write_text(text)
    assert any(message in problem for problem in datadir.validate(good))


def test_not_everything_need_be_transcribed_and_labelled(good: Path) -> None:
    """Each utterance must have a transcript or an emotion."""
    (good / "text").write_text("a-1 X\n")
    (good / "utt2emo").write_text("a-2 neu\nb-1 neu\n")
    assert datadir.validate(good) == []
    (good / "utt2emo").write_text("b-1 neu\n")
    assert datadir.validate(good) == [f"{good / 'text or utt2emo'}: no entry for a-2"]
    assert f"{good / 'wav.scp'}: dropped a-2 (not in text or utt2emo)" in datadir.fix(good)
    assert datadir.validate(good) == []


def test_validate_opens_the_audio(good: Path) -> None:
    sources = datadir.read_table(good / "wav.scp")
    write_wav(Path(sources["a-1"]), sound(1, 1600).reshape(-1, 2))
    write_wav(Path(sources["a-2"]), sound(1, 2000), rate=44100)
    Path(sources["b-1"]).write_bytes(Path(sources["b-1"]).read_bytes()[:500])
    problems = "\n".join(datadir.validate(good))
    assert "a-1.wav: 2 channels; expected mono" in problems
    assert "a-2.wav: 44100 Hz; expected 16000 Hz" in problems
    assert "b-1" in problems
    assert datadir.validate(good, audio=False) == []


def test_fix_says_what_it_drops(good: Path) -> None:
    (good / "text").write_text("b-1 YES\na-1 HELLO\n")
    (good / "utt2emo").write_text("a-1 neu\nb-1 neu\n")
    report = "\n".join(datadir.fix(good))
    assert "utt2spk: dropped a-2 (not in text or utt2emo)" in report
    assert "text: sorted" in report
    assert "spk2utt: rebuilt" in report
    assert datadir.validate(good) == []
    assert list(datadir.read_table(good / "utt2dur")) == ["a-1", "b-1"]
