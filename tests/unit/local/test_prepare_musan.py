"""Pools of the noise corpus, and bad input."""

import sys
from collections import defaultdict
from pathlib import Path

import lookalike
import numpy as np
import pytest
from lhotse import RecordingSet

from jointasr.utils.errors import DataError
from local import prepare_musan


def prepare(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, "argv", ["prepare_musan.py", *map(str, arguments)])
    prepare_musan.main()


def pools(out: Path) -> list[tuple[str, str, str]]:
    rows = (out / "pools.tsv").read_text().splitlines()
    return [(row.split("\t")[0], row.split("\t")[1], row.split("\t")[2]) for row in rows]


def test_every_file_is_in_one_pool_and_every_pool_has_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lookalike.write_musan(tmp_path / "musan", 10)
    prepare(monkeypatch, tmp_path / "musan", tmp_path / "out")
    rows = pools(tmp_path / "out")
    ids = [row[0] for row in rows]
    assert ids == sorted(set(ids)) and len(ids) == 30
    sizes: dict[tuple[str, str], int] = defaultdict(int)
    for name, kind, pool in rows:
        assert name.startswith(kind)
        sizes[kind, pool] += 1
    for kind in ("music", "speech", "noise"):
        assert [sizes[kind, pool] for pool in ("train", "dev", "test")] == [7, 1, 2]
    recordings = RecordingSet.from_file(tmp_path / "out" / "recordings.jsonl.gz")
    assert [recording.id for recording in recordings] == ids
    recording = next(iter(recordings))
    assert recording.load_audio().shape == (1, recording.num_samples)


def test_split_depends_on_seed_and_names_alone() -> None:
    names = [f"noise-{i:03d}" for i in range(300)]
    first = prepare_musan.split("noise", names, 0)
    assert first == prepare_musan.split("noise", names[::-1], 0)
    assert first != prepare_musan.split("noise", names, 1)
    assert list(first.values()).count("test") == 60
    assert set(prepare_musan.split("noise", names[:3], 0).values()) == {"train", "dev", "test"}


def test_missing_music_is_refused_unless_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "musan"
    lookalike.write_musan(root)
    (root / "music").rename(tmp_path / "music")
    with pytest.raises(DataError, match=f"{root / 'music'}: no wav files"):
        prepare(monkeypatch, root, tmp_path / "out")
    prepare(monkeypatch, "--allow-partial", root, tmp_path / "out")
    assert "MISSING: music" in (tmp_path / "out" / "report.txt").read_text()


def test_bad_input_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, out = tmp_path / "data" / "musan", tmp_path / "out"
    lookalike.write_musan(root)
    for path, words in (
        (tmp_path / "none", "no such folder"),
        (root.parent, f"did you mean {root}?"),
        (root / "noise", f"give its parent, {root}"),
    ):
        with pytest.raises(DataError) as caught:
            prepare(monkeypatch, path, out)
        assert words in str(caught.value)
    with pytest.raises(DataError, match="inside the corpus"):
        prepare(monkeypatch, root, root / "out")
    stereo = root / "noise" / "free-sound" / "noise-free-sound-0000.wav"
    lookalike.write_wav(stereo, np.ones(200, np.int16), channels=2)
    with pytest.raises(DataError, match=f"{stereo}: 2 channels"):
        prepare(monkeypatch, root, out)
    stereo.rename(root / "noise" / "sound-bible" / "noise-sound-bible-0000.wav")
    double = root / "music" / "fma" / "noise-sound-bible-0000.wav"
    lookalike.write_wav(double, np.ones(200, np.int16))
    with pytest.raises(DataError, match="noise-sound-bible-0000: two files have this name"):
        prepare(monkeypatch, root, out)
    for path in list((root / "speech").rglob("*.wav"))[2:]:
        path.unlink()
    with pytest.raises(DataError, match="2 wav files; train, dev and test pools need one each"):
        prepare(monkeypatch, root, out)


def test_hidden_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "musan"
    lookalike.write_musan(root)
    (root / "music" / "fma" / "._music-fma-0000.wav").write_bytes(b"\0\5\26\7")
    prepare(monkeypatch, root, tmp_path / "out")
    assert len(pools(tmp_path / "out")) == 18
    assert "hidden files: 1" in (tmp_path / "out" / "report.txt").read_text()
