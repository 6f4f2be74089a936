"""Preparation of IEMOCAP on look-alike trees: the published counts, and every kind of bad input."""

import re
import sys
from collections import Counter
from pathlib import Path

import lookalike
import numpy as np
import pytest

from jointasr.data import datadir, manifest
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT
from local import prepare_iemocap
from local.iemocap import counts, turns

COUNTS = ROOT / "egs" / "iemocap" / "conf" / "counts.tsv"


def prepare(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["prepare_iemocap.py", *map(str, arguments)])
    prepare_iemocap.main()


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small corpus with a counts file of its own beside it."""
    root = tmp_path / "corpus"
    lookalike.write_iemocap(root, lookalike.tiny())
    out = tmp_path / "out"
    prepare(monkeypatch, "--counts", tmp_path / "counts.tsv", "--write-counts", root, out)
    assert not out.exists()
    return root


def refused(monkeypatch: pytest.MonkeyPatch, root: Path, *options: str) -> str:
    """Run a preparation that must fail; return the message. The output is not marked finished."""
    out = root.parent / "out"
    with pytest.raises(DataError) as caught:
        prepare(monkeypatch, "--counts", root.parent / "counts.tsv", *options, root, out)
    assert not (out / ".done").exists()
    return str(caught.value)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def labels(root: Path, session: int = 1) -> Path:
    folder = root / f"Session{session}" / "dialog" / "EmoEvaluation"
    return folder / f"Ses0{session}F_impro01.txt"


def transcript(root: Path) -> Path:
    return root / "Session1" / "dialog" / "transcriptions" / "Ses01F_impro01.txt"


def wav(root: Path) -> Path:
    folder = root / "Session1" / "sentences" / "wav" / "Ses01F_impro01"
    return folder / "Ses01F_impro01_F000.wav"


def test_real_counts_come_out_of_the_full_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, out = tmp_path / "IEMOCAP_full_release", tmp_path / "out"
    lookalike.write_iemocap(root, lookalike.full())
    before = sorted((p, p.stat().st_mtime_ns) for p in root.rglob("*"))
    prepare(monkeypatch, "--counts", COUNTS, root, out)
    assert sorted((p, p.stat().st_mtime_ns) for p in root.rglob("*")) == before
    text = datadir.read_table(out / "text")
    emotion = datadir.read_table(out / "utt2emo")
    speaker = datadir.read_table(out / "utt2spk")
    four = [u for u in text if emotion[u] in ("ang", "hap", "neu", "sad")]
    assert (len(text), len(four)) == (10039, 5531)
    words = [u for u in four if text[u]]
    assert len(words) == 5500
    # the counts of the paper, not read from the file that the recipe checks
    assert Counter(speaker[u] for u in words) == dict(
        Ses01F=519, Ses01M=555, Ses02F=480, Ses02M=541, Ses03F=521, Ses03M=629, Ses04F=523,
        Ses04M=503, Ses05F=581, Ses05M=648,
    )  # fmt: skip
    assert Counter(speaker[u] for u in four) == dict(
        Ses01F=528, Ses01M=557, Ses02F=481, Ses02M=542, Ses03F=522, Ses03M=629, Ses04F=528,
        Ses04M=503, Ses05F=590, Ses05M=651,
    )  # fmt: skip
    assert Counter(emotion[u] for u in words) == dict(ang=1103, hap=1615, neu=1704, sad=1078)
    assert sum(len(text[u].split()) for u in words) == 63848
    assert (
        "5531 have one of the four emotions (2943 improvised, 2588 scripted)"
        in (out / "report.txt").read_text()
    )
    assert not manifest.validate(out, audio=False)


def test_contents_of_the_cuts(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tiny.parent / "out"
    prepare(monkeypatch, "--counts", tiny.parent / "counts.tsv", tiny, out)
    assert manifest.validate(out) == []
    cut = next(c for c in manifest.load(out) if c.id == "Ses01M-Ses01F_impro01_M000")
    supervision = cut.supervisions[0]
    assert (supervision.speaker, supervision.gender) == ("Ses01M", "M")
    assert supervision.text == "TURN EXC DON'T"
    assert supervision.custom == {
        "label": "exc",
        "emotion": "hap",
        "dialogue": "Ses01F_impro01",
        "session": "Ses01",
        "style": "improvised",
    }
    assert datadir.read_table(out / "utt2emo")["Ses05M-Ses05F_impro01_M001"] == "xxx"


def test_again_is_up_to_date_and_a_changed_corpus_is_refused(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("--counts", tiny.parent / "counts.tsv", tiny, tiny.parent / "out")
    prepare(monkeypatch, *arguments)
    capsys.readouterr()
    prepare(monkeypatch, *arguments)
    assert "up to date" in capsys.readouterr().out
    edit(transcript(tiny), "don't", "do")
    with pytest.raises(DataError, match="option files"):
        prepare(monkeypatch, *arguments)


@pytest.mark.parametrize(
    ("utterance", "speaker", "style"),
    [
        ("Ses01F_impro01_M000", "Ses01M", "improvised"),
        ("Ses03M_impro05a_F012", "Ses03F", "improvised"),
        ("Ses03M_impro08b_M001", "Ses03M", "improvised"),
        ("Ses05M_script01_1b_F044", "Ses05F", "scripted"),
    ],
)
def test_speaker_is_the_last_field(utterance: str, speaker: str, style: str) -> None:
    turn = turns.IemocapTurn(utterance, utterance.rpartition("_")[0], "exc", "", Path())
    assert turns.UTTERANCE.fullmatch(utterance)
    assert (turn.speaker, turn.style, turn.emotion) == (speaker, style, "hap")
    assert turn.id == f"{speaker}-{utterance}"


def test_wrong_paths_are_explained(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, hint in (
        (tiny / "nowhere", "no such folder"),
        (tiny.parent, f"did you mean {tiny}?"),
        (tiny / "Session2", f"single session; give its parent, {tiny}"),
        (tiny / "Session1" / "dialog" / "transcriptions", f"is inside the corpus; give {tiny}"),
        (labels(tiny), "is a file"),
    ):
        with pytest.raises(DataError, match=re.escape(hint)) as caught:
            prepare(monkeypatch, "--counts", tiny.parent / "counts.tsv", path, "/tmp/none/out")
        assert str(caught.value).startswith(str(path))
    musan = tiny.parent / "musan"
    lookalike.write_musan(musan, 3)
    assert "looks like MUSAN" in refused(monkeypatch, musan)


def test_output_inside_the_corpus_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="inside the corpus"):
        prepare(monkeypatch, "--counts", tiny.parent / "counts.tsv", tiny, tiny / "out")


def test_half_a_release_is_refused_unless_allowed(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("Session4", "Session5"):
        (tiny / name).rename(tiny.parent / name)
    message = refused(monkeypatch, tiny)
    assert "--allow-partial" in message
    assert f"{tiny / 'Session4'} does not exist" in message
    out = tiny.parent / "out"
    prepare(monkeypatch, "--counts", tiny.parent / "counts.tsv", "--allow-partial", tiny, out)
    report = (out / "report.txt").read_text()
    assert f"INCOMPLETE: {tiny / 'Session5'} does not exist" in report
    assert "OTHER COUNT: labelled turns: 12, but 20 are expected" in report


def test_other_counts_are_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(labels(tiny), "Ses01F_impro01_F000\tneu", "Ses01F_impro01_F000\tsad")
    message = refused(monkeypatch, tiny)
    assert "Ses01F:neu: 0, but 1 are expected" in message


def test_missing_label_files_are_reported(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels(tiny).unlink()
    assert f"{labels(tiny)} does not exist, its transcript does" in refused(monkeypatch, tiny)


def test_unusable_audio_is_named(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.ones(1600, np.int16)
    bad = {
        "not readable": lambda: wav(tiny).write_bytes(b"RIFF no"),
        "no samples": lambda: lookalike.write_wav(wav(tiny), samples[:0]),
        "2 channels": lambda: lookalike.write_wav(wav(tiny), samples, channels=2),
        "44100 Hz": lambda: lookalike.write_wav(wav(tiny), samples, rate=44100),
    }
    for words, spoil in bad.items():
        spoil()
        message = refused(monkeypatch, tiny)
        assert message.startswith(str(wav(tiny))) and words in message


def test_a_file_of_no_bytes_is_named(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wav(tiny).write_bytes(b"")
    assert refused(monkeypatch, tiny).startswith(str(wav(tiny)))


def test_bad_labels_are_named_by_line(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = labels(tiny)
    good = path.read_text(encoding="utf-8")
    for old, new, words in (
        ("F000\tneu", "F000\thappy", f"{path}:3: unknown label 'happy'"),
        ("impro01_M000\t", "impro01_F000\t", "Ses01F_impro01_F000 occurs twice, first on line 3"),
        ("Ses01F_impro01_F000", "Ses01F_impro02_F000", "not an utterance of Ses01F_impro01"),
        ("\tneu\t", " neu ", f"{path}:3: not of the form"),
    ):
        edit(path, old, new)
        assert words in refused(monkeypatch, tiny)
        path.write_text(good, encoding="utf-8")


def test_missing_transcript_or_wav_is_named(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = transcript(tiny).read_bytes()
    edit(transcript(tiny), "Ses01F_impro01_F000 ", "Ses01F_impro01_F009 ")
    message = refused(monkeypatch, tiny)
    assert f"{labels(tiny)}:3: Ses01F_impro01_F000 is labelled, but has no transcript" in message
    transcript(tiny).write_bytes(good)
    edit(transcript(tiny), "Ses01F_impro01_M000 ", "Ses01F_impro01_F000 ")
    assert "Ses01F_impro01_F000 occurs twice, first on line 3" in refused(monkeypatch, tiny)
    transcript(tiny).unlink()
    assert f"{transcript(tiny)} does not exist" in refused(monkeypatch, tiny)
    transcript(tiny).write_bytes(good)
    wav(tiny).unlink()
    assert f"{wav(tiny)} does not exist" in refused(monkeypatch, tiny)


def test_lines_of_any_encoding_and_ending_are_read(tmp_path: Path) -> None:
    path = tmp_path / "Ses01F_impro01.txt"
    path.write_bytes(
        b"Ses01F_impro01_F000 [001.0000-002.0000]: I don\x92t\x85 know\r\n"
        b"Ses01F_impro01_M000 [002.0000-003.0000]: caf\xc3\xa9 \xe2\x80\x9cso\xe2\x80\x9d\r\n"
        b"F: Okay.\r\n"
        b"Ses01F_impro01_MXX0 [003.0000-004.0000]: [LAUGHTER]\r\n"
        b"Ses01F_impro01 [003.0000-004.0000]: what\r\n"
        b"\r\n"
        b"Ses01F_impro01_M001 [002.0000-003.0000]:\n"
    )
    ignored: Counter[str] = Counter()
    texts = turns.read_transcript(path, ignored)
    assert texts == {
        "Ses01F_impro01_F000": " I don\u2019t\u2026 know",
        "Ses01F_impro01_M000": " caf\u00e9 \u201cso\u201d",
        "Ses01F_impro01_M001": "",
    }
    assert ignored == {
        "bare lines (no id)": 1,
        "XX lines (no wav, no label)": 1,
        "lines with an invalid id": 1,
    }


def test_a_damaged_counts_file_is_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "counts.tsv"
    path.write_text("set\titem\tcount\nspeech\tturns\tmany\n")
    with pytest.raises(DataError, match=r"counts.tsv:2: not 'set<TAB>item<TAB>count'"):
        counts.read(path)
    path.write_text("speech\tturns\t1\nspeech\tturns\t2\n")
    with pytest.raises(DataError, match=r"counts.tsv:2: speech turns occurs twice"):
        counts.read(path)
    with pytest.raises(DataError, match="does not exist"):
        counts.read(tmp_path / "none.tsv")
