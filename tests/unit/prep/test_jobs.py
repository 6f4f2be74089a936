"""The job table: every system, seed, condition and fold once, long ones first."""

import sys
from pathlib import Path

import pytest

from jointasr.bin import jobs
from jointasr.config import conf_files
from jointasr.utils import files

ROOT = conf_files.ROOT


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    files.write_json(
        tmp_path / "data/folds/speaker/folds.json", {"folds": {"Ses01F": {}, "Ses01M": {}}}
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> list[list[str]]:
    monkeypatch.setattr(sys, "argv", ["jobs", *arguments])
    jobs.main()
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def test_seeds_are_systems_of_their_own(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    confs = [str(ROOT / "conf" / f"{name}.yaml") for name in ("ser", "joint")]
    rows = table(monkeypatch, capsys, "train", *confs, "--seed", "0 2", "--set", "alpha=0.3")
    assert len(rows) == 2 * 2 * 2 * 2 and len({row[0] for row in rows}) == 16
    assert [row[0].split("_")[0] for row in rows] == [
        *["joint"] * 4, *["joint-s2"] * 4, *["ser"] * 4, *["ser-s2"] * 4,
    ]  # fmt: skip
    for row in rows:
        options = dict(zip(row[2:16:2], row[3:16:2], strict=True))
        assert options["--seed"] == ("2" if "-s2" in row[0] else "0")
        assert options["--out"] == f"exp/{options['--name']}_{options['--condition']}/" + (
            f"fold_{options['--fold']}"
        )
        assert row[1] == f"{options['--out']}/train.log" and row[-2:] == ["--set", "alpha=0.3"]
    assert table(monkeypatch, capsys, "systems", confs[1], "--seed", "0 2") == [
        [f"exp/joint{end}_{train}"] for end in ("", "-s2") for train in ("clean", "noisy")
    ]


def test_the_batches_that_were_found_are_every_jobs(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As many seconds for each card that shares them; nothing where the conf has a number."""
    conf = str(ROOT / "conf/joint.yaml")
    auto = ["--set", "batch.max_duration=auto"]
    before = table(monkeypatch, capsys, "train", conf, *auto)  # as a dry run shows them
    assert {row[-1] for row in before} == {"batch.max_duration=auto"}
    files.write_json(recipe / "exp/max_duration.json", {"max_duration": 50})
    found = table(monkeypatch, capsys, "train", conf, *auto, "--cards", "4")
    assert {row[-1] for row in found} == {"batch.max_duration=200"}
    own = table(monkeypatch, capsys, "train", conf)
    assert all("batch.max_duration" not in word for row in own for word in row)
