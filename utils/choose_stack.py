#!/usr/bin/env python3
"""Choose the stack of libraries for this machine; called by utils/setup_env.sh.

Prints ``<stack><TAB><python>`` on stdout, and on stderr the reason, what was passed over and why.
Standard library only: it runs with the system's python3, before there is an environment.
"""

from __future__ import annotations  # so that an old python3 can run it

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
STACKS = ("k2", "k2-pypi", "torch")
# Preferred first: the version that the torch stack is tested with.
PYTHONS = {
    "k2": ("3.11", "3.12", "3.13", "3.10"),
    "k2-pypi": ("3.10",),
    "torch": ("3.11", "3.12", "3.13", "3.10"),
}
PROBE_SECONDS = 5.0
GET_PYTHON = (
    "install one, e.g. `pyenv install {0}` or `uv python install {0}`, "
    "or name it: utils/setup_env.sh --python /path/to/python{0}"
)


class Gpu(NamedTuple):
    """A card as nvidia-smi describes it; ``capability`` is None where nvidia-smi cannot tell."""

    name: str
    capability: tuple[int, int] | None
    driver: str


class Facts(NamedTuple):
    """All that the choice depends on."""

    platform: str  # "linux-x86_64"
    pythons: dict[str, str]  # "3.10" -> path of a CPython of that version
    gpus: list[Gpu]
    k2_index: str  # where k2's wheels are looked for
    wheels: list[str]  # Python versions for which the index has the locked k2
    index_problem: str  # why the index cannot be used, or ""


class Choice(NamedTuple):
    """The outcome: ``passed`` are (stack, why not) in order of preference."""

    stack: str
    python: str
    reason: str
    passed: list[tuple[str, str]]
    warnings: list[str]


class Drives(NamedTuple):
    """Cards and drivers a stack's CUDA build works with (compute capabilities inclusive)."""

    torch: str
    cuda: str
    driver: int
    lowest: tuple[int, int]
    highest: tuple[int, int]


# CUDA 13 dropped everything before Turing and needs driver 580. torch 1.13.1 has code for 3.7 to
# 8.6, and code for 8.6 also runs on 8.9 (compatible within a major version), not on 9.0.
CURRENT = Drives("torch 2.11.0", "CUDA 13.0", 580, (7, 5), (99, 0))
DRIVES = {
    "k2": CURRENT,
    "k2-pypi": Drives("torch 1.13.1", "CUDA 11.7", 450, (3, 7), (8, 9)),
    "torch": CURRENT,
}


def choose(facts: Facts, asked: str = "auto") -> Choice:
    """The stack for these facts; ValueError when there is none or the one asked for cannot be."""
    passed = []
    for stack in STACKS if asked == "auto" else (asked,):
        found = [v for v in PYTHONS[stack] if v in facts.pythons]
        if stack == "k2":
            found = [v for v in found if v in facts.wheels] or found
        why_not = _impossible(stack, facts, found)
        if why_not and asked != "auto":
            raise ValueError(f"stack {asked} cannot be made here: {why_not}")
        gpu_problem = _gpu_problem(stack, facts.gpus)
        if not why_not and gpu_problem and asked == "auto" and stack != "torch":
            why_not = gpu_problem
        if why_not:
            passed.append((stack, why_not))
            continue
        warnings = [f"this stack will run on the CPU only: {gpu_problem}"] if gpu_problem else []
        reason = _reason(stack, facts, found[0], asked)
        return Choice(stack, facts.pythons[found[0]], reason, passed, warnings)
    raise ValueError("no stack can be made here:\n" + "\n".join(f"  {s}: {w}" for s, w in passed))


def _impossible(stack: str, facts: Facts, found: list[str]) -> str:
    """Why ``stack`` cannot be installed, whatever card there is; "" when it can."""
    if stack != "torch" and facts.platform != "linux-x86_64":
        return f"its wheels are for Linux x86_64 and this is {facts.platform}"
    if stack == "k2" and facts.index_problem:
        return f"k2's index {facts.k2_index} cannot be used: {facts.index_problem}"
    if not found:
        wanted = " or ".join(sorted(PYTHONS[stack], key=_numbers))
        return f"Python {wanted} was not found; " + GET_PYTHON.format(PYTHONS[stack][0])
    if stack == "k2" and found[0] not in facts.wheels:
        return f"k2's index {facts.k2_index} has no wheel of the locked k2 for Python {found[0]}"
    return ""


def _gpu_problem(stack: str, gpus: list[Gpu]) -> str:
    """Why ``stack`` cannot drive the cards of this machine; "" when it can or there is none."""
    needs = DRIVES[stack]
    for gpu in gpus:
        if gpu.capability and gpu.capability > needs.highest:
            return (
                f"{_describe(gpu)} is newer than {needs.torch} can drive "
                f"(up to {_dotted(needs.highest)})"
            )
        if gpu.capability and gpu.capability < needs.lowest:
            return (
                f"{_describe(gpu)} is older than {needs.torch} with {needs.cuda} can drive "
                f"(from {_dotted(needs.lowest)})"
            )
        driver = int((_numbers(gpu.driver) or [0])[0])
        if driver < needs.driver:
            return (
                f"{needs.cuda} needs NVIDIA driver {needs.driver} or newer and this one is "
                f"{gpu.driver}: update it" + (_older_wheels(driver) if needs is CURRENT else "")
            )
    return ""


def _older_wheels(driver: int) -> str:
    """Which wheels of the same releases suit an older driver."""
    if driver < 525:  # the oldest that runs CUDA 12 programs
        return ""
    cuda = "12.9" if driver >= 575 else "12.8"
    return (
        f", or replace torch, torchaudio and k2 by hand with their CUDA {cuda} wheels "
        f"(torch 2.11.0+cu{cuda.replace('.', '')}, k2 ...+cuda{cuda}.torch2.11.0)"
    )


def _reason(stack: str, facts: Facts, version: str, asked: str) -> str:
    if asked != "auto":
        why = "asked for"
    elif stack == "k2":
        why = f"{facts.k2_index} has k2 for it"
    elif stack == "k2-pypi":
        why = "the package registry has k2 for it"
    else:
        why = "what remains; CTC by torch, no k2"
    cards = ", ".join(sorted({_describe(g) for g in facts.gpus})) or "no GPU"
    return f"Python {version} ({facts.pythons[version]}), {cards}; {why}"


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


def _numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r"\d+", text)]


# ---- gathering the facts -----------------------------------------------------------------------


def find_pythons(named: str = "") -> dict[str, str]:
    """A CPython for each version some stack can use, each tried by running it."""
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    found: dict[str, str] = {}
    for version in sorted({v for stack in PYTHONS.values() for v in stack}, key=_numbers):
        name = f"python{version}"
        on_path = [shutil.which(name), shutil.which("python3")]
        candidates = [path for path in on_path if path]
        candidates += sorted(map(str, pyenv.glob(f"versions/{version}*/bin/{name}")), key=_numbers)
        uv = home / ".local" / "share" / "uv" / "python"
        candidates += sorted(map(str, uv.glob(f"cpython-{version}*/bin/{name}")), key=_numbers)
        for candidate in [named] if named else candidates:
            path = _is_cpython(candidate, version)
            if path:
                found[version] = path
                break
    return found


def _is_cpython(path: str, version: str) -> str | None:
    """The interpreter behind ``path`` if that is a CPython of the version (shims may fail)."""
    code = (
        "import os, sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2],"
        " os.path.realpath(sys.executable), sep='\\n')"
    )
    try:
        done = subprocess.run([path, "-c", code], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.splitlines()
    return lines[2] if len(lines) == 3 and lines[:2] == ["cpython", version] else None


def find_gpus() -> tuple[list[Gpu], str]:
    """The cards nvidia-smi lists, and why it could not list them ("" if it could or is missing)."""
    if not shutil.which("nvidia-smi"):
        return [], ""
    for fields in ("name,driver_version,compute_cap", "name,driver_version"):
        command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired) as problem:
            return [], str(problem)
        if done.returncode == 0:
            return [_gpu(line) for line in done.stdout.splitlines() if line.strip()], ""
        trouble = (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"
    return [], trouble.splitlines()[-1]


def _gpu(line: str) -> Gpu:
    """One line of nvidia-smi; old versions do not know compute_cap."""
    name, driver, *rest = [field.strip() for field in line.split(",")]
    numbers = _numbers(rest[0]) if rest else []
    return Gpu(name, (numbers[0], numbers[1]) if len(numbers) == 2 else None, driver)


def locked_k2() -> str:
    """The version of k2 in requirements/k2.txt."""
    text = (ROOT / "requirements" / "k2.txt").read_text(encoding="utf-8")
    return re.findall(r"^k2==(\S+)", text, re.MULTILINE)[0]


def probe_index(index: str) -> tuple[list[str], str]:
    """Python versions the index (URL, file:// or folder) has the locked k2 for; and a problem."""
    path = Path(re.sub("^file://", "", index))
    answer: list[str] = []
    try:
        if path.is_dir():
            answer = [p.name for p in path.iterdir()]
        elif "://" not in index or index.startswith("file://"):
            answer = [path.read_text(encoding="utf-8")]
        else:
            answer = [_fetch(index)]
    except (OSError, ValueError) as problem:
        return [], str(getattr(problem, "reason", problem))
    listing = "\n".join(answer).replace("%2B", "+")
    pattern = re.escape(f"k2-{locked_k2()}-") + r"cp3(\d+)-"
    versions = sorted({f"3.{minor}" for minor in re.findall(pattern, listing)}, key=_numbers)
    return versions, "" if versions else f"it does not list k2 {locked_k2()}"


def _fetch(url: str) -> str:
    """The page, within PROBE_SECONDS all told: a name look-up has no time-out of its own."""
    result: list[object] = [TimeoutError(f"no answer within {PROBE_SECONDS:.0f} s")]

    def get() -> None:
        try:
            with urllib.request.urlopen(url, timeout=PROBE_SECONDS) as page:
                result[0] = page.read().decode("utf-8", "replace")
        except (OSError, ValueError) as problem:
            result[0] = problem

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    if isinstance(result[0], Exception):
        raise result[0]
    return str(result[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stack", default="auto", choices=("auto", *STACKS))
    parser.add_argument("--python", default="", help="the interpreter to build on")
    parser.add_argument("--k2-index", required=True, help="URL, file:// or folder of k2's wheels")
    args = parser.parse_args()
    wheels, problem = probe_index(args.k2_index) if args.stack in ("auto", "k2") else ([], "")
    gpus, gpu_trouble = find_gpus()
    system = f"{sys.platform}-{platform.machine()}"
    facts = Facts(system, find_pythons(args.python), gpus, args.k2_index, wheels, problem)
    try:
        choice = choose(facts, args.stack)
    except ValueError as error:
        sys.exit(f"error: {error}")
    warnings = list(choice.warnings)
    if gpu_trouble:
        warnings.append(f"nvidia-smi fails, so no GPU is assumed: {gpu_trouble}")
    say = "setup_env:"
    print(f"{say} stack {choice.stack}: {choice.reason}", file=sys.stderr)
    for stack, why in choice.passed:
        print(f"{say}   passed over {stack}: {why}", file=sys.stderr)
    for warning in warnings:
        print(f"{say} warning: {warning}", file=sys.stderr)
    print(choice.stack, choice.python, sep="\t")


if __name__ == "__main__":
    main()
