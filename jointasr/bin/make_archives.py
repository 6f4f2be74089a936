"""Archive the clean and the noisy sets as int16 waveforms: what is to do, a job's share, the end.

`todo` prints the names of the sets that are not up to date, `write` archives a share of them,
`combine` makes data dirs of the shares, checks them and records that they are finished. `verify`
reads every sample of finished sets again.
"""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from jointasr.config import layout, scenarios
from jointasr.utils import done
from jointasr.utils.errors import DataError, run

CODE = "jointasr.bin.make_archives"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("todo", "write", "combine", "verify"))
    parser.add_argument("data", type=Path, help="data folder: local/selected and local/mix in it")
    parser.add_argument("--musan", type=Path, required=True, help="noise, data/local/musan")
    parser.add_argument("--tests", type=scenarios.tests_file, default="", help="table of scenarios")
    parser.add_argument("--sets", default="", help="which; default: all")
    parser.add_argument("--job", type=int, default=1, help="this job's number, from 1")
    parser.add_argument("--jobs", type=int, default=1, help="number of jobs")
    args = parser.parse_args()
    pools = scenarios.pools(args.tests, args.sets.split())
    if args.action == "todo":
        with redirect_stdout(sys.stderr):
            left = [
                name for name in pools if done.check(args.data / name, CODE, {}, inputs(args, name))
            ]
        print(*left)
        return

    from jointasr.prep import archiving

    if args.action == "write":
        archiving.write_share(args.data, args.musan, pools, args.job, args.jobs)
        return
    if args.action == "verify":
        bad = [line for name in pools for line in archiving.verify(args.data / name)]
        if bad:
            raise DataError("\n  ".join([f"{len(bad)} utterances are not as archived:", *bad]))
        return
    for name in pools:
        archiving.combine(args.data, name, args.jobs)
        done.write(args.data / name, CODE, {}, inputs(args, name))


def inputs(args: argparse.Namespace, name: str) -> list[Path]:
    """Finished steps that a set is made from; the plan itself, because it measures the audio."""
    selected = layout.selected_dir(args.data)
    if name == scenarios.CLEAN:
        return [selected]
    mix = layout.mix_dir(args.data, name)
    return [selected, args.musan, mix, mix / "mixtures.jsonl.gz"]


if __name__ == "__main__":
    run(main)
