"""Recipes made of egs/own, on the pretrained models and noises of another recipe."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import german
import yaml
from recipe import Copy

from jointasr.data import datadir

GERMAN_CONF = {
    "data": {"letters": german.LETTERS, "emotions": [*german.EMOTIONS], "scheme": "session"},
    "encoder": {"dropout": 0.0, "layerdrop": 0.0},
    "head": {"init": "fresh"},
    "emotion": {"dim": 64},
    "batch": {"max_duration": 10, "workers": 0},
    "optim": {"encoder": {"lr": 1e-3}, "head": {"lr": 2e-3}, "bert": {"lr": 1e-3}},
}


def run_own(
    project: Copy, source: str, name: str, conf: dict[str, Any], corpus: Path, *options: str
) -> Path:
    """Run a copy of egs/own on a corpus, trained on clean speech; return ``egs/<name>``.

    Args:
        project: the project to run in.
        source: the finished recipe whose noises and pretrained models are used.
        name: of the new recipe.
        conf: its conf/base.yaml.
        corpus: a CSV file.
        options: of run.sh.
    """
    home, recipe = project.home / source, project.home / f"egs/{name}"
    shutil.copytree(project.home / "egs/own", recipe, symlinks=True)
    (recipe / "conf/base.yaml").write_text(yaml.safe_dump(conf, allow_unicode=True))
    project.run(
        *("./run.sh", "--recipe", f"egs/{name}", "--corpus", str(corpus)),
        *("--musan", str(home / "data/corpora/musan"), "--conditions", "clean"),
        *("--encoder", str(home / "exp/pretrained/encoder")),
        *("--bert", str(home / "exp/pretrained/bert"), "--self-test", "false", *options),
    )
    return recipe


def run_german(project: Copy, source: str, calls: int, epochs: int, folder: Path) -> dict[str, Any]:
    """Run a recipe on calls in German, pack its model and recognize the calls with it.

    Checks letters, emotions, channels and partly labelled utterances. Return the cell of
    results.json, with ``known``: the share of recognized words that occur in the corpus.

    Args:
        calls: of each of three pairs of speakers, with six utterances each.
        epochs: of the joint system's training.
        folder: for the recordings.
    """
    program = str(project.home / "tests/support/german.py")
    path = str(project.home)
    project.run(sys.executable, program, str(folder), str(calls), PYTHONPATH=path)
    conf = {**GERMAN_CONF, "train": {"epochs": epochs}}
    options = ("--conf", "conf/joint.yaml", "--folds", "P1")
    recipe = run_own(project, source, "german", conf, folder / "calls.csv", *options)
    cell = project.cells("egs/german")["joint", "clean", "clean", "default"]
    # the test pair's emotions are known in eight ninths of its utterances
    assert cell["wer"]["ref_words"] > 15 * calls and 0 < cell["acc"]["n"] < 6 * calls
    train = "exp/joint_clean/fold_P1"
    texts = datadir.read_table(recipe / train / "decode_clean/text").values()
    letters = set("".join(texts))
    assert letters <= {*german.LETTERS, " "}
    project.run("bash", "-c", f"cd egs/german && ../../steps/pack.sh {train} exp/model")
    command = f"jointasr recognize --model egs/german/exp/model --channels each {folder}"
    output = project.run("bash", "-c", f". ./path.sh && {command} --format jsonl --max-turn 3")
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    assert len(lines) == 3 * calls * 2 and {line["channel"] for line in lines} == {0, 1}
    turns = [turn for line in lines for turn in line["turns"]]
    assert turns and all(set(turn["posteriors"]) == set(german.EMOTIONS) for turn in turns)
    spoken = datadir.read_table(recipe / "data/local/corpus/text").values()
    vocabulary = {word for text in spoken for word in text.split()}
    words = [word for turn in turns for word in turn["text"].split()]
    known = sum(word in vocabulary for word in words) / max(1, len(words))
    return {**cell, "letters": letters, "words": len(words), "known": known}
