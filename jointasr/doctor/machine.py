"""Checks of GPUs, CTC engine, disk space and job backend, and the self-test on this machine.

Libraries are imported inside functions, so that the checks also run in a broken environment.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from jointasr.doctor.result import CheckResult, first_line
from jointasr.utils import provenance
from jointasr.utils.project import ROOT


def device() -> str:
    """Return the device that computations run on: "cuda" or "cpu"."""
    try:
        import torch
    except Exception:  # reported by environment.libraries()
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def list_gpus() -> list[str]:
    """Return ``name, memory, driver`` of each GPU that nvidia-smi lists; [] without a driver."""
    fields = "name,memory.total,driver_version"
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return process.stdout.splitlines() if process.returncode == 0 else []


def gpus() -> CheckResult:
    """Check that torch can compute on each GPU that the driver lists."""
    listed = list_gpus()
    if not listed or os.environ.get("CUDA_VISIBLE_DEVICES") == "":
        return CheckResult("GPUs", True, "none; everything runs on the CPU")
    fix = "rm .venv; utils/setup_env.sh  (selects the stack for these GPUs and this driver)"
    try:
        import torch

        if not torch.cuda.is_available():
            build = f"torch {torch.__version__} (CUDA {torch.version.cuda})"
            return CheckResult("GPUs", False, f"{build} cannot use {'; '.join(listed)}", fix)
        for index in range(torch.cuda.device_count()):
            float(torch.ones(2, device=f"cuda:{index}").add(1).sum())
    except Exception as error:  # whatever CUDA or its libraries raise
        return CheckResult("GPUs", False, f"{'; '.join(listed)}: {first_line(error)}", fix)
    return CheckResult("GPUs", True, "; ".join(listed))


def engine(name: str) -> CheckResult:
    """Check that k2 is installed, was built for this torch, and has CUDA where there is a GPU."""
    if name == "torch":
        return CheckResult("CTC engine", True, "torch, as requested")
    fix = "utils/setup_env.sh --stack k2 (or k2-pypi), or run with --ctc torch"
    try:
        import _k2
        import torch

        built_for = _k2.version.torch_version
        detail = (
            f"k2 {provenance.version('k2')} for torch {built_for}, CUDA {_k2.version.cuda_version}"
        )
        if built_for.split("+")[0] != torch.__version__.split("+")[0]:
            detail = f"{detail}, but torch is {torch.__version__}"
            return CheckResult("CTC engine", False, detail, fix)
        if device() == "cuda" and not _k2.with_cuda:
            return CheckResult("CTC engine", False, f"{detail}: built without CUDA", fix)
    except Exception as error:  # a mismatched k2 fails in the loader, in many ways
        return CheckResult("CTC engine", False, f"k2 cannot be loaded: {first_line(error)}", fix)
    return CheckResult("CTC engine", True, detail)


def disk(path: Path, gigabytes: float) -> CheckResult:
    """Check that the disk of ``path`` has ``gigabytes`` (10**9 bytes) of free space."""
    free = shutil.disk_usage(path).free / 1e9
    detail = f"{free:.0f} GB free, {gigabytes:g} GB required"
    fix = f"free space on the disk of {path.resolve()}"
    return CheckResult("disk", free >= gigabytes, detail, fix)


def job_backend(name: str) -> CheckResult:
    """Check that the local job runner runs a job, or that Slurm responds."""
    if name == "slurm":
        return _slurm()
    if name != "local":
        fix = "set cmd_backend in cmd.sh to local or slurm"
        return CheckResult("job backend", False, f"unknown backend {name}", fix)
    with tempfile.TemporaryDirectory() as folder:
        command = [str(ROOT / "utils" / "run.py"), f"{folder}/x.log", sys.executable, "-c", ""]
        process = subprocess.run(command, capture_output=True, text=True)
    detail = f"local, {len(os.sched_getaffinity(0))} cores"
    if process.returncode:
        detail += ": " + _first_error_line(process)
    return CheckResult("job backend", process.returncode == 0, detail, "see utils/run.py --help")


def _slurm() -> CheckResult:
    fix = "run on a machine of the cluster, or with cmd_backend=local"
    programs = ("sbatch", "squeue", "scontrol", "scancel")
    if missing := [name for name in programs if not shutil.which(name)]:
        detail = f"slurm, but there is no {' and no '.join(missing)}"
        return CheckResult("job backend", False, detail, fix)
    command = ["sinfo", "--noheader", "--format", "%R"]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        detail = f"slurm, but sinfo fails: {_first_error_line(process)}"
        return CheckResult("job backend", False, detail, fix)
    partitions = ", ".join(sorted(set(process.stdout.split())))
    return CheckResult("job backend", True, f"slurm, partitions {partitions}", fix)


def _first_error_line(process: "subprocess.CompletedProcess[str]") -> str:
    return (process.stderr.strip().splitlines() or ["no message"])[0]


def self_test(engine_name: str) -> Iterable[CheckResult]:
    """Run :mod:`jointasr.doctor.selftest` on the device in use."""
    device_name = device()
    fix = "report it as a bug, with the block below"
    try:
        from jointasr.doctor import selftest

        results = selftest.run(device_name, "torch" if engine_name == "torch" else "k2")
    except Exception as error:  # missing or broken libraries
        return [CheckResult("self-test", False, first_line(error), "fix the failures above")]
    return [
        CheckResult(f"self-test on {device_name}: {name}", ok, detail, fix)
        for name, ok, detail in results
    ]
