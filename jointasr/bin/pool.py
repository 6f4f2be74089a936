"""Score the decode folders of systems, pool them over folds and update results.json."""

import argparse
import sys
from pathlib import Path

from jointasr.config import arguments, layout, scenarios
from jointasr.scoring import pooling, results_json
from jointasr.scoring.results_json import CellKey
from jointasr.utils import locks
from jointasr.utils.errors import DataError, run


def main() -> None:
    args = _parse()
    with locks.held(args.results):  # other jobs may update the file at the same time
        pool(args)


def pool(args: argparse.Namespace) -> None:
    """Score and pool; replace the cells of the given systems, tests and decoding method."""
    tests = list(scenarios.read_tests(args.tests))
    decoded, missing = pooling.find_decoded_folds(
        args.systems, args.folds.split(), tests, args.method
    )
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

    merged = results_json.merge(results_json.read(args.results), cells, is_requested, tests)
    results_json.write(args.results, merged)
    print(
        f"{args.results}: {len(cells)} cells from {len(decoded)} decode folders, "
        f"{len(merged) - len(cells)} other cells unchanged"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("systems", nargs="+", type=Path, help="folders exp/<name>_<clean|noisy>")
    arguments.add_tests(parser)
    arguments.add_folds(parser)
    arguments.add_method(parser)
    parser.add_argument("--results", type=Path, required=True, help="results.json to update")
    parser.add_argument("--command", required=True, help="command to record in the cells")
    parser.add_argument(
        "--allow-missing", action="store_true", help="pool the finished decode folders"
    )
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
