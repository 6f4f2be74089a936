"""Create the train_*, dev_* and test_* data dirs of each fold as subsets of the archived sets."""

import argparse
import io
from contextlib import redirect_stdout
from pathlib import Path

from jointasr.config import arguments, layout, scenarios
from jointasr.data import datadir
from jointasr.prep import folds
from jointasr.utils import done, locks
from jointasr.utils.errors import run

CODE = "jointasr.bin.make_fold_dirs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data folder with the archived sets")
    arguments.add_tests(parser)
    arguments.add_scheme(parser)
    arguments.add_folds(parser)
    args = parser.parse_args()
    scheme_dir = layout.scheme_dir(args.data, args.scheme)
    names = folds.select(scheme_dir, args.folds.split())
    subsets = fold_subsets(args.tests)
    with locks.held(scheme_dir):
        written = write(args.data, scheme_dir, names, subsets)
    unchanged = len(names) * len(subsets) - written
    print(f"{scheme_dir}: {len(names)} folds; {written} data dirs made, {unchanged} up to date")


def write(
    data: Path, scheme_dir: Path, names: list[str], subsets: dict[str, tuple[str, str]]
) -> int:
    """Write the data dirs that are not up to date and return their number."""
    written = 0
    for name, (set_name, split) in subsets.items():
        archived = data / set_name
        inputs = [scheme_dir, archived, archived / "digests.tsv"]
        with redirect_stdout(io.StringIO()):  # print one line in total, not one per data dir
            todo = [f for f in names if done.check(scheme_dir / f / name, CODE, {}, inputs)]
        written += len(todo)
        if not todo:
            continue

        from jointasr.data import manifest

        cuts = manifest.load(archived)
        for fold in todo:
            fold_dir = scheme_dir / fold
            ids = datadir.read_list(layout.list_file(fold_dir, split))
            manifest.write(manifest.pick(cuts, ids, archived), fold_dir / name, parts=False)
            done.write(fold_dir / name, CODE, {}, inputs)
    return written


def fold_subsets(tests: Path) -> dict[str, tuple[str, str]]:
    """Return ``{name of a fold's data dir: (archived set, list of utterances)}``."""
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
