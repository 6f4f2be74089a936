"""Result of a check. Imports the standard library only, to work in broken environments."""

from typing import NamedTuple


class CheckResult(NamedTuple):
    """Result of a check: one line of output."""

    name: str
    ok: bool
    detail: str
    fix: str = ""
    """a command, or an instruction where no command exists"""

    def __str__(self) -> str:
        if self.ok:
            return f"ok    {self.name}: {self.detail}"
        return f"FAIL  {self.name}: {self.detail}. fix: {self.fix}"


def first_line(error: BaseException) -> str:
    """Return the type of an exception and the first line of its message."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
