"""jointasr.doctor and utils/doctor.sh: each missing thing is reported with its fix."""

import os
import sys
from pathlib import Path

import pytest
from shell import nvidia_smi, run

from jointasr.doctor import environment, inputs, machine
from jointasr.utils import provenance
from jointasr.utils.project import ROOT


def test_lock_is_read_for_this_python(tmp_path: Path) -> None:
    old = "numpy==1.0 ; python_version < '3' \\\n    --hash=sha256:0\n"
    (tmp_path / "base.txt").write_text(old)
    lock = tmp_path / "x.txt"
    lock.write_text(
        "# comment\n--find-links https://example.org\n-r base.txt\n"
        "k2==1.24.4.dev20260423+cuda13.0.torch2.11.0\n"
        "numpy==2.4.6 ; python_version >= '3' \\\n    --hash=sha256:1\n"
    )
    assert environment.read_lock(lock) == {
        "k2": "1.24.4.dev20260423+cuda13.0.torch2.11.0",
        "numpy": "2.4.6",
    }


@pytest.mark.parametrize("stack", ["k2", "k2-pypi", "torch"])
def test_every_required_library_is_locked(stack: str) -> None:
    locked = environment.read_lock(ROOT / "requirements" / f"{stack}.txt")
    assert set(environment.required_libraries(stack)) <= locked.keys() | {"k2"}
    assert ("k2" in locked) == (stack != "torch")
    assert {"torch", "transformers", "lhotse", "kaldiio", "pydantic"} <= set(
        environment.required_libraries(stack)
    )


def test_wrong_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    version = provenance.version
    monkeypatch.setattr(
        provenance, "version", lambda name: "9.9" if name == "jiwer" else version(name)
    )
    assert "jiwer 9.9 (" in environment.libraries()[0].detail


def test_library_that_cannot_be_imported() -> None:
    result = environment._import("no_such_library", "utils/setup_env.sh --stack torch")
    assert not result.ok
    assert str(result).startswith("FAIL  no_such_library: cannot be imported: ModuleNotFoundError")
    assert str(result).endswith("fix: utils/setup_env.sh --stack torch")


def test_corpora(tmp_path: Path) -> None:
    parts = ["music", "speech", "noise"]
    assert "no folder given" in inputs.corpus("MUSAN", "", parts).detail
    missing = inputs.corpus("MUSAN", str(tmp_path / "x"), parts)
    assert not missing.ok and "x is not a folder" in missing.detail
    assert "--musan FOLDER" in missing.fix and "musan=FOLDER in conf/site.sh" in missing.fix
    for part in parts[1:]:
        (tmp_path / part).mkdir()
    assert "has no music" in inputs.corpus("MUSAN", str(tmp_path), parts).detail
    (tmp_path / "music").mkdir()
    assert inputs.corpus("MUSAN", str(tmp_path), parts).ok
    assert inputs.corpus("MUSAN", "data/corpora/musan", parts).ok


def test_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("urllib.request.urlopen", _no_network)
    assert "no config.json and no weights" in inputs.pretrained("encoder", str(tmp_path)).detail
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").touch()
    assert inputs.pretrained("encoder", str(tmp_path)).ok
    assert inputs.pretrained("encoder", "exp/pretrained/encoder").ok
    assert "is not a folder" in inputs.pretrained("bert", "/no/such/model").detail
    absent = inputs.pretrained("bert", "some-org/some-model")
    assert not absent.ok and "huggingface-cli download some-org/some-model" in absent.fix


def _no_network(*_: object, **__: object) -> None:
    raise OSError("no network in this test")


def test_model_that_can_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = []

    class Answer:
        def close(self) -> None:
            pass

    def answer(request: object, timeout: float) -> Answer:
        requests.append((request, timeout))
        return Answer()

    monkeypatch.setattr("urllib.request.urlopen", answer)
    result = inputs.pretrained("bert", "some-org/model-never-cached")
    assert result.ok and "can be downloaded" in result.detail and len(requests) == 1


def test_disk_and_backend(tmp_path: Path) -> None:
    assert machine.disk(tmp_path, 0).ok
    full = machine.disk(tmp_path, 1e9)
    assert not full.ok and "GB free" in full.detail
    assert machine.job_backend("local").ok
    assert "cmd.sh" in machine.job_backend("pbs").fix


def test_gpu_that_torch_cannot_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    folder = nvidia_smi(tmp_path, "NVIDIA H100, 81559 MiB, 580.1")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    result = machine.gpus()
    assert not result.ok and "cannot use NVIDIA H100" in result.detail
    assert "utils/setup_env.sh" in result.fix


def test_script_reports_all_failures(tmp_path: Path) -> None:
    options = ["--iemocap", tmp_path / "none", "--bert", "/no/such", "--self-test", "false"]
    done = run(ROOT / "utils/doctor.sh", *options, "--ctc", "torch", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert sum(line.startswith("FAIL  ") for line in lines) == 2
    assert any(line.startswith("FAIL  IEMOCAP: ") and "fix: " in line for line in lines)
    assert any(line.startswith("ok    torch: ") for line in lines)
    begin = lines.index("---- for a bug report ----")
    block = "\n".join(lines[begin:])
    assert "failed: IEMOCAP, bert" in block and str(tmp_path) not in block
    assert "error: 2 of " in lines[-1]


def test_script_runs_the_self_test(tmp_path: Path) -> None:
    engine = "k2" if provenance.version("k2") else "torch"
    done = run(ROOT / "utils/doctor.sh", "--ctc", engine, "--disk", "0", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok    self-test on " in done.stdout and "FAIL" not in done.stdout
    assert sys.version.split()[0] in done.stdout
