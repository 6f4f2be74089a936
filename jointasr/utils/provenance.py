"""Origin of results: software stack, versions and commit. Nothing about the machine."""

import subprocess
from functools import cache
from importlib import metadata

from jointasr.utils.project import ROOT


def version(package: str) -> str | None:
    """Return the version of an installed package without importing it, or None."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@cache
def stack() -> str:
    """Return the software stack in use: k2, k2-pypi or torch (see utils/setup_env.sh)."""
    if version("k2") is None:
        return "torch"
    return "k2-pypi" if (version("torch") or "").startswith("1.") else "k2"


def commit() -> str:
    """Return the commit, with ``+`` for uncommitted changes; ``unknown`` outside git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty=+", "--abbrev=12"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return result.stdout.strip() if result.returncode == 0 else "unknown"
