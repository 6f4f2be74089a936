"""Pooling over folds and results.json, with counts computed by hand."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import toy_exp

from jointasr.bin import pool
from jointasr.config import model_description
from jointasr.config.model_description import ModelDescription
from jointasr.scoring import pooling, results_json
from jointasr.utils.errors import DataError

RESULTS = Path("exp/results.json")
COMMAND = "./run.sh --set 'bert.model=\"/home/me/big model\" alpha=1/2' --conf /a/b.yaml,c/d.yaml"


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy_exp.make_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_pool(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> list[dict[str, Any]]:
    fixed = ["--tests", "conf/tests.tsv", "--results", str(RESULTS), "--command", COMMAND]
    monkeypatch.setattr(sys, "argv", ["pool", *fixed, *map(str, arguments)])
    pool.main()
    cells: list[dict[str, Any]] = json.loads(RESULTS.read_text())
    return cells


def test_counts_are_summed_over_folds(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    joint = toy_exp.make_system(recipe, "joint", "joint")
    cells = run_pool(monkeypatch, joint)
    assert [cell["test"] for cell in cells] == ["clean", "noise_snr5"]
    parts = {
        "Ses01F": {
            "wer": {"value": 80.0, "sub": 0, "del": 3, "ins": 1, "ref_words": 5},
            "acc": cells[0]["by_fold"]["Ses01F"]["acc"],
        },
        "Ses02M": {
            "wer": {"value": pytest.approx(100 / 3), "sub": 1, "del": 0, "ins": 0, "ref_words": 3},
            "acc": cells[0]["by_fold"]["Ses02M"]["acc"],
        },
    }
    assert [parts[fold]["acc"]["wa"] for fold in parts] == [pytest.approx(200 / 3), 50.0]
    assert cells[0] == {
        "system": "joint",
        "kind": "joint",
        "conf": "conf/joint.yaml",
        "seed": 0,
        "method": "default",
        "train": "clean",
        "test": "clean",
        "folds": ["Ses01F", "Ses02M"],
        "engine": "k2",
        "stack": "k2-pypi",
        "commit": "abc",
        "command": "./run.sh --set 'bert.model=\"big model\" alpha=1/2' --conf b.yaml,c/d.yaml",
        "wer": {"value": 62.5, "sub": 1, "del": 3, "ins": 1, "ref_words": 8},
        "acc": {
            **{"wa": 60.0, "ua": 62.5, "macro_f1": pytest.approx(100 * 7 / 12)},
            **{"ece": pytest.approx(10.0), "n": 5},
        },
        "confusion": {
            "labels": ["ang", "hap", "neu", "sad"],
            "counts": [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
        },
        "by_fold": parts,
        "by_speaker": parts,
        "by_emotion": cells[0]["by_emotion"],
        "by_style": cells[0]["by_style"],
    }
    emotions, styles = cells[0]["by_emotion"], cells[0]["by_style"]
    recalls = {name: value["acc"]["wa"] for name, value in emotions.items()}
    assert recalls == {"ang": 50, "hap": 0, "neu": 100, "sad": 100}
    assert {name: value["wer"]["ref_words"] for name, value in emotions.items()} == {
        "ang": 4, "hap": 0, "neu": 2, "sad": 2,
    }  # fmt: skip
    assert emotions["hap"]["wer"]["value"] is None  # happy utterances have no reference words
    counts = {"sub": 1, "del": 1, "ins": 0, "ref_words": 5}
    assert styles["scripted"]["wer"] == {"value": 40.0, **counts}
    assert styles["improvised"]["acc"]["n"] == 3
    assert RESULTS.read_text().endswith("]\n")


def test_single_task_systems_have_one_metric(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asr = toy_exp.make_system(recipe, "asr", "asr")
    ser = toy_exp.make_system(recipe, "ser", "ser", "noisy")
    cells = run_pool(monkeypatch, ser, asr)
    assert [(c["system"], c["acc"] is None, c["wer"] is None) for c in cells] == [
        ("asr", True, False),
        ("asr", True, False),
        ("ser", False, True),
        ("ser", False, True),
    ]


def test_other_cells_are_preserved_and_the_order_is_stable(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joint = toy_exp.make_system(recipe, "joint", "joint")
    other = toy_exp.make_system(recipe, "alpha05", "joint")
    asr = toy_exp.make_system(recipe, "asr", "asr")
    toy_exp.make_system(recipe, "asr", "asr", method="greedy")
    run_pool(monkeypatch, other, "--folds", "Ses01F")
    run_pool(monkeypatch, joint)
    run_pool(monkeypatch, asr, "--method", "greedy")
    cells = run_pool(monkeypatch, asr)
    names = [(c["system"], c["method"]) for c in cells[::2]]
    assert names == [
        ("asr", "default"),
        ("asr", "greedy"),
        ("joint", "default"),
        ("alpha05", "default"),
    ]
    assert cells[-1]["folds"] == ["Ses01F"]
    text = RESULTS.read_text()
    run_pool(monkeypatch, joint)
    assert RESULTS.read_text() == text
    replaced = run_pool(monkeypatch, other)
    assert len(replaced) == len(cells)
    assert replaced[-1]["folds"] == ["Ses01F", "Ses02M"]


def test_missing_decode_folders_are_listed_with_the_command(
    recipe: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asr = toy_exp.make_system(recipe, "asr", "asr")
    ser = toy_exp.make_system(recipe, "ser", "ser", folds=["Ses01F"])
    (recipe / "exp/asr_clean/fold_Ses02M/decode_clean/.done").unlink()
    with pytest.raises(DataError) as caught:
        run_pool(monkeypatch, asr, ser)
    message = str(caught.value)
    assert message.startswith("3 of 8 decode folders are missing or unfinished")
    assert "exp/asr_clean/fold_Ses02M (1: decode_clean)" in message
    assert "exp/ser_clean/fold_Ses02M (2: decode_clean, decode_noise_snr5)" in message
    assert "./run.sh --stage 7 --stop-stage 8 --folds 'Ses02M'" in message
    cells = run_pool(monkeypatch, asr, ser, "--allow-missing")
    assert "warning: 3 of 8" in capsys.readouterr().err
    assert [cell["folds"] for cell in cells] == [
        ["Ses01F"],
        ["Ses01F", "Ses02M"],
        ["Ses01F"],
        ["Ses01F"],
    ]


def test_a_model_description_is_read_once(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asr = toy_exp.make_system(recipe, "asr", "asr")
    read: list[str] = []

    def read_model(model_dir: Path) -> ModelDescription:
        read.append(model_dir.name)
        return model_description.read_model(model_dir)

    monkeypatch.setattr(pooling, "read_model", read_model)
    decoded, missing = pooling.find_decoded_folds([asr], [], toy_exp.TESTS, "default")
    assert read == ["fold_Ses01F", "fold_Ses02M"]
    assert not missing and [(fold.model.fold, fold.test) for fold in decoded] == [
        (fold, test) for fold in toy_exp.FOLDS for test in toy_exp.TESTS
    ]


def test_a_requested_cell_without_decode_folders_is_removed(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asr = toy_exp.make_system(recipe, "asr", "asr")
    assert len(run_pool(monkeypatch, asr)) == 2
    for fold in toy_exp.FOLDS:
        (recipe / asr / f"fold_{fold}" / "decode_clean" / ".done").unlink()
    assert [c["test"] for c in run_pool(monkeypatch, asr, "--allow-missing")] == ["noise_snr5"]


def test_models_that_do_not_belong_together_are_refused(recipe: Path) -> None:
    asr = toy_exp.make_system(recipe, "asr", "asr")
    path = recipe / asr / "fold_Ses02M" / "model.json"
    model = json.loads(path.read_text())
    path.write_text(json.dumps({**model, "conf": "conf/other.yaml"}))
    decoded, missing = pooling.find_decoded_folds([asr], [], ["clean"], "default")
    assert not missing
    with pytest.raises(DataError, match="differ in conf"):
        pooling.pool(pooling.score_all(decoded), "./run.sh")
    path.write_text(json.dumps({**model, "fold": "Ses03F"}))
    with pytest.raises(DataError, match=r"describes asr_clean/fold_Ses03F, not this folder"):
        pooling.find_decoded_folds([asr], [], ["clean"], "default")
    path.write_text("{")
    with pytest.raises(DataError, match="not a model description"):
        pooling.find_decoded_folds([asr], [], ["clean"], "default")


def test_all_engines_are_recorded_and_absolute_paths_are_not(recipe: Path) -> None:
    asr = toy_exp.make_system(recipe, "asr", "asr")
    for fold, engine in zip(toy_exp.FOLDS, ("k2", "torch"), strict=True):
        path = recipe / asr / f"fold_{fold}" / "model.json"
        model = json.loads(path.read_text())
        path.write_text(json.dumps({**model, "engine": engine, "conf": "/home/me/asr.yaml"}))
    decoded, _ = pooling.find_decoded_folds([asr], [], ["clean"], "default")
    (cell,) = pooling.pool(pooling.score_all(decoded), "./run.sh")
    assert cell["engine"] == "k2+torch"
    assert cell["conf"] == "asr.yaml"


def test_an_utterance_in_two_folds_is_refused(recipe: Path) -> None:
    asr = toy_exp.make_system(recipe, "asr", "asr")
    path = recipe / asr / "fold_Ses02M" / "model.json"
    model = json.loads(path.read_text())
    path.write_text(json.dumps({**model, "data": "data/folds/speaker/Ses01F"}))
    decode = recipe / asr / "fold_Ses02M" / "decode_clean"
    (decode / "text").write_text((recipe / asr / "fold_Ses01F/decode_clean/text").read_text())
    decoded, _ = pooling.find_decoded_folds([asr], [], ["clean"], "default")
    with pytest.raises(DataError, match="Ses01F-a is in the test sets of both"):
        pooling.pool(pooling.score_all(decoded), "./run.sh")


def test_a_finished_folder_without_its_outputs_is_refused(recipe: Path) -> None:
    joint = toy_exp.make_system(recipe, "joint", "joint")
    (recipe / joint / "fold_Ses01F" / "decode_clean" / "utt2emo").unlink()
    decoded, _ = pooling.find_decoded_folds([joint], [], ["clean"], "default")
    with pytest.raises(DataError, match="decode_clean/utt2emo is missing"):
        pooling.score_all(decoded)


def test_unreadable_inputs_are_reported(recipe: Path) -> None:
    with pytest.raises(DataError, match="exp/asr_clean does not exist"):
        pooling.find_decoded_folds([Path("exp/asr_clean")], [], ["clean"], "default")
    RESULTS.parent.mkdir()
    RESULTS.write_text('[{"system": "asr"}]')
    with pytest.raises(DataError, match="not a list of cells"):
        results_json.read(RESULTS)
