"""Merging, overrides and errors of configuration files."""

from pathlib import Path

import pytest
import shipped_confs

from jointasr.config import conf_files
from jointasr.utils.errors import DataError


def recipe_with(tmp_path: Path, **files: str) -> Path:
    (tmp_path / "conf").mkdir()
    for name, text in files.items():
        (tmp_path / "conf" / f"{name}.yaml").write_text(text)
    return tmp_path


def test_recipe_refines_every_layer(tmp_path: Path) -> None:
    recipe = recipe_with(tmp_path, base="train: {epochs: 3}\nalpha: 0.7", mine="base: joint.yaml")
    conf = conf_files.load("conf/mine.yaml", recipe)
    assert conf.train.epochs == 3
    assert conf.alpha == 0.1, "conf/joint.yaml comes after the recipe's conf/base.yaml"
    assert conf_files.load("mine.yaml", recipe, ["alpha=0.5", "batch.workers=7"]).batch.workers == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: joint.yaml\nalhpa: 0.2", r"mine.yaml: unknown key alhpa; the nearest is alpha"),
        ("base: joint.yaml\ntrain: {epoch: 1}", r"unknown key train.epoch; the nearest is train."),
        ("base: joint.yaml\nalpha: 1.5", r"mine.yaml: key alpha: .*less than or equal to 1"),
        ("base: joint.yaml\nbatch: {max_duration: -1}", r"mine.yaml: key batch.max_duration: .*0"),
        ("base: joint.yaml\nbatch: {max_duration: all}", r"mine.yaml: key batch.max_duration: "),
        ("base: joint.yaml\nctc: k3", r"key ctc: .*'k2' or 'torch'"),
        ("base: joint.yaml\ndata: {snr: [35, 5]}", r"key data.snr: the first must not be greater"),
        ("base: joint.yaml\naugment: {speeds: []}", r"key augment.speeds: .*at least 1"),
        ("base: mine.yaml", r"refers to itself"),
        ("base: nowhere.yaml", r"nowhere.yaml not found"),
        ("- a list", r"expected `key: value`"),
        ("a: [", r"not valid YAML"),
    ],
)
def test_errors_name_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    recipe = recipe_with(tmp_path, mine=text)
    with pytest.raises(DataError, match=message):
        conf_files.load("mine.yaml", recipe)


def test_data_section_decides_the_data_folder(tmp_path: Path) -> None:
    recipe = recipe_with(tmp_path, babble="base: joint.yaml\ndata: {babble_talkers: [3, 7]}")
    plain, babble = conf_files.load("joint.yaml", recipe), conf_files.load("babble.yaml", recipe)
    assert conf_files.data_name(plain, "joint.yaml", recipe) == "data"
    assert conf_files.data_name(babble, "conf/babble.yaml", recipe) == "data-babble"


def test_dump_loads_to_the_same(tmp_path: Path) -> None:
    conf = conf_files.load("paper/paper_joint.yaml", tmp_path)
    (tmp_path / "dumped.yaml").write_text(conf_files.dump(conf))
    assert conf_files.load(str(tmp_path / "dumped.yaml"), tmp_path) == conf


def test_paper_values() -> None:
    conf = conf_files.load("paper/paper_joint.yaml")
    assert (conf.optim.head.name, conf.optim.head.lr, conf.optim.head.newbob_factor) == (
        "adadelta", 0.9, 0.8,
    )  # fmt: skip
    assert (conf.optim.encoder.lr, conf.optim.bert.lr, conf.optim.clip) == (1e-4, 1e-5, 5.0)
    assert (conf.alpha, conf.batch.max_utterances, conf.train.epochs) == (0.1, 6, 30)
    assert (conf.train.precision, conf.batch.max_duration > 6 * 34.14 * 1.06) == ("fp32", True)
    ser = conf_files.load("paper/paper_ser.yaml")
    assert (ser.optim.encoder.lr, ser.optim.head.lr, ser.batch.max_utterances) == (1e-5, 1e-4, 4)
    assert (ser.augment.speeds, ser.augment.max_bands, ser.augment.max_chunks) == ([100], 0, 0)


@pytest.mark.parametrize("recipe", shipped_confs.RECIPES, ids=lambda path: path.name)
def test_every_shipped_conf_is_valid(recipe: Path) -> None:
    for name in shipped_confs.names(recipe):
        if Path(name).name == "decode.yaml":
            conf_files.load_decode(name, recipe)
        elif shipped_confs.is_system(name, recipe):
            conf_files.load(name, recipe)


def test_report_options_are_refined_by_a_recipe_and_checked(tmp_path: Path) -> None:
    recipe = recipe_with(tmp_path, report="margin_wer: 0.5")
    conf = conf_files.load_report("report.yaml", recipe)
    assert (conf.margin_wer, conf.margin_acc, conf.level) == (0.5, 1.0, 0.05)
    (recipe / "conf/report.yaml").write_text("margin: 0.5")
    with pytest.raises(DataError, match=r"report.yaml: unknown key margin; the nearest is margin_"):
        conf_files.load_report("report.yaml", recipe)
