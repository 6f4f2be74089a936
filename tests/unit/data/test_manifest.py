"""Manifests and tables say the same, and writing them twice gives the same bytes."""

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
    assert manifest.problems(raw) == []
    cuts = manifest.load(raw)
    assert [cut.id for cut in cuts] == sorted(datadir.read_table(raw / "text"))
    cut = next(iter(cuts))
    assert cut.supervisions[0].custom["dialogue"] == "Ses01F_impro02"
    assert cut.load_audio().shape == (1, cut.num_samples)
    recordings = RecordingSet.from_file(raw / layout.RECORDINGS)
    supervisions = SupervisionSet.from_file(raw / layout.SUPERVISIONS)
    assert [item.id for item in recordings] == [item.id for item in supervisions]
    assert len(list(CutSet.from_file(raw / layout.CUTS))) == len(cuts)
    assert [a.to_dict() for a in manifest.load(raw, lazy=True)] == [a.to_dict() for a in cuts]


def test_durations_read_back_exactly(raw: Path) -> None:
    for cut in manifest.load(raw):
        told = float(datadir.read_table(raw / "utt2dur")[cut.id])
        assert told * 16000 == cut.num_samples
        assert told == cut.duration == cut.recording.duration


def test_writing_again_gives_the_same_bytes(raw: Path) -> None:
    manifest.write(manifest.load(raw), Path("again"))
    for path in Path("again").iterdir():
        assert path.read_bytes() == (raw / path.name).read_bytes(), path


def test_subset_and_its_errors(raw: Path) -> None:
    ids = list(datadir.read_table(raw / "text"))[::3]
    manifest.subset(raw, Path("part"), ids)
    assert manifest.problems(Path("part")) == []
    assert [cut.id for cut in manifest.load(Path("part"))] == ids
    with pytest.raises(DataError, match="no utterance nobody"):
        manifest.subset(raw, Path("part2"), [*ids, "nobody"])
    assert not Path("part2").exists()


def test_problems_finds_a_cut_that_differs(raw: Path) -> None:
    emotions = datadir.read_table(raw / "utt2emo")
    first = next(iter(emotions))
    datadir.write_table(raw / "utt2emo", {**emotions, first: "oth"})
    assert any(first in problem and "'oth'" in problem for problem in manifest.problems(raw))


def test_write_refuses_duplicates_and_odd_cuts(raw: Path) -> None:
    cuts = list(manifest.load(raw))
    with pytest.raises(DataError, match=f"{cuts[3].id} occurs twice"):
        manifest.write(CutSet([*cuts[:4], cuts[3]]), Path("x"))
    cuts[0].supervisions[0].custom = None
    with pytest.raises(DataError, match=f"{cuts[0].id} has no speaker, or neither"):
        manifest.write(CutSet.from_cuts(cuts), Path("x"))
