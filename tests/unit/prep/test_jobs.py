"""The job table: every system, seed, condition and fold once, longest jobs first."""

import sys
from pathlib import Path

import pytest

from jointasr.bin import jobs
from jointasr.config import layout, scenarios
from jointasr.decoding import steps
from jointasr.prep.jobs import TrainingJob, training_jobs
from jointasr.training import fingerprint
from jointasr.utils import done, files
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT


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


def test_each_seed_is_a_system(
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


def test_all_jobs_get_the_batch_size_found(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Per GPU of a training; unchanged where the conf has a number."""
    conf = str(ROOT / "conf/joint.yaml")
    auto = ["--set", "batch.max_duration=auto"]
    before = table(monkeypatch, capsys, "train", conf, *auto)  # as in a dry run
    assert {row[-1] for row in before} == {"batch.max_duration=auto"}
    files.write_json(recipe / "exp/max_duration.json", {"max_duration": 50})
    rows = table(monkeypatch, capsys, "train", conf, *auto, "--cards", "4")
    assert {row[-1] for row in rows} == {"batch.max_duration=200"}
    own = table(monkeypatch, capsys, "train", conf)
    assert all("batch.max_duration" not in word for row in own for word in row)


def finish(out: Path) -> Path:
    """Record a folder as the result of some step."""
    done.write(out, "jointasr.bin.conf", {}, [])
    return out


def trained(job: TrainingJob) -> Path:
    """Make what a finished training of ``job`` leaves for the job table to read."""
    conf = job.config
    lang = layout.lang_dir(job.data, conf.units.type, conf.units.size)
    train, dev = (layout.set_dir(job.data, split, job.condition) for split in ("train", "dev"))
    for folder in (train, dev, lang):
        finish(folder)
    for test in scenarios.read_tests(scenarios.tests_file()):
        finish(layout.test_dir(job.data, test))
    fold = job.data, job.condition, job.fold
    about = {
        "system": job.name, "kind": conf.system, "conf": job.conf, "seed": job.seed,
        "train": job.condition, "fold": job.fold, "engine": conf.ctc, "stack": "torch",
        "lang": str(lang), "data": str(job.data), "commit": "unknown",
        "budget": {}, "selected": {"on": str(dev)},
    }  # fmt: skip
    files.write_json(job.out / "model.json", about)
    done.write(*fingerprint.training_step(job.out, conf, *fold, job.seed, 1))
    return job.out


def test_up_to_date_jobs_are_not_listed(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = str(ROOT / "conf/joint.yaml")
    all_jobs = list(training_jobs([conf], ["clean"], [], [0], []))
    options = (conf, "--conditions", "clean")
    first, second = (job.id for job in all_jobs)

    def listed(what: str, *more: str) -> list[str]:
        return [row[0] for row in table(monkeypatch, capsys, what, *options, *more)]

    assert listed("train") == listed("decode") == [first, second]
    out = trained(all_jobs[0])
    assert listed("train") == [second]
    assert listed("decode") == listed("align") == [first, second]
    how = steps.decoding(out, "decode.yaml", "default")
    for test in scenarios.read_tests(scenarios.tests_file()):
        assert listed("decode") == [first, second]
        done.write(*how.scenario(test))
    assert listed("decode") == [second]
    assert listed("decode", "--method", "greedy") == [first, second]
    assert listed("decode", "--method", "hlg") == [first, second]
    for test in scenarios.read_tests(scenarios.tests_file()):
        done.write(*steps.alignment(out, how.model, test, "ref", "default", how.engine))
    assert listed("align") == [second] and listed("align", "--of", "hyp") == [first, second]
    (out / layout.RESUME).mkdir()  # the end of the training was interrupted after `.done`
    assert listed("train") == [first, second]


def test_a_changed_setting_stops_before_any_job(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = str(ROOT / "conf/joint.yaml")
    all_jobs = list(training_jobs([conf], ["clean"], ["Ses01M"], [0], []))
    record = trained(all_jobs[0]) / done.NAME
    before = record.read_text()
    options = ("train", conf, "--conditions", "clean")
    with pytest.raises(DataError, match=r"option alpha \(was 0.1, now 0.3\) changed"):
        table(monkeypatch, capsys, *options, "--set", "alpha=0.3")
    change = ("--set", "alpha=0.3")
    assert len(table(monkeypatch, capsys, *options, *change, "--dry-run")) == 2
    monkeypatch.setenv("JOINTASR_ON_CHANGE", "force")
    assert len(table(monkeypatch, capsys, *options, *change, "--dry-run")) == 2
    assert len(table(monkeypatch, capsys, *options, *change)) == 2
    assert record.read_text() == before  # until the job itself removes it


def test_all_changed_models_are_listed(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = str(ROOT / "conf/joint.yaml")
    for job in training_jobs([conf], ["clean"], [], [0], []):
        trained(job)
    options = ("train", conf, "--conditions", "clean", "--set", "alpha=0.3")
    with pytest.raises(DataError, match=r"fold_Ses01F was made(.|\n)*fold_Ses01M was made"):
        table(monkeypatch, capsys, *options)
    assert len(table(monkeypatch, capsys, *options, "--dry-run")) == 2
    jobs.main()
    assert capsys.readouterr().err.count("would stop: ") == 2


def test_a_table_with_finished_jobs_does_not_change_while_jobs_finish(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """slurm.py recognizes the array of a killed run by its table."""
    conf = str(ROOT / "conf/joint.yaml")
    options = ("train", conf, "--conditions", "clean", "--keep-finished")
    first, second = training_jobs([conf], ["clean"], [], [0], [])
    before = table(monkeypatch, capsys, *options)
    trained(first)
    assert table(monkeypatch, capsys, *options) == before
    trained(second)
    assert table(monkeypatch, capsys, *options) == []


def test_accepted_code_is_recorded_by_the_table(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    conf = str(ROOT / "conf/joint.yaml")
    record = trained(next(training_jobs([conf], ["clean"], [], [0], []))) / done.NAME
    options = ("train", conf, "--conditions", "clean", "--folds", "Ses01F")
    monkeypatch.setattr(done, "_cached_code_digest", lambda code: "other")
    with pytest.raises(DataError, match="the code changed"):
        table(monkeypatch, capsys, *options)
    monkeypatch.setenv("JOINTASR_ON_CHANGE", "accept-code")
    assert not table(monkeypatch, capsys, *options, "--dry-run")
    assert "accepted_code" not in record.read_text()
    assert not table(monkeypatch, capsys, *options)
    assert '"accepted_code": "other"' in record.read_text()
