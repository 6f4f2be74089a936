"""Where a number comes from: software stack, versions, commit. Nothing of the machine."""

import subprocess
from functools import cache
from importlib import metadata

from jointasr.utils.project import ROOT


def version(package: str) -> str | None:
    """Installed version of a package, without importing it; None if it is not there."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def stack() -> str:
    """The software stack in use: k2, k2-pypi or torch (docs of utils/setup_env.sh)."""
    if version("k2") is None:
        return "torch"
    return "k2-pypi" if (version("torch") or "").startswith("1.") else "k2"


def commit() -> str:
    """The project's commit, with ``+`` for uncommitted changes; ``unknown`` outside git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else "unknown"
