"""Cut the archived sets down to folds: train_*, dev_* and test_* data dirs of each fold."""

import argparse
import io
from contextlib import redirect_stdout
from pathlib import Path

from jointasr.config import layout, scenarios
from jointasr.data import datadir
from jointasr.prep import folds
from jointasr.utils import done, locks
from jointasr.utils.errors import run

CODE = "jointasr.bin.make_fold_dirs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data folder with the archived sets")
    parser.add_argument("--tests", type=scenarios.tests_file, default="", help="table of scenarios")
    parser.add_argument("--scheme", choices=folds.SCHEMES, default="speaker")
    parser.add_argument("--folds", default="", help="which; default: all")
    args = parser.parse_args()
    home = layout.scheme_dir(args.data, args.scheme)
    names = folds.select(home, args.folds.split())
    wanted = targets(args.tests)
    with locks.held(home):
        made = make(args.data, home, names, wanted)
    kept = len(names) * len(wanted) - made
    print(f"{home}: {len(names)} folds; {made} data dirs made, {kept} up to date")


def make(data: Path, home: Path, names: list[str], wanted: dict[str, tuple[str, str]]) -> int:
    """Make the data dirs that are not up to date; returns how many."""
    made = 0
    for name, (part, split) in wanted.items():
        archived = data / part
        inputs = [home, archived, archived / "digests.tsv"]
        with redirect_stdout(io.StringIO()):  # a line per fold and set would say little
            left = [f for f in names if done.check(home / f / name, CODE, {}, inputs)]
        made += len(left)
        if not left:
            continue

        from jointasr.data import manifest

        cuts = manifest.load(archived)
        for fold in left:
            ids = datadir.read_list(layout.list_file(home / fold, split))
            manifest.write(manifest.pick(cuts, ids, archived), home / fold / name, parts=False)
            done.write(home / fold / name, CODE, {}, inputs)
    return made


def targets(tests: Path) -> dict[str, tuple[str, str]]:
    """``{data dir of a fold: (archived set, list)}``."""
    return {
        "train_clean": (scenarios.CLEAN, "train"),
        "dev_clean": (scenarios.CLEAN, "dev"),
        "train_noisy": (scenarios.TRAIN_NOISY, "train"),
        "dev_noisy": (scenarios.DEV_NOISY, "dev"),
        **{
            layout.test_dir(Path(), name).name: (name, "test")
            for name in scenarios.read_tests(tests)
        },
    }


if __name__ == "__main__":
    run(main)
