"""Score all decode folders of the systems given, pool each over folds, write results.json."""

import argparse
import sys
from pathlib import Path

from jointasr.config import layout, scenarios
from jointasr.scoring import pooling, results
from jointasr.scoring.results import CellKey
from jointasr.utils import locks
from jointasr.utils.errors import DataError, run


def main() -> None:
    args = _parse()
    with locks.held(args.results):  # other systems of the same table may be scored just now
        pool(args)


def pool(args: argparse.Namespace) -> None:
    """Score, pool, and put the cells of these systems in the place of their older ones."""
    tests = list(scenarios.read_tests(args.tests))
    decoded, missing = pooling.find(args.systems, args.folds.split(), tests, args.method)
    if missing:
        message = pooling.missing_message(missing, len(decoded) + len(missing))
        if not args.allow_missing or not decoded:
            raise DataError(message)
        print(f"warning: {message}", file=sys.stderr)
    cells = pooling.pool(pooling.score_all(decoded), args.command)
    names = {path.name for path in args.systems}

    def is_requested(key: CellKey) -> bool:
        system, method, train, test = key
        return (
            layout.system_name(system, train) in names and method == args.method and test in tests
        )

    merged = results.merge(results.read(args.results), cells, is_requested, tests)
    results.write(args.results, merged)
    print(
        f"{args.results}: {len(cells)} cells from {len(decoded)} decode folders, "
        f"{len(merged) - len(cells)} kept from before"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("systems", nargs="+", type=Path, help="folders exp/<name>_<clean|noisy>")
    parser.add_argument("--tests", type=scenarios.tests_file, default="", help="table of scenarios")
    parser.add_argument("--folds", default="", help="ids, blank between; default: all there are")
    parser.add_argument("--method", default=layout.DEFAULT_METHOD, help="of decoding")
    parser.add_argument("--results", type=Path, required=True, help="results.json to update")
    parser.add_argument("--command", required=True, help="what made all this, for the reader")
    parser.add_argument("--allow-missing", action="store_true", help="pool what is there")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
