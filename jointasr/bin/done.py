"""The .done record of a step that a shell script fans out: check before, write after."""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from jointasr import done
from jointasr.errors import DataError, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("check", "write"), help="check prints `todo` or `done`")
    parser.add_argument("--out", type=Path, required=True, help="folder the step fills")
    parser.add_argument("--code", required=True, help="entry module or script of the step")
    parser.add_argument("--input", type=Path, action="append", default=[], help="what it reads")
    parser.add_argument("--option", action="append", default=[], help="key=value that matters")
    args = parser.parse_args()
    options = dict(_pair(text) for text in args.option)
    if args.action == "write":
        done.write(args.out, args.code, options, args.input)
        return
    with redirect_stdout(sys.stderr):
        todo = done.check(args.out, args.code, options, args.input)
    print("todo" if todo else "done")


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise DataError(f"--option {text}: expected key=value")
    return key, value


if __name__ == "__main__":
    run(main)
