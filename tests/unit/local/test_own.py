"""Custom corpora: what is read, what is refused; all problems are reported at once."""

import csv
import subprocess
from pathlib import Path

import forked
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from jointasr.data import audio, datadir, manifest
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT
from local.own import check, tables

PREPARE = ROOT / "local/prepare_own.py"
LETTERS = "abcdefghijklmnopqrstuvwxyzäöüß"
CONF = f"data: {{emotions: [froh, müde], letters: {LETTERS}, scheme: given}}\n"


def tone(seconds: float, rate: int, hertz: float) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe folder with recordings of several kinds in ``audio``."""
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/base.yaml").write_text(CONF)
    audio = tmp_path / "audio"
    audio.mkdir()
    call = np.stack([tone(6, 44100, 300), tone(6, 44100, 800)], axis=1)
    soundfile.write(audio / "call.flac", call, 44100)
    for name, hertz in (("a", 200), ("b", 400), ("c", 500), ("d", 600)):
        soundfile.write(audio / f"{name}.wav", tone(2, 16000, hertz), 16000, "PCM_16")
    soundfile.write(audio / "e.mp3", tone(3, 8000, 700), 8000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


GOOD = [
    {"path": "call.flac", "start": "0.5", "end": "2.5", "channel": "1", "speaker": "ann",
     "text": "Guten Morgen, schöne Straße!", "emotion": "froh", "fold": "train"},
    {"path": "call.flac", "start": "2.5", "end": "4.75", "channel": "2", "speaker": "bob",
     "text": "na ja [LACHEN]", "emotion": "", "fold": "train"},
    {"path": "a.wav", "speaker": "ann", "text": "", "emotion": "müde", "fold": "train"},
    {"path": "b.wav", "speaker": "ann", "text": "[SEUFZT]", "emotion": "müde", "fold": "test"},
    {"path": "c.wav", "speaker": "bob", "text": "eins zwei", "emotion": "froh", "fold": "dev"},
    {"path": "d.wav", "speaker": "bob", "text": "drei", "emotion": "müde", "fold": "test"},
    {"path": "e.mp3", "speaker": "bob", "text": "vier", "emotion": "froh", "fold": "test"},
]  # fmt: skip


def write(path: Path, table: list[dict[str, str]], delimiter: str = ",") -> Path:
    columns = list(dict.fromkeys(key for row in table for key in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", delimiter=delimiter)
        writer.writeheader()
        writer.writerows(table)
    return path


def prepare(*options: str, source: str = "audio/corpus.csv") -> "subprocess.CompletedProcess[str]":
    return forked.run_file(PREPARE, *options, source, "out", str(ROOT / "conf/joint.yaml"))


def done(*options: str, source: str = "audio/corpus.csv") -> str:
    result = prepare(*options, source=source)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_utterances_of_all_kinds(home: Path) -> None:
    write(home / "audio/corpus.csv", GOOD)
    said = done("--nj", "2")
    assert manifest.validate(home / "out") == []
    texts = datadir.read_table(home / "out/text")
    call = "call-0000050-0000250-c1"
    assert texts == {
        f"ann-{call}": "guten morgen schöne straße", "bob-call-0000250-0000475-c2": "na ja",
        "ann-b": "", "bob-c": "eins zwei", "bob-d": "drei", "bob-e": "vier",
    }  # fmt: skip
    emotions = datadir.read_table(home / "out/utt2emo")
    assert sorted(emotions) == ["ann-a", "ann-b", f"ann-{call}", "bob-c", "bob-d", "bob-e"]
    assert "emotions: (unknown) 1, froh 3, müde 3" in said
    assert "transcripts: 5 with words, 1 without, 1 unknown" in said
    wavs = datadir.read_table(home / "out/wav.scp")
    assert (home / wavs["ann-a"]).read_bytes()[44:] == (home / "audio/a.wav").read_bytes()[44:]
    whole = audio.read(home / "audio/call.flac", "call", channel=1)
    cut, rate = soundfile.read(home / wavs["bob-call-0000250-0000475-c2"])
    assert rate == 16000 and len(cut) == 36000
    assert np.abs(cut - whole[40000:76000]).max() <= 0.5 / 32768 + 1e-7
    spectrum = np.abs(np.fft.rfft(cut))
    assert spectrum.argmax() * 16000 / len(cut) == pytest.approx(800, abs=1)


def test_kaldi_dir_is_the_same_as_csv(home: Path) -> None:
    """With segments and without; by the same ids."""
    table = [{**row, "id": f"{row['speaker']}-{n}"} for n, row in enumerate(GOOD[2:])]
    write(home / "audio/corpus.csv", [*table, {**GOOD[0], "id": "ann-9", "channel": ""}])
    done()
    (home / "out").rename(home / "from_csv")
    kaldi = home / "kaldi"
    kaldi.mkdir()
    datadir.write_table(
        kaldi / "wav.scp",
        {f"r{n}": str(home / "audio" / row["path"]) for n, row in enumerate([*GOOD[2:], GOOD[0]])},
    )
    datadir.write_table(
        kaldi / "utt2spk", {row["id"]: row["speaker"] for row in table} | {"ann-9": "ann"}
    )
    segments = {row["id"]: f"r{n} 0 -1" for n, row in enumerate(table)}
    datadir.write_table(kaldi / "segments", segments | {"ann-9": f"r{len(table)} 0.5 2.5"})
    datadir.write_table(
        kaldi / "text",
        {row["id"]: row["text"] for row in table if row["text"]} | {"ann-9": GOOD[0]["text"]},
    )
    datadir.write_table(
        kaldi / "utt2emo", {row["id"]: row["emotion"] for row in table} | {"ann-9": "froh"}
    )
    folds = {row["id"]: row["fold"] for row in table}
    datadir.write_table(kaldi / "utt2fold", folds | {"ann-9": "train"})
    done(source="kaldi")
    for name in ("text", "utt2spk", "utt2emo", "utt2dur"):
        assert datadir.read_table(home / "out" / name) == datadir.read_table(
            home / "from_csv" / name
        )
    for name in datadir.read_table(home / "out/utt2dur"):
        same = [(home / folder / f"wav/{name}.wav").read_bytes() for folder in ("out", "from_csv")]
        assert same[0] == same[1]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_forms_of_csv(home: Path, delimiter: str) -> None:
    """Any of three separators, columns in any order and case, a byte-order mark, quotes."""
    table = [{"Text ": 'say "a, b; c"', "EMOTION": "froh", "path": "a.wav", "remark": "x"}]
    path = write(home / "audio/x.csv", table, delimiter)
    path.write_text("\ufeff" + path.read_text(), encoding="utf-8")
    found = tables.read(path)
    assert found.rows == [tables.CorpusRow(f"{path}:2", "a.wav", 'say "a, b; c"', "froh")]
    assert found.unused_columns == ["remark"] and not found.problems


def test_all_problems_are_reported_at_once(home: Path) -> None:
    """With lines, and all in a file; valid utterances can be used, the others are counted."""
    wrong = [
        ({"path": "none.wav"}, "none.wav: no such file"),
        ({"path": "corpus.csv"}, "not readable as audio"),
        ({"path": "../a.wav"}, "is outside the recipe folder"),
        ({"path": "sox a.wav |"}, "pipes are not executed"),
        ({"start": "x"}, "start 'x', end '': seconds are expected"),
        ({"start": "1.5", "end": "2.5"}, "from 1.500 to 2.500 s, but the audio lasts 2.000 s"),
        ({"start": "1", "end": "1.05"}, "lasts 0.05 s; utterances of 0.1 to 60 s are supported"),
        ({"channel": "2"}, "channel '2': the audio has channels 1 to 1"),
        ({"text": "café 24"}, "the transcript has 2 4 é, which data.letters lacks"),
        ({"text": "ja " * 60}, "letters in 2.00 s are more than the encoder has frames"),
        ({"text": "", "emotion": ""}, "neither transcript nor emotion"),
        ({"emotion": "sehr froh"}, "emotion 'sehr froh': no blanks or slashes"),
        ({"speaker": "../x"}, "speaker '../x': no blanks or slashes"),
        ({"id": "ann-b"}, "the id ann-b is also that of"),
    ]
    bad = [{**GOOD[3], "path": "c.wav", "text": "ja", **change, "id": change.get("id", f"ann-x{n}")}
           for n, (change, _) in enumerate(wrong)]  # fmt: skip
    path = write(home / "audio/corpus.csv", GOOD + bad)
    path.write_text(path.read_text() + "one,two\n")
    for options in (["--check"], []):
        result = prepare(*options)
        assert result.returncode == 1 and "Traceback" not in result.stderr
        problems = (home / "out.problems.txt").read_text().splitlines()
        assert len(problems) == len(wrong) + 1
        for line, (_, message) in enumerate(wrong, 2 + len(GOOD)):
            assert any(
                f"corpus.csv:{line}: " in problem and message in problem for problem in problems
            ), message
            assert message in result.stderr
        assert f"corpus.csv:{line + 1}: 2 cells where the first line has" in result.stderr
    assert not (home / "out/text").exists()
    checked = done("--check", "--allow-partial")
    assert "15 problems above are excluded; no other problems" in checked
    said = done("--allow-partial")
    assert said.count("EXCLUDED: ") == len(wrong) + 1
    assert len(datadir.read_table(home / "out/utt2spk")) == len(GOOD)
    assert prepare().returncode == 1  # not allowed any more


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("text,emotion", "no column path"),
        ("path,speaker", "no column text or emotion"),
        ("path,text,path", "column path occurs twice"),
        ("path,text", "no utterances below"),
        ("", "no column path"),
    ],
)
def test_wrong_headers(home: Path, header: str, message: str) -> None:
    (home / "audio/corpus.csv").write_text(f"{header}\n")
    result = prepare("--check")
    assert result.returncode == 1 and message in result.stderr and "Traceback" not in result.stderr


def test_no_corpus(home: Path) -> None:
    (home / "empty").mkdir()
    assert "none.csv: no such file or folder" in prepare("--check", source="none.csv").stderr
    assert "empty/wav.scp does not exist" in prepare("--check", source="empty").stderr


def test_emotions_and_folds_of_the_corpus(home: Path) -> None:
    """Emotions of the conf that do not occur; a single speaker."""
    table = [
        {**row, "speaker": "ann", "emotion": row["emotion"].replace("müde", "zornig")}
        for row in GOOD
    ]
    write(home / "audio/corpus.csv", [*table, {"path": "none.wav", "speaker": "ann", "text": "x"}])
    error = prepare("--check", "--set", "data.scheme=speaker").stderr
    assert "none.wav: no such file" in error
    assert (
        "no utterance has the emotion müde; there are froh (3), zornig (2)" in error
    )  # one said nothing
    assert "data: {emotions: [froh, zornig]}" in error
    assert "folds cannot be made (data.scheme: speaker): fold ann: no utterances for train" in error


def test_no_speakers(home: Path) -> None:
    """Recordings are distributed over parts."""
    without = [{k: v for k, v in row.items() if k != "speaker"} for row in GOOD]
    table = [tables.CorpusRow(f"{n}", **row) for n, row in enumerate(without)]
    found = check.check_rows(table, home / "audio", LETTERS)
    assert found.problems == []
    parts = {
        one.path: {two.speaker for two in found.utterances if two.path == one.path}
        for one in found.utterances
    }
    assert all(len(of) == 1 for of in parts.values())
    assert {one.speaker for one in found.utterances} == {f"part{n}" for n in range(1, 6)}
    calls = [row._replace(dialogue=f"call{n % 2}") for n, row in enumerate(table)]
    found = check.check_rows(calls, home / "audio", LETTERS)
    assert len({one.speaker for one in found.utterances}) == 2
    some = [row._replace(speaker="ann") for row in table[1:]]
    problems = check.check_rows([table[0], *some], home / "audio", LETTERS).problems
    assert problems == ["0: no speaker, though other utterances have one"]


def test_what_each_part_of_a_fold_must_have(home: Path) -> None:
    """Labels and transcripts in train and dev, where the corpus has any."""
    path = write(home / "audio/corpus.csv", [*GOOD[:4], {**GOOD[4], "emotion": ""}, *GOOD[5:]])
    error = prepare("--check").stderr
    assert "fold given: nothing in dev has a known emotion" in error and "transcript" not in error
    write(path, [{**row, "fold": row["fold"].replace("dev", "tset")} for row in GOOD])
    assert "folds are named test train tset; give train, dev and test" in prepare("--check").stderr


def test_the_corpus_is_not_overwritten(home: Path) -> None:
    """Nor read from the folder of the output."""
    (home / "audio").rename(home / "out")
    path = write(home / "corpus.csv", [{**row, "path": f"out/{row['path']}"} for row in GOOD])
    before = sorted(p.name for p in (home / "out").iterdir())
    for source in ("corpus.csv", str(write(home / "out/corpus.csv", GOOD))):
        assert "which is rebuilt" in prepare(source=source).stderr
    assert path.is_file() and {*before} <= {p.name for p in (home / "out").iterdir()}


def test_signs_in_a_table(home: Path) -> None:
    """Quotes must be doubled; Unicode line separators are parts of a text."""
    path = write(home / "audio/corpus.csv", GOOD)
    path.write_text(
        path.read_text() + 'a.wav,,,,ann,"hi" she said,froh,test\nb.wav,,,,ann,x,froh,test\n'
    )
    assert f"corpus.csv:{len(GOOD) + 2}: " in prepare("--allow-partial").stderr
    path.write_text("path,text\na.wav,hallo\u2028welt\x1cda\n", encoding="utf-8")
    assert [row.text for row in tables.read(path).rows] == ["hallo\u2028welt\x1cda"]


def test_damaged_audio(home: Path) -> None:
    """All zeros, and truncated: detected only by reading."""
    soundfile.write(home / "audio/a.wav", np.zeros(32000), 16000, "PCM_16")
    flac = (home / "audio/call.flac").read_bytes()
    (home / "audio/call.flac").write_bytes(flac[: len(flac) // 4])
    cut = (home / "audio/b.wav").read_bytes()
    (home / "audio/b.wav").write_bytes(cut[: len(cut) // 2])
    write(home / "audio/corpus.csv", GOOD)
    assert "corpus.csv:5: " in (error := prepare().stderr) and "b.wav: truncated" in error
    (home / "audio/b.wav").write_bytes(cut)
    error = prepare().stderr
    assert "corpus.csv:4: nothing but zeros" in error
    assert "corpus.csv:2: " in error and "corpus.csv:3: " in error
    assert "Traceback" not in error


def test_changed_audio_is_detected(home: Path) -> None:
    write(home / "audio/corpus.csv", GOOD)
    done()
    assert "up to date" in done()
    soundfile.write(home / "audio/a.wav", tone(1, 16000, 200), 16000, "PCM_16")
    assert "audio" in prepare().stderr


@settings(max_examples=150, deadline=None)
@given(st.text(st.sampled_from('path,text;emotion\n\t"\r ä\ufeff0|')))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    path.write_text(text, encoding="utf-8", newline="")
    try:
        found = tables.read(path)
    except DataError as error:
        assert str(path) in str(error)
    else:
        check.check_rows(found.rows, path.parent, LETTERS)
