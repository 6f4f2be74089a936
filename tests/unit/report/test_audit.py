"""The audit passes for a correct experiment and reports each error that is introduced into it."""

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
from jointasr.prep import mixture_plans
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
    """A recipe prepared by the programs, with made-up models and hypotheses."""
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
    model_dir = recipe / f"exp/{system}_{train}/fold_{fold}"
    model = {
        **{"system": system, "kind": kind, "conf": f"conf/{system}.yaml", "seed": 0},
        **{"train": train, "fold": fold, "engine": "k2", "stack": "k2-pypi", "commit": "abc"},
        **{"lang": f"{data}/lang_char", "data": data},
        "budget": dict(epochs=3, steps=30, utterances=20, dev_utterances=4, useful=15),
        "selected": {"on": f"{data}/dev_{train}", "epoch": 2, "error": 9.0},
    }
    files.write_json(model_dir / "model.json", model)
    for test in SCENARIOS:
        decode = model_dir / f"decode_{test}"
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


def run_audit() -> list[Finding]:
    systems = [Path(f"exp/{name}_{train}") for name in SYSTEMS for train in ("clean", "noisy")]
    decoded, missing = pooling.find_decoded_folds(systems, [], SCENARIOS, "default")
    assert not missing
    return audit.audit(decoded)


def failed(findings: list[Finding]) -> dict[str, list[str]]:
    """Return {check: locations and values} of the failed findings."""
    by_check: dict[str, list[str]] = {}
    for finding in findings:
        if finding.passed is False:
            text = f"{finding.where}: {finding.value}"
            by_check.setdefault(finding.check, []).append(text)
    return by_check


def test_a_correct_experiment_passes(recipe: Path) -> None:
    findings = run_audit()
    assert failed(findings) == {}
    values = {(finding.check, finding.where): finding.value for finding in findings}
    assert values["speakers in training and test", "all 2 folds"] == "none"
    assert values["noise files in two pools", "all 3 pairs of pools"] == "none"
    assert values["excluded utterances", "data/local/corpus"] == (
        "32 of 34 used; excluded: label fru 1, no words 1"
    )
    shared = values["dialogues in training and test", "all 2 folds"]
    assert shared.endswith("of 8: the speakers of a session share its dialogues")
    # there are only two different transcripts, both occur in training
    assert values["test sentences that occur in training", "all 2 folds"] == (
        "16 of 16 (improvised 16 of 16)"
    )
    assert values["epoch with the lowest dev error", "joint_noisy"] == "2"
    assert values["training budget", "all 4 folds and conditions"] == "3 epochs, 30 steps"
    assert values["training utterances with a target", "joint"].startswith("75%: the others lack")
    measured = [finding for finding in findings if finding.check == "measured SNR"]
    assert [finding.where for finding in measured] == [
        f"data/{name}" for name in ("train_noisy", "dev_noisy", "noise_snr5", "speech_snr15")
    ]
    assert measured[2].value.startswith(
        "requested 5 dB; 32 of 32 utterances measured, largest deviation"
    )


def decode_with_language_models(recipe: Path) -> Path:
    """Prepare n-gram models and record their use; return the folder of one model's weights."""
    done = bin_run(recipe, "prepare_lm", "data")
    assert done.returncode == 0, done.stderr
    for model_dir in recipe.glob("exp/asr_*/fold_*"):
        fold, train = model_dir.name[5:], model_dir.parent.name[4:]
        data = f"data/folds/speaker/{fold}"
        inputs = [str(model_dir.relative_to(recipe)), f"{data}/lm_3gram", f"{data}/dev_{train}"]
        files.write_json(model_dir / "tune_hlg/.done", {"inputs": dict.fromkeys(inputs, "digest")})
    return recipe / f"exp/asr_noisy/fold_{FOLD}/tune_hlg"


def test_language_models_not_from_training_text_or_not_tuned_on_dev(recipe: Path) -> None:
    tuned = decode_with_language_models(recipe)
    findings = run_audit()
    assert failed(findings) == {}
    values = {(finding.check, finding.where): finding.value for finding in findings}
    text, weights = (
        "language models that differ from their fold's training text",
        "language model weights not tuned on dev only",
    )
    assert values[text, "all 2 models"] == values[weights, "all 4 weights"] == "none"

    other = recipe / HOME.parent / "Ses01M/lm_3gram/lm.arpa"
    lines = other.read_text().replace("TURN", "TURNS")
    (recipe / HOME / "lm_3gram/lm.arpa").write_text(lines)
    inputs = json.loads((tuned / ".done").read_text())["inputs"]
    inputs[f"{HOME}/test_clean"] = "digest"
    files.write_json(tuned / ".done", {"inputs": inputs})
    assert failed(run_audit()) == {
        text: [f"{HOME}/lm_3gram: not the model of its fold's training text"],
        weights: [f"exp/asr_noisy/fold_{FOLD}/tune_hlg: {HOME}/test_clean"],
    }


def add_to_training(recipe: Path) -> str:
    """Add an utterance of the test speaker to the training set."""
    cuts = {cut["id"]: cut for cut in jsonl.read(recipe / HOME / "test_clean/cuts.jsonl.gz")}
    utterance = sorted(cuts)[1]
    path = recipe / HOME / "train_clean/cuts.jsonl.gz"
    jsonl.write(path, [*jsonl.read(path), cuts[utterance]])
    return utterance


def use_a_test_file(recipe: Path) -> str:
    """Record a noise file of the test pool in the training set."""
    path = recipe / "data/local/mix/train_noisy/mixtures.jsonl.gz"
    records = list(jsonl.read(path))
    records[3]["noise"] = ["music-test-1"]
    jsonl.write(path, records)
    other = recipe / "data/local/mix/noise_snr5/mixtures.jsonl.gz"
    tested = list(jsonl.read(other))
    tested[0]["noise"] = ["music-test-1"]
    jsonl.write(other, tested)
    return "music-test-1"


def amplify_noise(recipe: Path) -> str:
    """Amplify the noise of one archived mixture by 3 dB without recording it."""
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


def remove_a_hypothesis(recipe: Path) -> str:
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


def use_test_as_dev(recipe: Path) -> str:
    """Use the test set as dev set."""
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


def select_on_test(recipe: Path) -> str:
    on = str(HOME / "test_clean")
    change_model(recipe, lambda model: model["selected"].update(on=on))
    return on


def remove_an_archive(recipe: Path) -> str:
    (recipe / "data/clean/wav.scp").unlink()
    return "data/clean/wav.scp does not exist"


def use_clean_audio(recipe: Path) -> str:
    """Use the clean archive in a noisy test dir."""
    shutil.copy(recipe / HOME / "test_clean/cuts.jsonl.gz", recipe / HOME / "test_noise_snr5")
    return str(HOME / "test_noise_snr5")


def remove_an_utterance(recipe: Path) -> str:
    path = recipe / "data/noise_snr5/wav.scp"
    table = datadir.read_table(path)
    utterance = min(table)
    datadir.write_table(path, {utt: source for utt, source in table.items() if utt != utterance})
    return f"could not be checked: KeyError: '{utterance}'"


def remove_the_inputs_of_selection(recipe: Path) -> str:
    files.write_json(recipe / "data/local/selected/.done", {"options": {}})
    return "could not be checked: KeyError: 'inputs'"


def empty_a_plan(recipe: Path) -> str:
    jsonl.write(recipe / "data/local/mix/noise_snr5/mixtures.jsonl.gz", [])
    return "could not be checked: ValueError: slice step"


def remove_the_selection(recipe: Path) -> str:
    change_model(recipe, lambda model: model.update(selected=None))
    return "could not be checked: TypeError"


EXPECTED = {
    remove_an_utterance: {"noise"},
    remove_the_inputs_of_selection: {"excluded utterances"},
    empty_a_plan: {"noise"},
    remove_the_selection: {"checkpoint"},
    use_clean_audio: {"audio from another set's archive"},
    add_to_training: {"utterances in training and test", "speakers in training and test"},
    use_a_test_file: {"noise files in two pools"},
    amplify_noise: {"measured SNR"},
    remove_a_hypothesis: {"missing or extra hypotheses"},
    swap_references: {"references that differ from the corpus"},
    use_test_as_dev: {"utterances in dev and test", "speakers in dev and test"},
    share_a_dialogue: {"dialogues in training and dev"},
    train_longer: {"systems with another training budget"},
    select_on_test: {"checkpoints not selected on their dev set"},
    remove_an_archive: {"noise"},
}
CONSEQUENCES = {  # may be reported too
    add_to_training: {"dialogues in training and dev"},
    use_test_as_dev: {
        "dialogues in training and dev",
        "audio from another set's archive",
    },
    remove_an_archive: {"audio"},
}


@pytest.mark.parametrize("change", EXPECTED, ids=lambda change: change.__name__)
def test_an_introduced_error_is_reported_and_nothing_else(
    recipe: Path, change: Callable[[Path], str]
) -> None:
    expected = change(recipe)
    reported = failed(run_audit())
    assert EXPECTED[change] <= reported.keys() <= EXPECTED[change] | CONSEQUENCES.get(change, set())
    texts = [text for check in EXPECTED[change] for text in reported[check]]
    assert any(expected in text for text in texts), reported


def test_weak_noise_is_allowed_its_rounding_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounding to int16 increases the power of noise of a few steps; this is tolerated."""
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    speech = np.rint(generator.normal(0, 30, 20000)).astype(np.int16)
    power = np.mean(speech.astype(float) ** 2)
    for shift, passed in ((0.0, True), (3.0, False)):
        noise = generator.normal(0, 1, 20000)
        noise *= np.sqrt(power / 10 ** ((30 - shift) / 10) / np.mean(noise**2))
        waves = {"clean": speech, "train_noisy": np.rint(speech + noise).astype(np.int16)}
        for name, wave in waves.items():
            folder = Path("data") / name
            folder.mkdir(parents=True, exist_ok=True)
            archive.write_wav([("u", wave)], folder / "w.ark", folder / "wav.scp")
        record = {"id": "u", "noise": ["n"], "scale": 1.0, "snr_requested": 30.0}
        jsonl.write(Path("data/local/mix/train_noisy") / mixture_plans.FILE, [record])
        result = audit_noise.check_snr(Path("data"), "train_noisy")
        assert result.passed is passed, result
        for name in waves:
            shutil.rmtree(Path("data") / name)
