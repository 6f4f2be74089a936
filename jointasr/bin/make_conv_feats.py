"""Archive the outputs of a frozen convolutional feature extractor as Kaldi CM2 matrices.

`todo` prints the digest of the extractor's weights and the sets that lack its features, `write`
writes the part of one job to <data>/<set>/conv_<digest>/, `combine` joins the parts in feats.scp.
"""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from jointasr.config import arguments, layout, scenarios
from jointasr.utils import done
from jointasr.utils.errors import run

CODE = "jointasr.bin.make_conv_feats"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("todo", "write", "combine"))
    parser.add_argument("data", type=Path, help="data folder with the archived sets")
    parser.add_argument("--model", default="", help="encoder checkpoint: folder or hub id")
    parser.add_argument("--digest", default="", help="for `combine`: the digest printed by `todo`")
    arguments.add_set_jobs(parser, default_sets="test scenarios")
    args = parser.parse_args()
    sets = args.sets.split() or list(scenarios.read_tests(args.tests))
    scenarios.pools(args.tests, sets)  # an unknown name is an error
    if args.action == "combine":
        combine(args.data, sets, args.digest, args.jobs)
        return

    from jointasr.prep import conv_feats

    extractor = conv_feats.Extractor(args.model)
    if args.action == "todo":
        with redirect_stdout(sys.stderr):
            todo = [name for name in sets if check(args.data / name, extractor.digest)]
        print(extractor.digest, *todo)
        return
    for name in sets:
        conv_feats.write_share(extractor, args.data / name, args.job, args.jobs)


def combine(data: Path, sets: list[str], digest: str, jobs: int) -> None:
    """Join the tables of all jobs for each set and mark it as finished."""
    from jointasr.prep import conv_feats

    for name in sets:
        conv_feats.combine(data / name, digest, jobs)
        archived = data / name
        done.write(layout.conv_dir(archived, digest), CODE, {"digest": digest}, inputs(archived))


def check(archived: Path, digest: str) -> bool:
    """Return whether the features of a set have to be computed."""
    return done.check(layout.conv_dir(archived, digest), CODE, {"digest": digest}, inputs(archived))


def inputs(archived: Path) -> list[Path]:
    """Return the inputs of the features of a set."""
    return [archived, archived / "digests.tsv"]


if __name__ == "__main__":
    run(main)
