"""A copy of the project to run recipes in, with the environment that runs the tests."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from jointasr.utils.project import ROOT


class Copy:
    """The files of the working tree that git does not ignore, copied to ``home``."""

    def __init__(self, home: Path) -> None:
        self.home = home
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_symlink() or (ROOT / name).is_file():
                (home / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, home / name, follow_symlinks=False)

    def run(self, *command: str, ok: bool = True, **env: str) -> str:
        """Run a command in ``home``, check that it succeeds (fails, if not ``ok``).

        Return its output, which is also added to ``<home>/test.log``.
        """
        result = subprocess.run(
            command,
            cwd=self.home,
            env={**os.environ, "JOINTASR_VENV": sys.prefix, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        with (self.home / "test.log").open("a", encoding="utf-8") as log:
            log.write(f"$ {' '.join(command)}\n{result.stdout}\n")
        assert (result.returncode == 0) == ok, result.stdout[-6000:]
        return result.stdout

    def cells(self, recipe: str) -> dict[tuple[str, str, str, str], dict[str, Any]]:
        """Cells of results.json by (system, training set, test, method)."""
        path = self.home / recipe / "exp" / "results.json"
        cells = json.loads(path.read_text(encoding="utf-8"))
        return {(c["system"], c["train"], c["test"], c["method"]): c for c in cells}

    def bash_blocks(self, page: str) -> list[str]:
        """The bash blocks of a Markdown page of the project."""
        text = (self.home / page).read_text(encoding="utf-8")
        return re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
