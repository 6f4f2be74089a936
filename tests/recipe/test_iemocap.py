"""Stages 1 to 3 of egs/iemocap on a tree with the names and counts of IEMOCAP."""

import json
from collections import Counter
from pathlib import Path

import lookalike
import pytest
from recipe import Copy

from jointasr.data import datadir

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    root = tmp_path_factory.mktemp("paper")
    lookalike.write_iemocap(root / "iemocap", lookalike.full())
    lookalike.write_musan(root / "musan")
    copy = Copy(root / "project")
    copy.run(
        "egs/iemocap/run.sh",
        *("--stage", "1", "--stop-stage", "3"),
        *("--iemocap", str(root / "iemocap"), "--musan", str(root / "musan")),
        *("--allow-partial", "false"),
    )
    return copy


def per_speaker(path: Path, emotions: tuple[str, ...] = lookalike.LABELS) -> Counter[str]:
    speakers = datadir.read_table(path / "utt2spk")
    labels = datadir.read_table(path / "utt2emo")
    return Counter(speakers[utt] for utt, label in labels.items() if label in emotions)


def test_counts_are_the_papers(paper: Copy) -> None:
    data = paper.home / "egs/iemocap/data"
    assert len(datadir.read_table(data / "local/corpus/text")) == 10039
    iem4 = per_speaker(data / "local/corpus")
    assert sum(iem4.values()) == 5531
    assert [iem4[f"Ses0{k}{g}"] for k in range(1, 6) for g in "FM"] == [
        528, 557, 481, 542, 522, 629, 528, 503, 590, 651,
    ]  # fmt: skip
    selected = per_speaker(data / "local/selected")
    assert sum(selected.values()) == 5500
    assert [selected[f"Ses0{k}{g}"] for k in range(1, 6) for g in "FM"] == [
        519, 555, 480, 541, 521, 629, 523, 503, 581, 648,
    ]  # fmt: skip


def test_ten_folds_cover_every_utterance_once(paper: Copy) -> None:
    folds = paper.home / "egs/iemocap/data/folds/speaker"
    names = json.loads((folds / "folds.json").read_text())["folds"]
    assert len(names) == 10
    tested = [utt for name in names for utt in datadir.read_list(folds / name / "test.list")]
    assert len(tested) == len(set(tested)) == 5500


def test_every_noisy_set_has_every_utterance(paper: Copy) -> None:
    reports = sorted((paper.home / "egs/iemocap/data/local/mix").glob("*/report.txt"))
    assert len(reports) == 8
    assert all("5500" in path.read_text() for path in reports)
