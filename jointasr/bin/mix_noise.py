"""Plan the mixtures of the noisy sets.

`todo` prints the sets that are not up to date, `plan` draws the noise of a share of the utterances,
`merge` joins the shares, writes reports, and marks the sets as finished.
"""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr.config import layout, scenarios
from jointasr.prep import mixtures
from jointasr.utils import done
from jointasr.utils.errors import DataError, run

if TYPE_CHECKING:
    from jointasr.prep.noise import MixCondition

CODE = "jointasr.bin.mix_noise"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("todo", "plan", "merge"))
    parser.add_argument("data", type=Path, help="data folder: local/selected in, local/mix out")
    parser.add_argument("--musan", type=Path, required=True, help="noise, data/local/musan")
    parser.add_argument("--tests", type=scenarios.tests_file, default="", help="table of scenarios")
    parser.add_argument("--sets", default="", help="sets to plan; default: all")
    parser.add_argument("--snr", type=_pair, default=(5.0, 35.0), help="training range, dB: 5,35")
    parser.add_argument("--babble-talkers", type=_pair, default=(1, 1), help="range: 3,7")
    parser.add_argument("--noise-window", type=float, default=0.0, help="seconds; 0: whole files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", type=int, default=1, help="number of this job, from 1")
    parser.add_argument("--jobs", type=int, default=1, help="number of jobs")
    args = parser.parse_args()
    chosen = conditions(args)
    selected, out = layout.selected_dir(args.data), layout.mix_dir(args.data)
    inputs = [selected, args.musan]
    if args.action == "todo":
        with redirect_stdout(sys.stderr):
            left = [c for c in chosen if done.check(out / c.name, CODE, options(args, c), inputs)]
        mixtures.check(args.musan, left)
        print(*(condition.name for condition in left))
    elif args.action == "plan":
        mixtures.plan(
            selected, args.musan, out, chosen, args.noise_window, args.seed, args.job, args.jobs
        )
    else:
        for condition in chosen:
            print(mixtures.merge(selected, out, condition, args.jobs))
            done.write(out / condition.name, CODE, options(args, condition), inputs)


def conditions(args: argparse.Namespace) -> "list[MixCondition]":
    """Return the conditions of the requested sets; DataError for one that does not exist."""
    talkers = (int(args.babble_talkers[0]), int(args.babble_talkers[1]))
    known = mixtures.conditions(args.tests, args.snr, talkers)
    wanted = args.sets.split() or list(known)
    for name in wanted:
        if name not in known:
            raise DataError(f"--sets: {name} is not one of {' '.join(known)}")
    return [known[name] for name in wanted]


def options(args: argparse.Namespace, condition: "MixCondition") -> dict[str, object]:
    """Return the options that determine the mixtures of a set."""
    relevant = {
        "kinds": " ".join(condition.kinds),
        "snr": condition.snr,
        "noise_window": args.noise_window,
        "seed": args.seed,
    }
    if "speech" in condition.kinds:
        relevant["babble_talkers"] = condition.talkers
    return relevant


def _pair(text: str) -> tuple[float, float]:
    values = [float(part) for part in text.replace(",", " ").split()]
    if len(values) != 2:
        raise argparse.ArgumentTypeError(f"{text!r}: expected two numbers such as 5,35")
    return values[0], values[1]


if __name__ == "__main__":
    run(main)
