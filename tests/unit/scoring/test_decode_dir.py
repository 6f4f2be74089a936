"""Files of a decode folder: what is written is read back; damaged files are named."""

from pathlib import Path

import pytest

from jointasr.scoring import decode_dir
from jointasr.utils import files
from jointasr.utils.errors import DataError

LABELS = ["ang", "hap", "neu"]
TEXTS = {"b-1": "GOOD ROAD", "a-1": ""}
WORD_POSTERIORS = {"b-1": [0.5, 0.25], "a-1": []}
EMOTION_POSTERIORS = {"b-1": [0.25, 0.5, 0.25], "a-1": [0.5, 0.5, 0.0]}


def test_round_trip(tmp_path: Path) -> None:
    """Also of an utterance without words."""
    decode_dir.write_words(tmp_path, TEXTS, WORD_POSTERIORS)
    decode_dir.write_emotions(tmp_path, EMOTION_POSTERIORS, LABELS)
    usage = decode_dir.Usage(audio=10.0, seconds=4.0, search=1.0, memory=2.5)
    decode_dir.write_usage(tmp_path, usage)
    decode_dir.write_description(tmp_path, {"method": "hlg"}, "abc", {"a-1": "no audio"})
    assert (tmp_path / "text").read_text() == "a-1\nb-1 GOOD ROAD\n"
    assert (tmp_path / "word_post").read_text() == "a-1\nb-1 0.500000 0.250000\n"
    assert (tmp_path / "utt2emo").read_text() == "a-1 ang\nb-1 hap\n"
    assert decode_dir.read_texts(tmp_path) == TEXTS
    assert decode_dir.read_word_posteriors(tmp_path) == WORD_POSTERIORS
    assert decode_dir.read_emotions(tmp_path) == {"a-1": "ang", "b-1": "hap"}
    assert decode_dir.read_emotion_posteriors(tmp_path, 3) == EMOTION_POSTERIORS
    assert decode_dir.read_usage(tmp_path) == usage
    assert decode_dir.read_commit(tmp_path) == "abc"
    assert decode_dir.read_unreadable(tmp_path) == {"a-1": "no audio"}


def test_folder_without_these_files(tmp_path: Path) -> None:
    assert not decode_dir.has_words(tmp_path) and not decode_dir.has_emotions(tmp_path)
    assert decode_dir.read_texts(tmp_path) == decode_dir.read_word_posteriors(tmp_path) == {}
    assert decode_dir.read_emotions(tmp_path) == {}
    assert decode_dir.read_emotion_posteriors(tmp_path, 3) == {}
    assert decode_dir.read_usage(tmp_path) is None and decode_dir.read_commit(tmp_path) is None
    assert decode_dir.read_unreadable(tmp_path) == {}


@pytest.mark.parametrize("line", ["b-1 0.5", "b-1 0.5 high"])
def test_word_posteriors_that_do_not_match_the_words(tmp_path: Path, line: str) -> None:
    decode_dir.write_words(tmp_path, TEXTS, {})
    (tmp_path / "word_post").write_text(f"{line}\n")
    with pytest.raises(DataError, match="word_post: b-1: expected one posterior for each"):
        decode_dir.read_word_posteriors(tmp_path)


def test_usage_with_other_or_missing_entries(tmp_path: Path) -> None:
    usage = {"audio": 10.0, "seconds": 4.0, "search": 1.0, "memory": 2.5}
    files.write_json(tmp_path / "usage.json", {**usage, "energy": 3})
    assert decode_dir.read_usage(tmp_path) == decode_dir.Usage(**usage)
    for damaged in ({"audio": 10.0, "seconds": 4.0}, {**usage, "memory": "2.5"}, [1], None):
        files.write_json(tmp_path / "usage.json", damaged)
        with pytest.raises(DataError, match=r"usage.json: expected the numbers audio, seconds"):
            decode_dir.read_usage(tmp_path)
