"""The mini recipe cut short: every stage, real programs, about a minute on two cores."""

import shutil
from pathlib import Path

import yaml
from recipe import Copy

NAME = "egs/short"
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


def make(home: Path) -> Copy:
    """A copy of the project in ``home`` with the recipe in ``egs/short``."""
    copy = Copy(home)
    folder = home / NAME
    shutil.copytree(home / "egs/mini/conf", folder / "conf")
    (folder / "recipe.sh").write_text(RECIPE)
    for name, epochs in (("base", 3), ("pretrain", 2)):
        path = folder / "conf" / f"{name}.yaml"
        values = yaml.safe_load(path.read_text())
        values.setdefault("train", {})["epochs"] = epochs
        values["train"]["save_minutes"] = 0
        path.write_text(yaml.safe_dump(values))
    return copy
