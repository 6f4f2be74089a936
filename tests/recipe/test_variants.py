"""Other recipes and systems on the short recipe's corpora and pretrained models.

Its models are too small for good results: what they learn is tested in test_mini.py.
"""

from pathlib import Path

import pytest
import short_recipe
import yaml
from own_recipes import run_german, run_own
from short_recipe import FOLD, ShortRun

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_ablations_are_compared_with_their_base_system(short_run: ShortRun) -> None:
    """Differences of WER and their intervals, over two folds."""
    project = short_run.project
    command = ("./run.sh", "--recipe", short_recipe.NAME, "--folds", f"{FOLD} Ses02M")
    project.run(*command, "--stage", "4", "--stop-stage", "9", "--conf", "conf/joint.yaml")
    output = project.run(
        *command, "--stage", "7", "--conf", "conf/ablation/co_attention.yaml",
        "--set", "train.epochs=1",
    )  # fmt: skip
    rows = {
        line.split(",")[0].strip("| "): [cell.strip() for cell in line.strip("|").split("|")]
        for line in output.splitlines()
        if line.startswith("| ") and ", clean-trained" in line
    }
    assert rows["joint"][3] == "-"  # the base itself
    rate, gain, interval = rows["co_attention"][2:5]
    assert float(gain) == pytest.approx(float(rows["joint"][2]) - float(rate), abs=0.11)
    low, high = map(float, interval.strip("[]").split(","))
    assert low <= float(gain) <= high
    assert (
        "systems with another training budget" in output
    )  # one epoch, not three: found by the audit


def test_paper_recipe_runs_all_stages_on_read_only_corpora(short_run: ShortRun) -> None:
    """egs/iemocap unchanged, both training conditions, all systems; the corpora are not written to
    (not even by root, whom permissions do not stop)."""
    project, home = short_run.project, short_run.project.home / short_recipe.NAME
    for path in (home / "data/corpora").rglob("*"):
        path.chmod(path.stat().st_mode & ~0o222)
    before = sorted((p, p.stat().st_mtime_ns) for p in (home / "data/corpora").rglob("*"))
    project.run(
        "egs/iemocap/run.sh",
        *("--iemocap", str(home / "data/corpora/iemocap")),
        *("--musan", str(home / "data/corpora/musan"), "--allow-partial", "true"),
        *("--encoder", str(home / "exp/pretrained/encoder")),
        *("--bert", str(home / "exp/pretrained/bert"), "--folds", "Ses03F"),
        *("--set", "train.epochs=1 batch.max_duration=40 batch.workers=0"),
    )
    text = (project.home / "egs/iemocap/exp/RESULTS.md").read_text()
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| clean ")]
    assert [cell.strip() for cell in rows[0][5:8]] == ["16.8", "15.0", "10.7"], "the paper's"
    assert "checks, none failed" in text
    cells = project.cells("egs/iemocap")
    assert len(cells) == 6 * 7
    assert cells["joint", "noisy", "clean", "default"]["acc"]["n"] > 8
    report = (project.home / "egs/iemocap/data/local/corpus/report.txt").read_text()
    assert "104 of these have words" in report
    assert sorted((p, p.stat().st_mtime_ns) for p in (home / "data/corpora").rglob("*")) == before


def test_corpus_from_a_csv_file_gives_the_same_model(short_run: ShortRun) -> None:
    """The same sets, folds and weights, so the same posteriors."""
    project, home = short_run.project, short_run.project.home / short_recipe.NAME
    (block,) = project.bash_blocks("egs/own/README.md")
    project.run("bash", "-c", block.replace("egs/mini", short_recipe.NAME))
    conf = yaml.safe_load((home / "conf/base.yaml").read_text())
    options = ("--conf", "conf/joint.yaml", "--folds", FOLD)
    recipe = run_own(project, short_recipe.NAME, "csv", conf, home / "data/own.csv", *options)
    for name in ("clean", "train_noisy", "music_snr5"):
        digests = [folder / "data" / name / "digests.tsv" for folder in (recipe, home)]
        assert digests[0].read_text() == digests[1].read_text(), name
    for test in ("clean", "speech_snr5"):
        path = f"exp/joint_clean/fold_{FOLD}/decode_{test}/emo_post"
        assert (recipe / path).read_text() == (home / path).read_text(), test


def test_another_language_with_other_emotions(short_run: ShortRun, tmp_path: Path) -> None:
    """Calls in German, folds of pairs of speakers; the packed model recognizes the calls."""
    run_german(short_run.project, short_recipe.NAME, calls=3, epochs=1, folder=tmp_path / "de")
