"""No downloaded or user-supplied input is executed."""

import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import yaml
from data_fixtures import cut_of, sound, write_wav
from lhotse import CutSet
from shell import run

from jointasr.config import conf_files
from jointasr.data import archive, manifest, wav_scp
from jointasr.models import encoder, text_encoder
from jointasr.utils import jsonl
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack

FORBIDDEN = {
    r"\btorch\.load\(": "safetensors instead",
    r"\b(np|numpy)\.load\(": "may unpickle",
    r"\bpickle\b|\bjoblib\b|\bdill\b|\bmarshal\b": "loading executes code",
    r"\byaml\.(load|full_load|unsafe_load)\b": "yaml.safe_load instead",
    r"(?<![.\w])(eval|exec)\(": "executes text",
    r"shell\s*=\s*True|\bos\.(system|popen)\(": "a value may reach a shell",
    r"trust_remote_code\s*=\s*True": "executes code from the hub",
}


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_code_that_runs_data_is_not_used(pattern: str) -> None:
    for folder in ("jointasr", "local", "utils", "steps", "egs"):
        for path in (ROOT / folder).rglob("*.py"):
            if "data" in path.relative_to(ROOT).parts:
                continue
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                code = line.split("#")[0]
                assert not re.search(pattern, code) or '"""' in code or "unpickle" in code, (
                    f"{path.relative_to(ROOT)}:{number}: {FORBIDDEN[pattern]}"
                )


def test_scripts_evaluate_nothing() -> None:
    for path in [*ROOT.glob("*.sh"), *ROOT.glob("*/*.sh"), *ROOT.glob("egs/*/*.sh")]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            code = re.sub(r"(^|\s)#.*", "", line)
            assert not re.search(r"(^|[;&|({\s])eval\s", code), f"{path}:{number}"


class Bomb:
    """An object that writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["encoder", "bert"])
def test_pickled_weights_do_not_run(models: Path, tmp_path: Path, kind: str) -> None:
    """A malicious pytorch_model.bin in a model folder is an error and is not executed."""
    source = models / ("layer" if kind == "encoder" else "bert")
    folder = shutil.copytree(source, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Bomb(tmp_path / "ran")}))
    with pytest.raises(DataError, match="model"):
        if kind == "encoder":
            encoder.load(str(folder))
        else:
            text_encoder.load(str(folder))
    assert not (tmp_path / "ran").exists()


def test_models_code_does_not_run(models: Path, tmp_path: Path) -> None:
    """Custom code in a model folder is not executed, and no prompt asks for it."""
    folder = shutil.copytree(models / "layer", tmp_path / "model")
    text = (folder / "config.json").read_text()
    mapping = '"auto_map": {"AutoConfig": "own.Own", "AutoModelForCTC": "own.Own"},'
    (folder / "config.json").write_text(
        text.replace("{", "{" + mapping, 1).replace('"wav2vec2"', '"own"')
    )
    (folder / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Own: pass\n")
    with pytest.raises(DataError):
        encoder.load(str(folder))
    assert not (tmp_path / "ran").exists()


def test_yaml_is_data(tmp_path: Path) -> None:
    text = "base: asr.yaml\nalpha: !!python/object/apply:os.system ['touch ran']\n"
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(DataError, match=r"bad.yaml"):
        conf_files.load(str(tmp_path / "bad.yaml"), Path())
    with pytest.raises(DataError):
        conf_files.load("asr.yaml", Path(), ["alpha=!!python/object/apply:os.system ['touch ran']"])
    with pytest.raises(yaml.YAMLError):
        yaml.safe_load("!!python/object/apply:os.system ['touch ran']")
    assert not Path("ran").exists()


@pytest.mark.parametrize("source", ["touch ran |", "| touch ran", "touch ran|", "cat x.ark |"])
def test_pipes_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(tmp_path)
    for read in (wav_scp.read, wav_scp.header, archive.read_feats):
        with pytest.raises(DataError, match="pipes are not executed"):
            read(source)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("source", ["-", "x.mat", "feats.ark", "x.gz", "feats.ark:5[0:3]"])
def test_features_come_from_archives_only(source: str) -> None:
    with pytest.raises(DataError, match="expected an archive entry"):
        archive.read_feats(source)


def test_paths_do_not_lead_out_of_the_recipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths must stay inside the recipe folder; absolute paths are allowed."""
    recipe = tmp_path / "recipe"
    (recipe / "sub").mkdir(parents=True)
    monkeypatch.chdir(recipe)
    outside = write_wav(tmp_path / "out.wav", sound(1, 800))
    kaldiio.save_ark(str(tmp_path / "f.ark"), {"u": np.ones((2, 2), np.float32)}, scp="f.scp")
    offset = (recipe / "f.scp").read_text().split(":")[1].strip()
    write_wav(recipe / "in.wav", sound(1, 800))
    assert len(wav_scp.read("in.wav")) == len(wav_scp.read("sub/../in.wav")) == 800
    assert len(wav_scp.read(str(outside))) == 800
    assert archive.read_feats(f"{tmp_path}/f.ark:{offset}").shape == (2, 2)
    for name in ("../out.wav", "sub/../../out.wav", "./../out.wav", "../f.ark:2"):
        with pytest.raises(DataError, match="is outside the recipe folder"):
            wav_scp.read(name)
    with pytest.raises(DataError, match="is outside"):
        archive.read_feats(f"../f.ark:{offset}")


@pytest.mark.parametrize("kind", ["command", "url"])
def test_manifests_name_files_only(tmp_path: Path, kind: str) -> None:
    """lhotse would execute a source of type command and download one of type url."""
    name = "Ses01F-Ses01F_impro01_F000"
    cuts = CutSet.from_cuts([cut_of(write_wav(tmp_path / "a.wav", sound(1, 800)), name, 800)])
    manifest.write(cuts, tmp_path / "data", parts=False)
    assert len(manifest.load(tmp_path / "data")) == 1
    (item,) = jsonl.read(tmp_path / "data/cuts.jsonl.gz")
    item["recording"]["sources"][0].update(type=kind, source=f"touch {tmp_path}/ran")
    jsonl.write(tmp_path / "data/cuts.jsonl.gz", [item])
    with pytest.raises(DataError, match=f"cut {name}: expected one source of type 'file'"):
        manifest.load(tmp_path / "data")
    assert not (tmp_path / "ran").exists()


def test_options_reach_no_shell(tmp_path: Path) -> None:
    """Options, overrides and job tables are passed on literally."""
    words = f"$(touch {tmp_path}/ran) `touch {tmp_path}/ran` ; touch {tmp_path}/ran"
    for option in ("--set", "--conf", "--folds", "--iemocap", "--recipe"):
        run(ROOT / "run.sh", "--stage", "7", "--dry-run", "true", option, words)
    table = f"a\t{tmp_path}/x.log\t{words}\n"
    (tmp_path / "t.tsv").write_text(table)
    program = [sys.executable, "-c", "import sys; print(sys.argv[1])"]
    done = subprocess.run(
        [str(ROOT / "utils/run.py"), "--table", str(tmp_path / "t.tsv"), *program], check=True
    )
    assert done.returncode == 0 and words in (tmp_path / "x.log").read_text()
    assert not (tmp_path / "ran").exists()
