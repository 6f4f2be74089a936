"""The audit finds nothing in a sound experiment, and names each leak that is planted in one."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kaldiio
import numpy as np
import pytest
from data_fixtures import TESTS, bin_run, make_iemocap, make_musan, prepare

from jointasr.data import archive, datadir
from jointasr.report import audit, audit_noise
from jointasr.report.findings import Finding
from jointasr.scoring import pooling
from jointasr.utils import files, jsonl

SYSTEMS = {"asr": "asr", "ser": "ser", "joint": "joint"}
FOLD = "Ses02F"
HOME = Path("data/folds/speaker") / FOLD
SCENARIOS = ["clean", "noise_snr5", "speech_snr15"]
LABELS = ["ang", "hap", "neu", "sad"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe prepared by the programs themselves, its models and hypotheses made up."""
    recipe = tmp_path_factory.mktemp("sound")
    make_iemocap(recipe, dialogues=4)
    make_musan(recipe)
    prepare(recipe, jobs=1)
    done = bin_run(recipe, "make_fold_dirs", "data", "--tests", TESTS)
    assert done.returncode == 0, done.stderr
    for fold in ("Ses01M", FOLD):
        for system, kind in SYSTEMS.items():
            for train in ("clean", "noisy"):
                make_model(recipe, system, kind, train, fold)
    return recipe


def make_model(recipe: Path, system: str, kind: str, train: str, fold: str) -> None:
    data = f"data/folds/speaker/{fold}"
    home = recipe / f"exp/{system}_{train}/fold_{fold}"
    model = {
        **{"system": system, "kind": kind, "conf": f"conf/{system}.yaml", "seed": 0},
        **{"train": train, "fold": fold, "engine": "k2", "stack": "k2-pypi", "commit": "abc"},
        **{"lang": f"{data}/lang_char", "data": data},
        "budget": dict(epochs=3, steps=30, utterances=20, dev_utterances=4, useful=15),
        "selected": {"on": f"{data}/dev_{train}", "epoch": 2, "error": 9.0},
    }
    files.write_json(home / "model.json", model)
    for test in SCENARIOS:
        decode = home / f"decode_{test}"
        ids = datadir.read_list(recipe / data / "test.list")
        if kind != "ser":
            datadir.write_table(decode / "text", dict.fromkeys(ids, "TURN A"))
        if kind != "asr":
            datadir.write_table(decode / "utt2emo", dict.fromkeys(ids, "neu"))
            datadir.write_table(decode / "emo_post", dict.fromkeys(ids, "0.1 0.1 0.7 0.1"))
        (decode / ".done").write_text("{}\n")


@pytest.fixture
def recipe(sound: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy = tmp_path / "recipe"
    shutil.copytree(sound, copy)
    monkeypatch.chdir(copy)
    return copy


def findings() -> list[Finding]:
    systems = [Path(f"exp/{name}_{train}") for name in SYSTEMS for train in ("clean", "noisy")]
    parts, missing = pooling.find(systems, [], SCENARIOS, "default")
    assert not missing
    return audit.audit(parts)


def wrong(found: list[Finding]) -> dict[str, list[str]]:
    """{check: what is said} of the findings that failed."""
    bad: dict[str, list[str]] = {}
    for one in found:
        if one.ok is False:
            bad.setdefault(one.check, []).append(f"{one.where}: {one.value}")
    return bad


def test_nothing_is_found_in_a_sound_experiment(recipe: Path) -> None:
    found = findings()
    assert wrong(found) == {}
    said = {(one.check, one.where): one.value for one in found}
    assert said["speakers in training and test", "all 2 folds"] == "none"
    assert said["noise files in two pools", "all 3 pairs of pools"] == "none"
    assert said["utterances left out", "data/local/corpus"] == (
        "32 of 34 used; left out: label fru 1, no words 1"
    )
    shared = said["dialogues in training and test", "all 2 folds"]
    assert shared.endswith("of 8: the speakers of a session share its dialogues")
    # each turn's text is one of two, and all are spoken in training as well
    assert said["sentences of test, word for word in training", "all 2 folds"] == (
        "16 of 16 (improvised 16 of 16)"
    )
    assert said["epoch of the checkpoint, least error on dev", "joint_noisy"] == "2"
    assert said["budget of training", "all 4 folds and conditions"] == "3 epochs, 30 steps"
    assert said["utterances of training that teach it", "joint"].startswith("75%: the others lack")
    measured = [one for one in found if one.check == "SNR, measured again"]
    assert [one.where for one in measured] == [
        f"data/{name}" for name in ("train_noisy", "dev_noisy", "noise_snr5", "speech_snr15")
    ]
    assert measured[2].value.startswith("asked for 5 dB; 32 of 32 utterances, largest deviation")


def decode_with_language_models(recipe: Path) -> Path:
    """As stage 4 and stage 8 leave it; the folder of one model's weights."""
    done = bin_run(recipe, "prepare_lm", "data")
    assert done.returncode == 0, done.stderr
    for home in recipe.glob("exp/asr_*/fold_*"):
        fold, train = home.name[5:], home.parent.name[4:]
        data = f"data/folds/speaker/{fold}"
        inputs = [str(home.relative_to(recipe)), f"{data}/lm_3gram", f"{data}/dev_{train}"]
        files.write_json(home / "tune_hlg/.done", {"inputs": dict.fromkeys(inputs, "digest")})
    return recipe / f"exp/asr_noisy/fold_{FOLD}/tune_hlg"


def test_language_models_are_of_training_text_and_weighed_on_dev(recipe: Path) -> None:
    tuned = decode_with_language_models(recipe)
    found = findings()
    assert wrong(found) == {}
    said = {(one.check, one.where): one.value for one in found}
    text, weights = (
        "language models not of their fold's training text",
        "weights of language models not chosen on dev alone",
    )
    assert said[text, "all 2 models"] == said[weights, "all 4 choices"] == "none"

    other = recipe / HOME.parent / "Ses01M/lm_3gram/lm.arpa"
    lines = other.read_text().replace("TURN", "TURNS")
    (recipe / HOME / "lm_3gram/lm.arpa").write_text(lines)
    inputs = json.loads((tuned / ".done").read_text())["inputs"]
    inputs[f"{HOME}/test_clean"] = "digest"
    files.write_json(tuned / ".done", {"inputs": inputs})
    assert wrong(findings()) == {
        text: [f"{HOME}/lm_3gram: not what its fold's training text gives"],
        weights: [f"exp/asr_noisy/fold_{FOLD}/tune_hlg: {HOME}/test_clean"],
    }


def add_to_training(recipe: Path) -> str:
    """An utterance of the test speaker goes into the training set."""
    cuts = {cut["id"]: cut for cut in jsonl.read(recipe / HOME / "test_clean/cuts.jsonl.gz")}
    utterance = sorted(cuts)[1]
    path = recipe / HOME / "train_clean/cuts.jsonl.gz"
    jsonl.write(path, [*jsonl.read(path), cuts[utterance]])
    return utterance


def use_a_test_file(recipe: Path) -> str:
    """A noise file of the test pool is mixed into the training set."""
    path = recipe / "data/local/mix/train_noisy/mixtures.jsonl.gz"
    records = list(jsonl.read(path))
    records[3]["noise"] = ["music-test-1"]
    jsonl.write(path, records)
    other = recipe / "data/local/mix/noise_snr5/mixtures.jsonl.gz"
    tested = list(jsonl.read(other))
    tested[0]["noise"] = ["music-test-1"]
    jsonl.write(other, tested)
    return "music-test-1"


def louden_noise(recipe: Path) -> str:
    """One mixture in the archive has its noise 3 dB too loud; the records say nothing of it."""
    scp = datadir.read_table(recipe / "data/noise_snr5/wav.scp")
    clean = datadir.read_table(recipe / "data/clean/wav.scp")
    utterance = sorted(scp)[5]
    waves = {}
    for name, source in scp.items():
        waves[name] = np.array(archive.read_wav(str(recipe / source)))
        if name == utterance:
            speech = archive.read_wav(str(recipe / clean[name])).astype(float)
            louder = speech + (waves[name] - speech) * 10 ** (3 / 20)
            waves[name] = np.clip(np.rint(louder), -32768, 32767).astype(np.int16)
    with kaldiio.WriteHelper(f"ark:{recipe}/data/noise_snr5/archives/wav.1.ark") as ark:
        for name in waves:
            ark(name, (16000, waves[name]))
    return f"{utterance} -3.0"


def lose_a_hypothesis(recipe: Path) -> str:
    path = recipe / f"exp/joint_noisy/fold_{FOLD}/decode_noise_snr5/text"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    return lines[-1].split()[0]


def swap_references(recipe: Path) -> str:
    path = recipe / HOME / "test_speech_snr15/text"
    table = datadir.read_table(path)
    first, second = next(
        (a, b) for a in sorted(table) for b in sorted(table) if a < b and table[a] != table[b]
    )
    datadir.write_table(path, {**table, first: table[second], second: table[first]})
    return first


def make_dev_the_test(recipe: Path) -> str:
    """The dev set is the test set."""
    for name in ("dev_clean", "dev_noisy"):
        shutil.copy(recipe / HOME / "test_clean/cuts.jsonl.gz", recipe / HOME / name)
    return datadir.read_list(recipe / HOME / "test.list")[0]


def share_a_dialogue(recipe: Path) -> str:
    path = recipe / HOME / "dev_clean/cuts.jsonl.gz"
    cuts = list(jsonl.read(path))
    train = next(iter(jsonl.read(recipe / HOME / "train_clean/cuts.jsonl.gz")))
    dialogue = str(train["supervisions"][0]["custom"]["dialogue"])
    cuts[0]["supervisions"][0]["custom"]["dialogue"] = dialogue
    jsonl.write(path, cuts)
    return dialogue


def change_model(recipe: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = recipe / f"exp/joint_noisy/fold_{FOLD}/model.json"
    model = json.loads(path.read_text())
    change(model)
    path.write_text(json.dumps(model))


def train_longer(recipe: Path) -> str:
    change_model(recipe, lambda model: model["budget"].update(epochs=4))
    return "joint epochs 4"


def choose_on_test(recipe: Path) -> str:
    on = str(HOME / "test_clean")
    change_model(recipe, lambda model: model["selected"].update(on=on))
    return on


def lose_an_archive(recipe: Path) -> str:
    (recipe / "data/clean/wav.scp").unlink()
    return "data/clean/wav.scp does not exist"


def play_clean(recipe: Path) -> str:
    """A noisy test dir plays the clean archive."""
    shutil.copy(recipe / HOME / "test_clean/cuts.jsonl.gz", recipe / HOME / "test_noise_snr5")
    return str(HOME / "test_noise_snr5")


PLANTED = {
    play_clean: {"audio that is not of its set's archive"},
    add_to_training: {"utterances in training and test", "speakers in training and test"},
    use_a_test_file: {"noise files in two pools"},
    louden_noise: {"SNR, measured again"},
    lose_a_hypothesis: {"hypotheses missing or too many"},
    swap_references: {"references that are not the corpus'"},
    make_dev_the_test: {"utterances in dev and test", "speakers in dev and test"},
    share_a_dialogue: {"dialogues in training and dev"},
    train_longer: {"systems with another budget"},
    choose_on_test: {"checkpoints chosen on anything but their dev set"},
    lose_an_archive: {"noise"},
}
MAY = {  # follows from the planted leak as well
    add_to_training: {"dialogues in training and dev"},
    make_dev_the_test: {
        "dialogues in training and dev",
        "audio that is not of its set's archive",
    },
    lose_an_archive: {"audio"},
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_leak_is_named_and_nothing_else(
    recipe: Path, plant: Callable[[Path], str]
) -> None:
    culprit = plant(recipe)
    bad = wrong(findings())
    assert PLANTED[plant] <= bad.keys() <= PLANTED[plant] | MAY.get(plant, set())
    assert any(culprit in said for check in PLANTED[plant] for said in bad[check]), bad


def test_faint_noise_is_allowed_its_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise of a few steps measures too loud by what rounding adds, and that is no finding."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    speech = np.rint(generator.normal(0, 30, 20000)).astype(np.int16)
    power = np.mean(speech.astype(float) ** 2)
    for shift, ok in ((0.0, True), (3.0, False)):
        noise = generator.normal(0, 1, 20000)
        noise *= np.sqrt(power / 10 ** ((30 - shift) / 10) / np.mean(noise**2))
        waves = {"clean": speech, "train_noisy": np.rint(speech + noise).astype(np.int16)}
        for name, wave in waves.items():
            folder = Path("data") / name
            folder.mkdir(parents=True, exist_ok=True)
            archive.write_wav([("u", wave)], folder / "w.ark", folder / "wav.scp")
        record = {"id": "u", "noise": ["n"], "scale": 1.0, "snr_requested": 30.0}
        jsonl.write(Path("data/local/mix/train_noisy") / audit_noise.FILE, [record])
        found = audit_noise.measure(Path("data"), "train_noisy")
        assert found.ok is ok, found
        for name in waves:
            shutil.rmtree(Path("data") / name)
