"""The mini recipe at 6 % of its size: every stage, all programs, two models, about a minute."""

import hashlib
import shutil
import time
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from recipe import Copy

from jointasr.scoring.decode_dir import USAGE

NAME = "egs/short"
FOLD = "Ses01F"
RECIPE = """# shellcheck shell=bash
export iemocap=data/corpora/iemocap musan=data/corpora/musan
export corpora="iemocap musan" encoder="" bert="" folds=Ses01F conditions=clean
export allow_partial=true self_test=false
export conf=conf/asr.yaml,conf/joint.yaml
doctor() { "$ROOT"/utils/doctor.sh "$@"; }
make_corpora() { "$ROOT"/local/make_mini.py --scale 0.06 data/corpora; }
prepare_corpus() {
  "$ROOT"/local/prepare_iemocap.py --counts conf/counts.tsv "$@" "$iemocap" data/local/corpus
}
make_pretrained() { "$ROOT"/local/make_mini_pretrained.sh --ctc "${ctc:-}" data/corpora/pretrain; }
"""


class ShortRun(NamedTuple):
    """A finished run: its project, its duration in seconds, and ``digests`` at its end."""

    project: Copy
    seconds: float
    digests: dict[str, str]


@pytest.fixture(scope="session")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> ShortRun:
    """The short recipe, run stage by stage. Tests may add systems, folds and recipes, but
    not change what is there: their order must not matter."""
    pytest.importorskip("k2")
    project = make(tmp_path_factory.mktemp("short"))
    began = time.monotonic()
    for stage in range(11):
        options = ("--recipe", NAME, "--stage", str(stage), "--stop-stage", str(stage))
        output = project.run("./run.sh", *options)
        assert output.rstrip().endswith("finished")
    return ShortRun(project, time.monotonic() - began, digests(project))


def make(home: Path) -> Copy:
    """Return a copy of the project in ``home`` with the recipe in ``egs/short``."""
    project = Copy(home)
    folder = home / NAME
    shutil.copytree(home / "egs/mini/conf", folder / "conf")
    (folder / "recipe.sh").write_text(RECIPE)
    for name, epochs in (("base", 3), ("pretrain", 2)):
        path = folder / "conf" / f"{name}.yaml"
        values = yaml.safe_load(path.read_text())
        values.setdefault("train", {})["epochs"] = epochs
        values["train"]["save_minutes"] = 0
        path.write_text(yaml.safe_dump(values))
    return project


def digests(project: Copy) -> dict[str, str]:
    """Return the SHA-256 of results.json, of all weights, learning curves and decoded files."""
    exp = project.home / NAME / "exp"
    paths = [exp / "results.json", *exp.glob("*/fold_*/best/*.safetensors")]
    paths += [*exp.glob("*/fold_*/epochs.tsv"), *exp.glob("*/fold_*/decode_*/[a-z]*")]
    assert len(paths) > 60
    return {
        str(path.relative_to(exp)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.is_file() and path.name != USAGE
    }
