"""Plan the mixtures of the noisy sets.

`todo` prints the sets that are not up to date and checks their inputs, `plan` draws the noise for
one job's utterances, `merge` joins the parts of all jobs, writes reports, and marks the sets as
finished.
"""

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr.config import arguments, layout
from jointasr.prep import mixture_plans
from jointasr.utils import done
from jointasr.utils.errors import DataError, run

if TYPE_CHECKING:
    from jointasr.prep.mixing import MixCondition

CODE = "jointasr.bin.mix_noise"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("todo", "plan", "merge"))
    parser.add_argument("data", type=Path, help="data folder with local/selected; writes local/mix")
    parser.add_argument("--musan", type=Path, required=True, help="noise, data/local/musan")
    arguments.add_set_jobs(parser)
    parser.add_argument(
        "--snr",
        type=_pair,
        default=(5.0, 35.0),
        metavar="MIN,MAX",
        help="SNR in training, in dB (default: 5,35)",
    )
    parser.add_argument(
        "--babble-talkers",
        type=_pair,
        default=(1, 1),
        metavar="MIN,MAX",
        help="talkers of babble (default: 1,1)",
    )
    parser.add_argument(
        "--noise-window",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="cut noise files into windows of this length first; 0: complete files",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random choice of noise")
    args = parser.parse_args()
    requested = conditions(args)
    selected, out = layout.selected_dir(args.data), layout.mix_dir(args.data)
    inputs = [selected, args.musan]
    if args.action == "todo":
        with redirect_stdout(sys.stderr):
            todo = [
                c for c in requested if done.check(out / c.name, CODE, options(args, c), inputs)
            ]
            if todo:
                from jointasr.data import manifest

                manifest.load(selected)  # raises DataError for edited tables
        mixture_plans.check(args.musan, todo)
        print(*(condition.name for condition in todo))
    elif args.action == "plan":
        mixture_plans.plan(
            selected, args.musan, out, requested, args.noise_window, args.seed, args.job, args.jobs
        )
    else:
        for condition in requested:
            print(mixture_plans.merge(selected, out, condition, args.jobs))
            done.write(out / condition.name, CODE, options(args, condition), inputs)


def conditions(args: argparse.Namespace) -> "list[MixCondition]":
    """Return the conditions of the requested sets. Raises DataError for an unknown set."""
    talkers = (int(args.babble_talkers[0]), int(args.babble_talkers[1]))
    known = mixture_plans.conditions(args.tests, args.snr, talkers)
    names = args.sets.split() or list(known)
    for name in names:
        if name not in known:
            raise DataError(f"--sets: {name} is not one of {' '.join(known)}")
    return [known[name] for name in names]


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
