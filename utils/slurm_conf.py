"""conf/slurm.conf: how jobs are submitted to Slurm. The file itself describes its lines."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple


class Conf(NamedTuple):
    """The content of slurm.conf."""

    command: list[str]
    options: dict[tuple[str, str], list[str]]
    """words by option and value; the value * matches all other values"""
    defaults: dict[str, str]
    requeues: int

    def words(self, given: dict[str, str]) -> list[str]:
        """Return the command with the words of all options.

        Raises ValueError for a value that has no ``option`` line.
        """
        words = list(self.command)
        for name, value in {**self.defaults, **given}.items():
            added = self.options.get((name, value), self.options.get((name, "*")))
            if added is None:
                raise ValueError(f"--{name} {value}: conf/slurm.conf has no `option {name}=*` line")
            words += [word.replace("$0", value) for word in added]
        return words


def read_conf(path: Path) -> Conf:
    """Read a slurm.conf file; raises ValueError that names a malformed line."""
    conf = Conf([], {}, {}, 20)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from None
        kind, rest = (words[0], words[1:]) if words else ("", [])
        name, equals, value = rest[0].partition("=") if rest else ("", "", "")
        if kind == "command" and rest:
            conf = conf._replace(command=rest)
        elif kind == "option" and name and equals:
            conf.options[name, value] = rest[1:]
        elif kind == "default" and name and equals and len(rest) == 1:
            conf.defaults[name] = value
        elif kind == "requeues" and len(rest) == 1 and rest[0].isdigit():
            conf = conf._replace(requeues=int(rest[0]))
        elif words:
            raise ValueError(f"{path}:{number}: not a line of slurm.conf: {line.strip()}")
    if not conf.command:
        raise ValueError(f"{path}: there is no `command` line")
    return conf
