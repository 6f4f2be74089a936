"""Manifests and tables agree, and writing them twice gives the same bytes."""

from pathlib import Path

import pytest
from data_fixtures import make_iemocap
from lhotse import CutSet, RecordingSet, SupervisionSet

from jointasr.config import layout
from jointasr.data import datadir, manifest
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make_iemocap(Path())
    return Path("data/local/corpus")


def test_tables_and_manifests_agree(raw: Path) -> None:
    assert manifest.validate(raw) == []
    cuts = manifest.load(raw)
    assert [cut.id for cut in cuts] == sorted(datadir.read_table(raw / "text"))
    cut = next(iter(cuts))
    assert cut.supervisions[0].custom["dialogue"] == "Ses01F_impro02"
    assert cut.load_audio().shape == (1, cut.num_samples)
    recordings = RecordingSet.from_file(raw / layout.RECORDINGS)
    supervisions = SupervisionSet.from_file(raw / layout.SUPERVISIONS)
    assert [item.id for item in recordings] == [item.id for item in supervisions]
    assert len(list(CutSet.from_file(raw / layout.CUTS))) == len(cuts)


def test_durations_read_back_exactly(raw: Path) -> None:
    for cut in manifest.load(raw):
        seconds = float(datadir.read_table(raw / "utt2dur")[cut.id])
        assert seconds * 16000 == cut.num_samples
        assert seconds == cut.duration == cut.recording.duration


def test_writing_again_gives_the_same_bytes(raw: Path) -> None:
    manifest.write(manifest.load(raw), Path("again"))
    for path in Path("again").iterdir():
        assert path.read_bytes() == (raw / path.name).read_bytes(), path


def test_subset_and_its_errors(raw: Path) -> None:
    ids = list(datadir.read_table(raw / "text"))[::3]
    manifest.subset(raw, Path("part"), ids)
    assert manifest.validate(Path("part")) == []
    assert [cut.id for cut in manifest.load(Path("part"))] == ids
    with pytest.raises(DataError, match="no utterance missing"):
        manifest.subset(raw, Path("part2"), [*ids, "missing"])
    assert not Path("part2").exists()


def test_problems_finds_a_cut_that_differs(raw: Path) -> None:
    emotions = datadir.read_table(raw / "utt2emo")
    first = next(iter(emotions))
    datadir.write_table(raw / "utt2emo", {**emotions, first: "oth"})
    assert any(first in problem and "'oth'" in problem for problem in manifest.validate(raw))


@pytest.mark.parametrize("name", datadir.PER_UTTERANCE)
def test_an_edited_table_is_refused(raw: Path, name: str) -> None:
    """Reading the cuts, or a subset with the utterance, raises; another subset is unaffected."""
    table = datadir.read_table(raw / name)
    first, *others = table
    datadir.write_table(raw / name, {**table, first: "OTHER"})
    words = rf"{name}: {first}: 'OTHER', but .* in {layout.CUTS}; the table was edited.*--force"
    for ids in (table, [first]):
        with pytest.raises(DataError, match=words):
            manifest.subset(raw, Path("part"), ids)
    with pytest.raises(DataError, match=words):
        manifest.load(raw)
    manifest.subset(raw, Path("part"), others)
    assert len(manifest.load(Path("part"))) == len(others)


def test_a_table_without_an_utterance_is_refused(raw: Path) -> None:
    """A line deleted from utt2spk or text, and one added."""
    spk = datadir.read_table(raw / "utt2spk")
    text = datadir.read_table(raw / "text")
    first = next(iter(text))
    datadir.write_table(raw / "text", {key: text[key] for key in text if key != first})
    with pytest.raises(DataError, match=f"text: {first}: None, but"):
        manifest.load(raw)
    datadir.write_table(raw / "text", text)
    datadir.write_table(raw / "utt2spk", {**spk, "Ses09M-x": "Ses09M"})
    with pytest.raises(DataError, match=r"utt2spk: Ses09M-x: not in cuts"):
        manifest.load(raw)


def test_write_refuses_duplicates_and_invalid_cuts(raw: Path) -> None:
    cuts = list(manifest.load(raw))
    with pytest.raises(DataError, match=f"{cuts[3].id} occurs twice"):
        manifest.write(CutSet([*cuts[:4], cuts[3]]), Path("x"))
    cuts[0].supervisions[0].custom = None
    with pytest.raises(DataError, match=f"{cuts[0].id} has no speaker, or neither"):
        manifest.write(CutSet.from_cuts(cuts), Path("x"))
