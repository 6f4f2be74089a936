"""Full disks and damaged audio: error messages, what remains, and what is counted."""

import json
import os
import resource
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tiny
import torch
from toy_training import decode_all, initial_model

from jointasr.bin.align import main as align_all
from jointasr.config import conf_files
from jointasr.data import archive, datadir, manifest
from jointasr.decoding import decode
from jointasr.decoding.decoder import Decoder
from jointasr.models import checkpoint
from jointasr.utils import files
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack


def limited(kilobytes: int) -> None:
    """Limit the size of files, which to a program looks like a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, kilobytes << 10))


def train(
    models: Path, out: Path, minutes: int, kilobytes: int = 0
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "jointasr.bin.train", "--conf", "asr.yaml", "--name", "asr"]
    command += ["--condition", "clean", "--fold", "Ses01F", "--out", str(out)]
    command += ["--data", "data/folds/speaker/Ses01F", "--set", *tiny.settings(models)]
    return subprocess.run(
        [*command, "train.epochs=2", f"train.save_minutes={minutes}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=(lambda: limited(kilobytes)) if kilobytes else None,
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kilobytes", "minutes", "what"), [(40, 10, "model.safetensors"), (250, 0, "resume/")]
)
def test_full_disk_while_training(
    recipe: Path, models: Path, tmp_path: Path, kilobytes: int, minutes: int, what: str
) -> None:
    """The error names the file, no partial file remains, and with room the same command resumes."""
    out = tmp_path / "out"
    done = train(models, out, minutes, kilobytes)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and what in last
    remedy = "free some space and run the same command again: finished work is kept"
    assert last.endswith(f"File too large; {remedy}")
    assert not (out / ".done").exists() and not list(out.rglob(".tmp.*"))
    assert train(models, out, minutes).returncode == 0
    whole = tmp_path / "whole"
    assert train(models, whole, minutes).returncode == 0
    weights = [(one / "best" / checkpoint.WEIGHTS).read_bytes() for one in (out, whole)]
    assert weights[0] == weights[1]


def test_full_disk_while_writing_tables(tmp_path: Path) -> None:
    """The old table remains."""
    path = tmp_path / "text"
    datadir.write_table(path, {"a": "OLD"})
    code = "import sys\nfrom pathlib import Path\nfrom jointasr.data import datadir\n"
    code += "from jointasr.utils.errors import run\n"
    code += "table = {str(n).zfill(5): 'WORDS' for n in range(9999)}\n"
    code += "run(lambda: datadir.write_table(Path(sys.argv[1]), table))\n"
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: limited(8),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {path}: File too large; free some space and run")
    assert path.read_text() == "a OLD\n" and list(tmp_path.iterdir()) == [path]


def test_a_tensor_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        files.write_tensors(tmp_path / "folder", {"a": torch.ones(1)})


@pytest.fixture
def damaged(recipe: Path, models: Path, tmp_path: Path) -> tuple[Path, str]:
    """A recipe whose test_clean has one utterance that cannot be read, and its id."""
    home = Path(shutil.copytree(recipe, tmp_path / "recipe"))
    data = home / "data/folds/speaker/Ses01F/test_clean"
    cuts = manifest.load(data)
    name = sorted(cut.id for cut in cuts)[2]
    samples = {cut.id: archive.read_wav(cut.recording.sources[0].source) for cut in cuts}
    archive.write_wav(sorted(samples.items()), home / "wav.ark", home / "wav.scp")
    sources = datadir.read_table(home / "wav.scp")
    manifest.write(manifest.relocate(cuts, sources), data, parts=False)
    offset = int(sources[name].rpartition(":")[2])
    with (home / "wav.ark").open("rb+") as file:
        file.seek(offset)
        file.write(b"GARBAGE!")
    return home, name


def test_damaged_entry_at_decode_time(
    damaged: tuple[Path, str],
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The error names the utterance; with --skip-bad it counts as an error in every score."""
    home, name = damaged
    monkeypatch.chdir(home)
    model = initial_model(models, "joint.yaml")
    out = Path("exp/joint_clean/fold_Ses01F")
    checkpoint.save(out / "best", model)
    meta = dict.fromkeys(("system", "kind", "conf", "stack", "commit"), "joint")
    meta |= {"seed": 0, "train": "clean", "fold": "Ses01F", "engine": "torch", "budget": {}}
    meta |= {"lang": "data/folds/speaker/Ses01F/lang_char", "selected": {}}
    files.write_json(out / "model.json", {**meta, "data": "data/folds/speaker/Ses01F"})
    (out / ".done").write_text("{}\n")
    Path("conf/tests.tsv").write_text("clean - -\n")
    with pytest.raises(DataError, match=f"utterance {name}: its audio cannot be read: .*wav.ark"):
        decode_all(monkeypatch, out, "--method", "greedy")
    folder = out / "decode_clean_greedy"
    assert not (folder / ".done").exists()
    decode_all(monkeypatch, out, "--method", "greedy", "--skip-bad")
    emotions = datadir.read_table(folder / "utt2emo")
    truth = datadir.read_table(Path("data/folds/speaker/Ses01F/test_clean/utt2emo"))
    assert emotions.keys() == truth.keys() == datadir.read_table(folder / "text").keys()
    assert datadir.read_table(folder / "text")[name] == ""
    assert emotions[name] != truth[name]
    unread = json.loads((folder / "decode.json").read_text())["unread"]
    assert list(unread) == [name] and "wav.ark" in unread[name]
    engine = "k2" if find_spec("k2") else "torch"
    options = ["--model", str(out), "--method", "greedy", "--of", "hyp", "--ctc", engine]
    monkeypatch.setattr(sys, "argv", ["align", *options])
    align_all()
    assert f"1 not aligned, could not be read by decoding: {name}" in capsys.readouterr().out
    lines = (out / "align_clean_hyp_greedy/words.ctm").read_text().splitlines()
    assert lines and name not in {line.split()[0] for line in lines}


def test_decoding_of_unreadable_utterances_only(damaged: tuple[Path, str], models: Path) -> None:
    """If all utterances are bad, all are errors, and decoding does not crash."""
    home, _ = damaged
    cuts = manifest.load(home / "data/folds/speaker/Ses01F/test_clean")
    bad = manifest.relocate(cuts, {cut.id: f"{home}/none.wav" for cut in cuts})
    conf = conf_files.load_decode("decode.yaml", Path(), ["method=greedy"])
    model = initial_model(models, "joint.yaml")
    found = decode.decode(Decoder(model, conf), bad, skip_bad=True)
    assert found.unreadable.keys() == found.texts.keys() == found.emotion_posteriors.keys()
    assert len(found.unreadable) == len(cuts) and not any(found.texts.values())


def test_damaged_features_at_decode_time(
    damaged: tuple[Path, str], models: Path, tmp_path: Path
) -> None:
    """The same for archived features."""
    home, _ = damaged
    cuts = manifest.load(home / "data/folds/speaker/Ses01F/test_noise_snr5")
    conf = conf_files.load_decode("decode.yaml", Path(), ["method=greedy"])
    model = initial_model(models, "asr.yaml")
    ids = [cut.id for cut in cuts]
    waves = {cut.id: cut.load_audio()[0] for cut in cuts}
    rows = [(i, model.system.encoder.conv_features([waves[i]])[0]) for i in sorted(ids)]
    archive.write_feats(rows, tmp_path / "feats.ark", tmp_path / "feats.scp")
    table = datadir.read_table(tmp_path / "feats.scp")
    bad = sorted(ids)[1]
    table[bad] = table[bad].rpartition(":")[0] + ":1"
    datadir.write_table(tmp_path / "feats.scp", table)
    scp, decoder = tmp_path / "feats.scp", Decoder(model, conf)
    with pytest.raises(DataError, match=r"feats\.ark:1"):
        decode.decode(decoder, cuts, scp)
    found = decode.decode(decoder, cuts, scp, skip_bad=True)
    assert list(found.unreadable) == [bad] and found.texts.keys() == set(ids)
