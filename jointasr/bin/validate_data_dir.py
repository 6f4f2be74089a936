"""Check a Kaldi data dir and its cuts; print all problems."""

import argparse
import sys
from pathlib import Path

from jointasr.config import layout
from jointasr.data import datadir
from jointasr.utils.errors import DataError, run


def main() -> None:
    args = _parse()
    if not args.dir.is_dir():
        raise DataError(f"{args.dir}: no such folder")
    problems = _problems(args.dir, not args.no_audio)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise DataError(f"{args.dir}: {len(problems)} problems{_hint(args.dir)}")
    utterances = datadir.read_table(args.dir / "utt2spk")
    print(f"{args.dir}: ok, {len(utterances)} utterances, {len(set(utterances.values()))} speakers")


def _problems(path: Path, audio: bool) -> list[str]:
    """Return the problems of the tables, and of the cuts if the data dir has any."""
    if not (path / layout.CUTS).is_file():
        return datadir.validate(path, audio)
    from jointasr.data import manifest

    return manifest.validate(path, audio)


def _hint(path: Path) -> str:
    """Suggest fix_data_dir.sh if it would change a table.

    It does not restore tables that differ from the cuts, nor edit values or audio.
    """
    try:
        fixable = bool(datadir.fix(path, dry_run=True))
    except DataError:
        fixable = False
    return f"; utils/fix_data_dir.sh {path} drops incomplete utterances and sorts" * fixable


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir", type=Path, help="data dir")
    parser.add_argument("--no-audio", action="store_true", help="do not open the audio files")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
