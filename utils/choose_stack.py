#!/usr/bin/env python3
"""Choose the stack of libraries for this machine; called by utils/setup_env.sh.

Prints ``<stack><TAB><python>`` on stdout; on stderr the reason, and why other stacks were rejected.
Standard library only: runs with the system's python3, before an environment exists.
"""

from __future__ import annotations  # for old versions of python3

import argparse
import platform
import sys
from typing import NamedTuple

from stack_facts import Facts, Gpu, find_gpus, find_pythons, probe_index, version_numbers

STACKS = ("k2", "k2-pypi", "torch")
"""in order of preference"""
PYTHONS = {
    "k2": ("3.11", "3.12", "3.13", "3.10"),
    "k2-pypi": ("3.10",),
    "torch": ("3.11", "3.12", "3.13", "3.10"),
}
"""Python versions of each stack in order of preference: the first is the tested one"""
GET_PYTHON = (
    "install one, e.g. `pyenv install {0}` or `uv python install {0}`, "
    "or give its path: utils/setup_env.sh --python /path/to/python{0}"
)


class StackChoice(NamedTuple):
    """The chosen stack and interpreter."""

    stack: str
    python: str
    reason: str
    rejected: list[tuple[str, str]]
    """(stack, reason) of the preferred stacks that cannot be used"""
    warnings: list[str]


class CudaSupport(NamedTuple):
    """The GPUs and drivers that the CUDA build of a stack supports."""

    torch: str
    cuda: str
    min_driver: int
    min_capability: tuple[int, int]
    max_capability: tuple[int, int]
    """inclusive"""


# CUDA 13 supports Turing (7.5) and newer and needs driver 580. torch 1.13.1 has code for 3.7 to
# 8.6; code for 8.6 also runs on 8.9 (same major version), but not on 9.0.
CURRENT = CudaSupport("torch 2.11.0", "CUDA 13.0", 580, (7, 5), (99, 0))
CUDA_SUPPORT = {
    "k2": CURRENT,
    "k2-pypi": CudaSupport("torch 1.13.1", "CUDA 11.7", 450, (3, 7), (8, 9)),
    "torch": CURRENT,
}
CUDA_12_DRIVER = 525
"""the oldest driver that runs CUDA 12 programs"""


def choose(facts: Facts, requested: str = "auto") -> StackChoice:
    """Choose the stack; raise ValueError if none, or not the requested one, can be installed."""
    rejected = []
    for stack in STACKS if requested == "auto" else (requested,):
        versions = [version for version in PYTHONS[stack] if version in facts.pythons]
        if stack == "k2":
            versions = [version for version in versions if version in facts.wheels] or versions
        problem = _install_problem(stack, facts, versions)
        if problem and requested != "auto":
            raise ValueError(f"stack {requested} cannot be installed here: {problem}")
        gpu_problem = _gpu_problem(stack, facts.gpus)
        if requested == "auto" and stack != "torch":
            problem = problem or gpu_problem
        if problem:
            rejected.append((stack, problem))
            continue
        warnings = [f"this stack will run on the CPU only: {gpu_problem}"] if gpu_problem else []
        reason = _reason(stack, facts, versions[0], requested)
        return StackChoice(stack, facts.pythons[versions[0]], reason, rejected, warnings)
    lines = "\n".join(f"  {stack}: {problem}" for stack, problem in rejected)
    raise ValueError("no stack can be installed here:\n" + lines)


def _install_problem(stack: str, facts: Facts, versions: list[str]) -> str:
    """Return why ``stack`` cannot be installed, whatever GPU there is; "" if it can."""
    if stack != "torch" and facts.platform != "linux-x86_64":
        return f"its wheels are for Linux x86_64 and this is {facts.platform}"
    if stack == "k2" and facts.index_problem:
        return f"k2's index {facts.k2_index} cannot be used: {facts.index_problem}"
    if not versions:
        supported = " or ".join(sorted(PYTHONS[stack], key=version_numbers))
        return f"Python {supported} was not found; " + GET_PYTHON.format(PYTHONS[stack][0])
    if stack == "k2" and versions[0] not in facts.wheels:
        return f"k2's index {facts.k2_index} has no wheel of the locked k2 for Python {versions[0]}"
    return ""


def _gpu_problem(stack: str, gpus: list[Gpu]) -> str:
    """Return why ``stack`` does not support the GPUs of this machine; "" if it does."""
    support = CUDA_SUPPORT[stack]
    for gpu in gpus:
        if gpu.capability and gpu.capability > support.max_capability:
            return (
                f"{_describe(gpu)} is newer than {support.torch} supports "
                f"(up to {_dotted(support.max_capability)})"
            )
        if gpu.capability and gpu.capability < support.min_capability:
            return (
                f"{_describe(gpu)} is older than {support.torch} with {support.cuda} supports "
                f"(from {_dotted(support.min_capability)})"
            )
        driver = int((version_numbers(gpu.driver) or [0])[0])
        if driver < support.min_driver:
            return (
                f"{support.cuda} needs NVIDIA driver {support.min_driver} or newer and this one is "
                f"{gpu.driver}: update it" + (_older_wheels(driver) if support is CURRENT else "")
            )
    return ""


def _older_wheels(driver: int) -> str:
    """Return the wheels of the same releases for an older driver."""
    if driver < CUDA_12_DRIVER:
        return ""
    cuda = "12.9" if driver >= 575 else "12.8"
    return (
        f", or replace torch, torchaudio and k2 by hand with their CUDA {cuda} wheels "
        f"(torch 2.11.0+cu{cuda.replace('.', '')}, k2 ...+cuda{cuda}.torch2.11.0)"
    )


def _reason(stack: str, facts: Facts, version: str, requested: str) -> str:
    if requested != "auto":
        reason = "as requested"
    elif stack == "k2":
        reason = f"{facts.k2_index} has k2 for it"
    elif stack == "k2-pypi":
        reason = "the package registry has k2 for it"
    else:
        reason = "the other stacks cannot be used; CTC by torch, no k2"
    gpus = ", ".join(sorted({_describe(gpu) for gpu in facts.gpus})) or "no GPU"
    return f"Python {version} ({facts.pythons[version]}), {gpus}; {reason}"


def _describe(gpu: Gpu) -> str:
    if gpu.capability is None:
        return gpu.name
    families = {8: "Ampere", 9: "Hopper", 10: "Blackwell", 11: "Blackwell", 12: "Blackwell"}
    family = families.get(gpu.capability[0], "")
    if gpu.capability == (8, 9):
        family = "Ada Lovelace"
    text = f"compute capability {_dotted(gpu.capability)}"
    return f"{gpu.name} ({family + ', ' if family else ''}{text})"


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", default="auto", choices=("auto", *STACKS))
    parser.add_argument("--python", default="", help="interpreter to use")
    parser.add_argument("--k2-index", required=True, help="URL, file:// or folder of k2's wheels")
    args = parser.parse_args()
    wheels, problem = probe_index(args.k2_index) if args.stack in ("auto", "k2") else ([], "")
    gpus, nvidia_smi_error = find_gpus()
    system = f"{sys.platform}-{platform.machine()}"
    pythons = find_pythons({v for versions in PYTHONS.values() for v in versions}, args.python)
    facts = Facts(system, pythons, gpus, args.k2_index, wheels, problem)
    try:
        choice = choose(facts, args.stack)
    except ValueError as error:
        sys.exit(f"error: {error}")
    warnings = list(choice.warnings)
    if nvidia_smi_error:
        warnings.append(f"nvidia-smi fails, so no GPU is assumed: {nvidia_smi_error}")
    print(f"setup_env: stack {choice.stack}: {choice.reason}", file=sys.stderr)
    for stack, reason in choice.rejected:
        print(f"setup_env:   rejected {stack}: {reason}", file=sys.stderr)
    for warning in warnings:
        print(f"setup_env: warning: {warning}", file=sys.stderr)
    print(choice.stack, choice.python, sep="\t")


if __name__ == "__main__":
    main()
