"""Checks of the Python version and of the installed libraries, and the text for bug reports.

Only the standard library is imported at the top, so that the checks also run in a broken
environment.
"""

import importlib
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import jointasr
from jointasr.doctor import machine
from jointasr.doctor.result import CheckResult, first_line
from jointasr.utils import files, provenance
from jointasr.utils.project import ROOT

IMPORT_NAMES = {
    "pyyaml": "yaml",
    "espeakng-loader": "espeakng_loader",
    "silero-vad": "silero_vad",
    "flashlight-text": "flashlight.lib.text",
}
"""import names of packages, where they differ from the package names"""


def python() -> CheckResult:
    """Compare the version of the interpreter with the versions that the stack is locked for."""
    stack = provenance.stack()
    newest = (3, 10) if stack == "k2-pypi" else (3, 13)
    ok = (3, 10) <= sys.version_info[:2] <= newest and sys.implementation.name == "cpython"
    detail = f"{platform.python_implementation()} {platform.python_version()}, stack {stack}"
    return CheckResult("Python", ok, detail, f"utils/setup_env.sh --stack {stack}")


def libraries() -> list[CheckResult]:
    """Compare installed versions with the lock file and import each required library."""
    stack = provenance.stack()
    lock = ROOT / "requirements" / f"{stack}.txt"
    fix = f"utils/setup_env.sh --stack {stack}"
    locked = read_lock(lock)
    custom = not (Path(sys.prefix) / "jointasr.lock").exists()  # not created by utils/setup_env.sh
    differences = [
        f"{name} {provenance.version(name) or 'is missing'} ({version} is locked)"
        for name, version in sorted(locked.items())
        if provenance.version(name) != version
    ]
    if custom and differences:
        detail = f"custom environment; differs from {lock.name}: " + ", ".join(differences)
        results = [CheckResult("versions", True, detail)]
    elif differences:
        reinstall = f"rm .venv-{stack}/jointasr.lock; {fix}"
        results = [CheckResult("versions", False, ", ".join(differences), reinstall)]
    else:
        results = [
            CheckResult("versions", True, f"{len(locked)} libraries as locked in {lock.name}")
        ]
    return results + [_import(name, fix) for name in required_libraries(stack)]


def _import(name: str, fix: str) -> CheckResult:
    try:
        importlib.import_module(IMPORT_NAMES.get(name, name))
    except Exception as error:  # a broken library may raise anything
        return CheckResult(name, False, f"cannot be imported: {first_line(error)}", fix)
    return CheckResult(name, True, provenance.version(name) or "imported")


def read_lock(path: Path) -> dict[str, str]:
    """Read ``{library: version}`` from a lock file, for this Python version and platform."""
    from packaging.requirements import Requirement

    versions: dict[str, str] = {}
    for line in files.read_text(path).splitlines():
        if line.startswith("-r "):
            versions |= read_lock(path.parent / line[3:].strip())
        elif re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.rstrip(" \\"))
            if requirement.marker is None or requirement.marker.evaluate():
                versions[requirement.name] = next(iter(requirement.specifier)).version
    return versions


def required_libraries(stack: str) -> list[str]:
    """Return the libraries listed in requirements/<stack>.in, and k2 where the stack has it."""
    pending, names = [f"{stack}.in"], []
    if stack == "k2":
        pending.append("torch.in")
    while pending:
        file = ROOT / "requirements" / pending.pop()
        for line in files.read_text(file).splitlines():
            if line.startswith("-r "):
                pending.append(line[3:].strip())
            elif re.match(r"[a-z]", line):
                names.append(re.split(r"[=<>~; ]", line)[0])
    if stack != "torch":
        names.append("k2")
    return sorted(set(names))


def bug_report(results: Sequence[CheckResult], facts: Mapping[str, str]) -> str:
    """Describe the installation for a bug report, without users, hosts or corpus paths."""
    stack = provenance.stack()
    names = ["torch", "torchaudio", "k2", "transformers", "lhotse", "kaldiio", "numpy"]
    versions = [f"{name} {provenance.version(name)}" for name in names if provenance.version(name)]
    failed = [result.name for result in results if not result.ok]
    lines = [
        f"jointasr {jointasr.__version__}, commit {provenance.commit()}, stack {stack}",
        f"Python {platform.python_version()}, {platform.system()} {platform.release()} "
        f"{platform.machine()}, {' '.join(platform.libc_ver())}",
        ", ".join(versions),
        f"GPUs: {'; '.join(machine.list_gpus()) or 'none'}",
        *(f"{key}: {value}" for key, value in facts.items()),
        f"failed: {', '.join(failed) or 'none'}",
    ]
    return "\n".join(lines)
