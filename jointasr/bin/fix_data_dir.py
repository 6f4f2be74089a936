"""Fix a Kaldi data dir: sort its tables, drop utterances that are not in all of them."""

import argparse
import shutil
from pathlib import Path

from jointasr.config.layout import CUTS
from jointasr.data import datadir
from jointasr.utils import jsonl
from jointasr.utils.errors import DataError, run

BACKUP = ".backup"


def main() -> None:
    args = _parse()
    if not args.dir.is_dir():
        raise DataError(f"{args.dir}: no such folder")
    backup = args.dir / BACKUP
    backup.mkdir(exist_ok=True)
    for name in (*datadir.TABLES, CUTS):
        if (args.dir / name).is_file():
            shutil.copy2(args.dir / name, backup / name)
    changes = datadir.fix(args.dir) + _fix_cuts(args.dir)
    for change in changes:
        print(change)
    count = len(datadir.read_table(args.dir / "utt2spk"))
    print(f"{args.dir}: {len(changes)} changes, {count} utterances; the old files are in {backup}")


def _fix_cuts(path: Path) -> list[str]:
    """Drop cuts that are not in the tables; return a message for each."""
    if not (path / CUTS).is_file():
        return []
    keep = datadir.read_table(path / "utt2spk").keys()
    dropped = sorted({item["id"] for item in jsonl.read(path / CUTS)} - keep)
    if dropped:
        from jointasr.data import manifest

        manifest.subset(path, path, keep)
    return [f"{path / CUTS}: dropped {name} (not in the tables)" for name in dropped]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir", type=Path, help="data dir")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
