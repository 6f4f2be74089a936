"""Users' mistakes at the command line give one clear error, early, without a traceback.

The project and the corpora are in folders whose names contain a blank and a quote; commands are run
from another folder.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lookalike
import numpy as np
import pytest
from recipe import Copy
from shell import run

from jointasr.text.lang import Units

IEMOCAP, MINI = "egs/iemocap/run.sh", "run.sh"
CHARACTERS = Units.char().symbols
DIALOGUE = "Ses01F_impro01"
TURN = f"{DIALOGUE}_F000"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``it's mine`` (the project), ``my corpora`` and ``models``."""
    root = tmp_path_factory.mktemp("user")
    project = Copy(root / "it's mine").home
    (project / "conf/ablation/asr.yaml").write_text("base: joint.yaml\n")
    (project / "conf/small.yaml").write_text("base: ser.yaml\ndata: {letters: abc}\n")
    (project / "conf/typo.yaml").write_text("base: joint.yaml\nemotion:\n  skips: false\n")
    lookalike.write_iemocap(root / "my corpora/iemocap", lookalike.tiny())
    lookalike.write_musan(root / "my corpora/musan")
    vocabulary = {"<pad>": 0, **{symbol: n for n, symbol in enumerate(CHARACTERS) if n}}
    for name in ("good", "no config", "no weights", "no Q", "damaged"):
        folder = root / "models" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{" if name == "damaged" else "{}")
        (folder / "model.safetensors").touch()
        known = {k: v for k, v in vocabulary.items() if (name, k) != ("no Q", "Q")}
        (folder / "vocab.json").write_text(json.dumps(known))
    (root / "models/no config/config.json").unlink()
    (root / "models/no weights/model.safetensors").unlink()
    return root


def refused(home: Path, script: str, *options: str) -> tuple[str, str]:
    """Run a command that must fail; return its standard output and standard error."""
    done = run(home / "it's mine" / script, *options, cwd=home)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stderr.startswith("error: "), done.stderr
    if "stage" in done.stdout:
        assert done.stdout.splitlines()[-1].startswith("FAILED at stage"), done.stdout
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    ("script", "options", "words"),
    [
        (MINI, ["--stage", "11"], "stage 11: stages are 0 to 10"),
        (MINI, ["--stage", "5", "--stop-stage", "3"], "--stage 5 is after --stop-stage 3"),
        (MINI, ["--recipe", "egs/nope"], "egs/nope: there is no recipe.sh"),
        (MINI, ["--stopstage", "3"], "did you mean --stop-stage?"),
        (MINI, ["--conf", "conf/none.yaml"], "conf file conf/none.yaml not found"),
        (MINI, ["--conf", ""], "--conf is empty"),
        (MINI, ["--conf", "conf/asr.yaml,conf/asr.yaml"], "conf/asr.yaml is named twice"),
        (MINI, ["--conf", "conf/asr.yaml,conf/ablation/asr.yaml"], "both be called asr"),
        (MINI, ["--conf", "conf/typo.yaml"], "typo.yaml: unknown key emotion.skips; the"),
        (MINI, ["--set", "train.epoch=3"], "unknown key train.epoch; the nearest is train.epochs"),
        (MINI, ["--set", "train.epochs=[1"], "train.epochs=[1: invalid value"),
        (MINI, ["--set", "alpha=2"], "key alpha"),
        (MINI, ["--set", "data.letters=ABA"], "key data.letters"),
        (MINI, ["--conf", "conf/asr.yaml,conf/small.yaml"], "differ in data.letters"),
        (MINI, ["--ctc", "bogus"], "'k2' or 'torch' (got 'bogus')"),
        (MINI, ["--folds", "Ses09F"], "Ses09F is no speaker of conf/folds.tsv; there are Ses01F"),
        (MINI, ["--folds", "Ses01F Ses01F"], "--folds: Ses01F is named twice"),
        (MINI, ["--conf", "conf/ablation/sessions.yaml"], "Ses01F is no session"),
        (MINI, ["--conditions", "clean dirty"], "--conditions dirty: unknown"),
        (MINI, ["--method", "best"], "choose from default one_best greedy"),
        (MINI, ["--nj", "0"], "--nj 0: expected an integer of at least 1"),
        (IEMOCAP, ["--encoder", "/no/such/model"], "--encoder: /no/such/model is not a folder"),
        (IEMOCAP, ["--encoder", "models/no config"], "models/no config has no config.json"),
        (IEMOCAP, ["--encoder", "models/damaged"], "models/damaged/config.json: not JSON"),
        (IEMOCAP, ["--bert", "models/no weights"], "models/no weights has no weights"),
        (IEMOCAP, ["--encoder", "models/no Q"], "no Q/vocab.json: has no symbol 'Q'"),
    ],
)
def test_bad_options_are_errors_before_any_work(
    home: Path, script: str, options: list[str], words: str
) -> None:
    output, error = refused(home, script, *options)
    assert words in error and len(error.splitlines()) <= 2
    assert output == ""


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (1, "--iemocap is missing"),
        (2, "data/local/corpus does not exist: run the stage that creates it first"),
        (7, "data/folds/speaker: no folds there; run stage 3 first"),
        (9, "data/folds/speaker: no folds there; run stage 3 first"),
        (10, "run stage 9"),
    ],
)
def test_a_stage_names_the_stage_that_it_needs(home: Path, stage: int, words: str) -> None:
    output, error = refused(home, IEMOCAP, "--stage", str(stage))
    assert words in error
    assert output.splitlines()[-1] == f"FAILED at stage {stage}"


def corpora(home: Path, *options: str, iemocap: str = "iemocap", musan: str = "musan") -> list[str]:
    """Options of stage 1, with folders relative to the user's current folder."""
    where = ["--iemocap", f"my corpora/{iemocap}", "--musan", f"my corpora/{musan}"]
    return [*where, "--stage", "1", "--stop-stage", "1", *options]


def label(root: Path) -> Path:
    return root / f"Session1/dialog/EmoEvaluation/{DIALOGUE}.txt"


def transcript(root: Path) -> Path:
    return root / f"Session1/dialog/transcriptions/{DIALOGUE}.txt"


def wav(root: Path) -> Path:
    return root / f"Session1/sentences/wav/{DIALOGUE}/{TURN}.wav"


def sound(path: Path, **options: int) -> None:
    lookalike.write_wav(path, np.ones(3200, np.int16), **options)


def edit(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(change(lines)), encoding="utf-8")


def again(lines: list[str]) -> list[str]:
    return lines + [line for line in lines if TURN in line]


def without(lines: list[str]) -> list[str]:
    return [line for line in lines if TURN not in line]


def mislabelled(lines: list[str]) -> list[str]:
    return [line.replace("\tneu\t", "\tbored\t") for line in lines]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda root: wav(root).write_bytes(b""), "_F000.wav: not readable as audio (an empty"),
        (lambda root: wav(root).write_bytes(b"RIFF no"), "_F000.wav: not readable as audio"),
        (lambda root: wav(root).write_bytes(wav(root).read_bytes()[:500]), "truncated, 456 of"),
        (lambda root: sound(wav(root), channels=2), "_F000.wav: 2 channels; expected mono"),
        (lambda root: sound(wav(root), rate=44100), "_F000.wav: 44100 Hz; expected 16000 Hz"),
        (lambda root: edit(label(root), mislabelled), ".txt:3: unknown label 'bored'; known: ang"),
        (lambda root: edit(label(root), again), f"{TURN} occurs twice, first on line 3"),
        (lambda root: edit(transcript(root), again), f"{TURN} occurs twice, first on line"),
        (lambda root: edit(transcript(root), without), f"{TURN} is labelled, but has no trans"),
        (lambda root: shutil.rmtree(root), "iemocap: no such folder"),
        (lambda root: shutil.rmtree(root / "Session4"), "Session4 does not exist"),
    ],
)
def test_corpus_errors_name_the_file(
    home: Path, spoil: Callable[[Path], object], words: str
) -> None:
    root = home / "my corpora/spoilt iemocap"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(home / "my corpora/iemocap", root)
    spoil(root)
    partial = ["--allow-partial", "true"] * ("Session4" not in words)
    output, error = refused(home, IEMOCAP, *corpora(home, *partial, iemocap=root.name))
    assert words in error and f"my corpora/{root.name}" in error.splitlines()[0]
    assert "(stage 1)" in error and "next: " in error
    assert output.splitlines()[-1] == "FAILED at stage 1"


def test_noises_without_music(home: Path) -> None:
    root = home / "my corpora/no music"
    shutil.copytree(home / "my corpora/musan", root)
    shutil.rmtree(root / "music")
    _, error = refused(home, IEMOCAP, *corpora(home, musan=root.name))
    assert "no music/music: no wav files; MUSAN has music, speech, noise" in error


def test_doctor_reports_bad_corpora_and_missing_models(home: Path) -> None:
    models = ("--encoder", "models/good", "--bert", "some/where")
    options = corpora(home, "--self-test", "false", "--ctc", "torch", musan="iemocap")
    done = run(
        home / "it's mine" / IEMOCAP, *options, "--stage", "0", "--stop-stage", "0", *models,
        cwd=home, env={"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(home / "cache"),
                       "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"},
    )  # fmt: skip
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL  ")]
    musan, bert = (line for line in failed if "disk" not in line)
    assert musan.startswith("FAIL  MUSAN: ") and "iemocap has no music, speech, noise" in musan
    assert bert.startswith("FAIL  bert: some/where cannot be downloaded")
    assert done.stdout.splitlines()[-1] == "FAILED at stage 0"


def test_advice_works_and_an_unknown_fold_is_an_error_before_noise_is_planned(home: Path) -> None:
    """A partial corpus is refused, then read with the advised option; then a speaker is missing."""
    root = home / "my corpora/half"
    shutil.copytree(home / "my corpora/iemocap", root)
    shutil.rmtree(root / "Session4")
    shutil.rmtree(home / "it's mine/egs/iemocap/data", ignore_errors=True)
    options = corpora(home, "--stop-stage", "2", "--folds", "Ses04F", iemocap=root.name)
    _, error = refused(home, IEMOCAP, *options)
    assert "the release is incomplete; --allow-partial true continues" in error
    output, error = refused(home, IEMOCAP, *options, "--allow-partial", "true")
    assert f"INCOMPLETE: {root / 'Session4'} does not exist" in output
    assert "Ses04F is no speaker of data/local/corpus; there are Ses01F" in error
    assert output.splitlines()[-1] == "FAILED at stage 2"
    _, error = refused(home, IEMOCAP, *options)
    assert "report.txt: INCOMPLETE: " in error, "the permission is valid for one command"


def test_interrupt_ends_all_processes_and_names_the_stage(home: Path) -> None:
    process = subprocess.Popen(
        [home / "it's mine/egs/mini/run.sh", "--stage", "1", "--stop-stage", "1"],
        cwd=home,
        env={**os.environ, "JOINTASR_VENV": sys.prefix},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    while "stage 1" not in (line := process.stdout.readline()):
        assert line, "ended before stage 1"
    made = home / "it's mine/egs/mini/data/corpora"
    os.killpg(process.pid, signal.SIGINT)  # as the terminal does at Ctrl-C
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert rest.splitlines()[-1] == "FAILED at stage 1"
    assert not (made / ".done").exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
