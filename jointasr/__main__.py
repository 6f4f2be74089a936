"""The ``jointasr`` command: use of trained models. ``run.sh`` runs the stages of a recipe."""

import sys
from importlib import import_module

from jointasr.utils.errors import run

COMMANDS = {"recognize": "jointasr.bin.recognize", "demo": "jointasr.bin.demo"}


def main() -> None:
    names = ", ".join(COMMANDS)
    if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
        program = import_module(COMMANDS[sys.argv.pop(1)])
        run(program.main)
    else:
        print(f"usage: jointasr COMMAND ...; commands: {names}; see jointasr COMMAND --help")
        sys.exit(0 if sys.argv[1:] == ["--help"] else 2)


if __name__ == "__main__":
    main()
