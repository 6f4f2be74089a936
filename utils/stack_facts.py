"""Find out what the choice of a stack depends on: Pythons, GPUs, driver, k2's index of wheels.

Standard library only: used by choose_stack.py before an environment exists.
"""

from __future__ import annotations  # for old versions of python3

import os
import re
import shutil
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
INDEX_TIMEOUT = 5.0
"""seconds"""


class Gpu(NamedTuple):
    """A GPU as nvidia-smi describes it."""

    name: str
    capability: tuple[int, int] | None
    """compute capability; None where nvidia-smi does not report it"""
    driver: str


class Facts(NamedTuple):
    """All that the choice depends on."""

    platform: str
    """such as "linux-x86_64\""""
    pythons: dict[str, str]
    """path of a CPython by version, such as "3.10\""""
    gpus: list[Gpu]
    k2_index: str
    """URL or folder of k2's wheels"""
    wheels: list[str]
    """Python versions for which the index has the locked version of k2"""
    index_problem: str
    """why the index cannot be used, or \"\""""


def version_numbers(text: str) -> list[int]:
    """Return all numbers in a text, e.g. [3, 10] for "python3.10": a key to sort versions by."""
    return [int(number) for number in re.findall(r"\d+", text)]


def find_pythons(versions: Iterable[str], path: str = "") -> dict[str, str]:
    """Return {version: path of a CPython}, each tested by running it.

    ``path``: the only interpreter to consider; otherwise PATH, pyenv and uv are searched.
    """
    home = Path.home()
    pyenv = Path(os.environ.get("PYENV_ROOT") or home / ".pyenv")
    uv = home / ".local" / "share" / "uv" / "python"
    pythons: dict[str, str] = {}
    for version in sorted(versions, key=version_numbers):
        name = f"python{version}"
        candidates = [file for file in (shutil.which(name), shutil.which("python3")) if file]
        for folder, pattern in ((pyenv / "versions", f"{version}*"), (uv, f"cpython-{version}*")):
            matches = map(str, folder.glob(f"{pattern}/bin/{name}"))
            candidates += sorted(matches, key=version_numbers)
        for candidate in [path] if path else candidates:
            interpreter = _cpython(candidate, version)
            if interpreter:
                pythons[version] = interpreter
                break
    return pythons


def _cpython(path: str, version: str) -> str | None:
    """Return the interpreter that ``path`` starts, if it is a CPython of that version.

    ``path`` may be a shim, such as pyenv's, which fails for versions that are not installed.
    """
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
    """Return the GPUs that nvidia-smi lists, and its error message.

    The message is "" where nvidia-smi works or does not exist.
    """
    if not shutil.which("nvidia-smi"):
        return [], ""
    for fields in ("name,driver_version,compute_cap", "name,driver_version"):
        command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        except (OSError, subprocess.TimeoutExpired) as error:
            return [], str(error)
        if done.returncode == 0:
            return [_parse_gpu(line) for line in done.stdout.splitlines() if line.strip()], ""
        message = (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"
    return [], message.splitlines()[-1]


def _parse_gpu(line: str) -> Gpu:
    """Parse a line of nvidia-smi's CSV output; old versions do not report compute_cap."""
    name, driver, *rest = [field.strip() for field in line.split(",")]
    numbers = version_numbers(rest[0]) if rest else []
    return Gpu(name, (numbers[0], numbers[1]) if len(numbers) == 2 else None, driver)


def locked_k2() -> str:
    """Return the version of k2 in requirements/k2.txt."""
    text = (ROOT / "requirements" / "k2.txt").read_text(encoding="utf-8")
    return re.findall(r"^k2==(\S+)", text, re.MULTILINE)[0]


def probe_index(index: str) -> tuple[list[str], str]:
    """Return the Python versions for which an index has the locked k2, and what is wrong with it.

    ``index``: a URL, a file:// URL, a folder or an HTML file.
    """
    path = Path(re.sub("^file://", "", index))
    try:
        if path.is_dir():
            listing = "\n".join(file.name for file in path.iterdir())
        elif "://" not in index or index.startswith("file://"):
            listing = path.read_text(encoding="utf-8")
        else:
            listing = _download(index)
    except (OSError, ValueError) as error:
        return [], str(getattr(error, "reason", error))
    pattern = re.escape(f"k2-{locked_k2()}-") + r"cp3(\d+)-"
    minor_versions = set(re.findall(pattern, listing.replace("%2B", "+")))
    versions = sorted((f"3.{minor}" for minor in minor_versions), key=version_numbers)
    return versions, "" if versions else f"it does not list k2 {locked_k2()}"


def _download(url: str) -> str:
    """Return a page; raise TimeoutError after INDEX_TIMEOUT, name look-up included.

    A thread, because the time-out of urlopen does not cover the name look-up.
    """
    result: list[object] = [TimeoutError(f"no answer within {INDEX_TIMEOUT:.0f} s")]

    def get() -> None:
        try:
            with urllib.request.urlopen(url, timeout=INDEX_TIMEOUT) as page:
                result[0] = page.read().decode("utf-8", "replace")
        except (OSError, ValueError) as error:
            result[0] = error

    thread = threading.Thread(target=get, daemon=True)
    thread.start()
    thread.join(INDEX_TIMEOUT)
    if isinstance(result[0], Exception):
        raise result[0]
    return str(result[0])
