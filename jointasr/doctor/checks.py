"""Is everything there? Checks of environment, machine, corpora and models, each with its remedy.

Standard library only at the top: it has to run where libraries are missing or broken.
"""

import importlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jointasr
from jointasr.utils import files, provenance
from jointasr.utils.project import ROOT

IMPORTS = {
    "pyyaml": "yaml",
    "espeakng-loader": "espeakng_loader",
    "silero-vad": "silero_vad",
    "flashlight-text": "flashlight.lib.text",
    "graphviz": "graphviz",
}  # where the name to import is not the name of the package
HUB_SECONDS = 10.0


class Check(NamedTuple):
    """One line of the report; ``fix`` is a command, or an instruction where none exists."""

    name: str
    ok: bool
    detail: str
    fix: str = ""

    def __str__(self) -> str:
        if self.ok:
            return f"ok    {self.name}: {self.detail}"
        return f"FAIL  {self.name}: {self.detail}. fix: {self.fix}"


# ---- environment -------------------------------------------------------------------------------


def python() -> Check:
    """The interpreter's version against what the stack is locked for."""
    stack = provenance.stack()
    wanted = (3, 10) if stack == "k2-pypi" else (3, 13)
    found = sys.version_info[:2]
    ok = (3, 10) <= found <= wanted and sys.implementation.name == "cpython"
    detail = f"{platform.python_implementation()} {platform.python_version()}, stack {stack}"
    return Check("Python", ok, detail, f"utils/setup_env.sh --stack {stack}")


def libraries() -> list[Check]:
    """Every library we name is imported; every locked one has the locked version."""
    stack = provenance.stack()
    lock = ROOT / "requirements" / f"{stack}.txt"
    fix = f"utils/setup_env.sh --stack {stack}"
    locked = read_lock(lock)
    own = not (Path(sys.prefix) / "jointasr.lock").exists()  # an environment we did not make
    wrong = [
        f"{name} {provenance.version(name) or 'is missing'} ({version} is locked)"
        for name, version in sorted(locked.items())
        if provenance.version(name) != version
    ]
    if own and wrong:
        detail = f"an environment of your own; differs from {lock.name}: " + ", ".join(wrong)
        checks = [Check("versions", True, detail)]
    elif wrong:
        again = f"rm .venv-{stack}/jointasr.lock; {fix}"
        checks = [Check("versions", False, ", ".join(wrong), again)]
    else:
        checks = [Check("versions", True, f"{len(locked)} libraries as locked in {lock.name}")]
    return checks + [_import(name, fix) for name in named(stack)]


def _import(name: str, fix: str) -> Check:
    try:
        importlib.import_module(IMPORTS.get(name, name))
    except Exception as error:  # a broken library raises anything, and that is the finding
        return Check(name, False, f"cannot be imported: {_first_line(error)}", fix)
    return Check(name, True, provenance.version(name) or "imported")


def read_lock(path: Path) -> dict[str, str]:
    """``{library: version}`` of a lock file for this Python and platform."""
    from packaging.requirements import Requirement

    found: dict[str, str] = {}
    for line in files.read_text(path).splitlines():
        if line.startswith("-r "):
            found |= read_lock(path.parent / line[3:].strip())
        elif re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.rstrip(" \\"))
            if requirement.marker is None or requirement.marker.evaluate():
                found[requirement.name] = next(iter(requirement.specifier)).version
    return found


def named(stack: str) -> list[str]:
    """The libraries that requirements/<stack>.in names, and k2 where the stack has it."""
    waiting, names = [f"{stack}.in"], []
    if stack == "k2":
        waiting.append("torch.in")
    while waiting:
        file = ROOT / "requirements" / waiting.pop()
        for line in files.read_text(file).splitlines():
            if line.startswith("-r "):
                waiting.append(line[3:].strip())
            elif re.match(r"[a-z]", line):
                names.append(re.split(r"[=<>~; ]", line)[0])
    if stack != "torch":
        names.append("k2")
    return sorted(set(names))


# ---- machine -----------------------------------------------------------------------------------


def device() -> str:
    """The device that work would run on: "cuda" or "cpu"."""
    try:
        import torch
    except Exception:  # reported by libraries()
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def nvidia() -> list[str]:
    """The cards, as `name, memory, driver`, that the NVIDIA driver lists."""
    fields = "name,memory.total,driver_version"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return done.stdout.splitlines() if done.returncode == 0 else []


def gpus() -> Check:
    """Whether torch can compute on each card that the driver lists."""
    cards = nvidia()
    if not cards or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return Check("GPUs", True, "none; everything runs on the CPU")
    fix = "rm .venv; utils/setup_env.sh  (says which stack suits these cards and this driver)"
    try:
        import torch

        if not torch.cuda.is_available():
            built = f"torch {torch.__version__} (CUDA {torch.version.cuda})"
            return Check("GPUs", False, f"{built} cannot use {'; '.join(cards)}", fix)
        for index in range(torch.cuda.device_count()):
            float(torch.ones(2, device=f"cuda:{index}").add(1).sum())
    except Exception as error:  # whatever CUDA or its libraries raise
        return Check("GPUs", False, f"{'; '.join(cards)}: {_first_line(error)}", fix)
    return Check("GPUs", True, "; ".join(cards))


def engine(name: str) -> Check:
    """The CTC engine: k2 present, built for this torch, with CUDA where there is a GPU."""
    if name == "torch":
        return Check("CTC engine", True, "torch, as asked")
    fix = "utils/setup_env.sh --stack k2 (or k2-pypi), or run with --ctc torch"
    try:
        import _k2
        import torch

        built = _k2.version.torch_version
        detail = f"k2 {provenance.version('k2')} for torch {built}, CUDA {_k2.version.cuda_version}"
        if built.split("+")[0] != torch.__version__.split("+")[0]:
            return Check("CTC engine", False, f"{detail}, but torch is {torch.__version__}", fix)
        if device() == "cuda" and not _k2.with_cuda:
            return Check("CTC engine", False, f"{detail}: built without CUDA", fix)
    except Exception as error:  # a mismatched k2 fails in the loader, in many ways
        return Check("CTC engine", False, f"k2 cannot be loaded: {_first_line(error)}", fix)
    return Check("CTC engine", True, detail)


def disk(path: Path, gigabytes: float) -> Check:
    """Free space where data and exp are written."""
    free = shutil.disk_usage(path).free / 1e9
    detail = f"{free:.0f} GB free, {gigabytes:g} GB wanted"
    return Check("disk", free >= gigabytes, detail, f"make room on the disk of {path.resolve()}")


def backend(name: str) -> Check:
    """Whether the job runner runs a job, or the cluster answers."""
    if name == "slurm":
        return _slurm()
    if name != "local":
        fix = "set cmd_backend in cmd.sh: local or slurm"
        return Check("job backend", False, f"{name} is not known", fix)
    with tempfile.TemporaryDirectory() as folder:
        command = [str(ROOT / "utils" / "run.py"), f"{folder}/x.log", sys.executable, "-c", ""]
        done = subprocess.run(command, capture_output=True, text=True)
    detail = f"local, {len(os.sched_getaffinity(0))} cores"
    if done.returncode:
        detail += ": " + (done.stderr.strip().splitlines() or ["no message"])[0]
    return Check("job backend", done.returncode == 0, detail, "see utils/run.py --help")


def _slurm() -> Check:
    fix = "run it on a machine of the cluster, or with cmd_backend=local"
    wanted = ("sbatch", "squeue", "scontrol", "scancel")
    if missing := [name for name in wanted if not shutil.which(name)]:
        detail = f"slurm, but there is no {' and no '.join(missing)}"
        return Check("job backend", False, detail, fix)
    command = ["sinfo", "--noheader", "--format", "%R"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[0]
        return Check("job backend", False, f"slurm, but sinfo says: {said}", fix)
    partitions = ", ".join(sorted(set(done.stdout.split())))
    return Check("job backend", True, f"slurm, partitions {partitions}", fix)


# ---- corpora and models ------------------------------------------------------------------------


def corpus(name: str, path: str, parts: Sequence[str], allow_partial: bool = False) -> Check:
    """Whether a corpus folder is there and has its ``parts`` (sub-folders), some of them where an
    incomplete one is allowed.

    One under the recipe's own data/ is made by stage 1.
    """
    option = f"--{name.lower()} FOLDER"
    where = f"./run.sh {option}, or {name.lower()}=FOLDER in conf/site.sh"
    if path.startswith("data/"):
        return Check(name, True, f"{path} (made by stage 1)")
    if not path:
        return Check(name, False, "no folder was given", where)
    if not Path(path).is_dir():
        return Check(name, False, f"{path} is not a folder", where)
    missing = [part for part in parts if not (Path(path) / part).is_dir()]
    if not os.access(path, os.R_OK | os.X_OK):
        return Check(name, False, f"{path} cannot be read", f"chmod -R u+rX {path}")
    detail = f"{path} has no {', '.join(missing)}" if missing else path
    if missing and not (allow_partial and len(missing) < len(parts)):
        fix = f"give its top folder: {where}; or go on without with --allow-partial true"
        return Check(name, False, detail, fix)
    return Check(name, True, detail)


def pretrained(option: str, model: str) -> Check:
    """Whether a model is in a folder, in the hub's cache, or can be fetched from the hub.

    One under the recipe's own exp/ is made by stage 6.
    """
    return model_folder(option, model) or _on_hub(option, model)


def model_folder(option: str, model: str) -> Check | None:
    """What can be said of a model without the hub; None for what may be the id of one there."""
    fix = f"./run.sh --{option} FOLDER with config.json and weights, or a hub id such as org/name"
    path = Path(model)
    if model.startswith("exp/"):
        return Check(option, True, f"{model} (made by stage 6)")
    if path.is_dir():
        weights = [*path.glob("*.safetensors"), *path.glob("*.bin")]
        missing = [] if (path / "config.json").is_file() else ["config.json"]
        missing += [] if weights else ["weights (*.safetensors or *.bin)"]
        if missing:
            return Check(option, False, f"{model} has no {' and no '.join(missing)}", fix)
        try:
            json.loads(files.read_text(path / "config.json"))
        except ValueError as error:
            return Check(option, False, f"{path / 'config.json'}: not JSON: {error}", fix)
        return Check(option, True, model)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", model) or model.startswith("."):
        return Check(option, False, f"{model} is not a folder", fix)
    return None


def _on_hub(option: str, model: str) -> Check:
    try:
        import huggingface_hub as hub

        cached = [
            isinstance(hub.try_to_load_from_cache(model, name), str)
            for name in ("config.json", "model.safetensors", "pytorch_model.bin")
        ]
        if cached[0] and any(cached[1:]):
            return Check(option, True, f"{model} (in the hub's cache)")
        request = urllib.request.Request(hub.hf_hub_url(model, "config.json"), method="HEAD")
        urllib.request.urlopen(request, timeout=HUB_SECONDS).close()
    except Exception as error:  # no network, no such model, no library
        fix = (
            f"where there is network: huggingface-cli download {model} --local-dir FOLDER; "
            f"then ./run.sh --{option} FOLDER"
        )
        return Check(option, False, f"{model} cannot be fetched: {_first_line(error)}", fix)
    return Check(option, True, f"{model} (can be fetched)")


def self_test(engine_name: str) -> Iterable[Check]:
    """What :mod:`jointasr.doctor.selftest` finds on the device in use."""
    where = device()
    fix = "report it, with the block below"
    try:
        from jointasr.doctor import selftest

        results: Any = selftest.run(where, "torch" if engine_name == "torch" else "k2")
    except Exception as error:  # libraries that do not load
        return [Check("self-test", False, _first_line(error), "mend what is named above")]
    return [Check(f"self-test on {where}: {name}", ok, detail, fix) for name, ok, detail in results]


# ---- report ------------------------------------------------------------------------------------


def bug_report(checks: Sequence[Check], facts: Mapping[str, str]) -> str:
    """What a maintainer needs to know; nothing of users, hosts or paths of corpora."""
    stack = provenance.stack()
    names = ["torch", "torchaudio", "k2", "transformers", "lhotse", "kaldiio", "numpy"]
    versions = [f"{name} {provenance.version(name)}" for name in names if provenance.version(name)]
    failed = [check.name for check in checks if not check.ok]
    lines = [
        f"jointasr {jointasr.__version__}, commit {provenance.commit()}, stack {stack}",
        f"Python {platform.python_version()}, {platform.system()} {platform.release()} "
        f"{platform.machine()}, {' '.join(platform.libc_ver())}",
        ", ".join(versions),
        f"GPUs: {'; '.join(nvidia()) or 'none'}",
        *(f"{key}: {value}" for key, value in facts.items()),
        f"failed: {', '.join(failed) or 'nothing'}",
    ]
    return "\n".join(lines)


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
