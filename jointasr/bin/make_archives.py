"""Archive the clean and the noisy sets as int16 waveforms.

`todo` prints the sets that are not up to date and compares the selected data dir with its cuts,
`write` archives the part of one job, `combine` joins the parts into data dirs, checks them and
marks the sets as finished. `verify` compares every sample of finished sets with its digest.
"""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from jointasr.config import arguments, layout, scenarios
from jointasr.prep import mixture_plans
from jointasr.utils import done
from jointasr.utils.errors import DataError, run

CODE = "jointasr.bin.make_archives"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("todo", "write", "combine", "verify"))
    parser.add_argument("data", type=Path, help="data folder with local/selected and local/mix")
    parser.add_argument("--musan", type=Path, required=True, help="noise, data/local/musan")
    arguments.add_set_jobs(parser)
    args = parser.parse_args()
    pools = scenarios.pools(args.tests, args.sets.split())
    if args.action == "todo":
        with redirect_stdout(sys.stderr):
            todo = [
                name for name in pools if done.check(args.data / name, CODE, {}, inputs(args, name))
            ]
            if todo:
                from jointasr.data import manifest

                manifest.load(layout.selected_dir(args.data))  # raises DataError for edited tables
        print(*todo)
        return

    from jointasr.prep import archiving

    if args.action == "write":
        archiving.write_share(args.data, args.musan, pools, args.job, args.jobs)
        return
    if args.action == "verify":
        bad = [line for name in pools for line in archiving.verify(args.data / name)]
        if bad:
            raise DataError("\n  ".join([f"{len(bad)} utterances differ from the archived:", *bad]))
        return
    for name in pools:
        archiving.combine(args.data, name, args.jobs)
        done.write(args.data / name, CODE, {}, inputs(args, name))


def inputs(args: argparse.Namespace, name: str) -> list[Path]:
    """Return the inputs of a set: finished steps, and the plan, which has the audio's lengths."""
    selected = layout.selected_dir(args.data)
    if name == scenarios.CLEAN:
        return [selected]
    mix = layout.mix_dir(args.data, name)
    return [selected, args.musan, mix, mix / mixture_plans.FILE]


if __name__ == "__main__":
    run(main)
