"""Draw the noise of every utterance of some sets (a job's share of them), or merge the shares."""

import argparse
from pathlib import Path

from jointasr.errors import DataError, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("plan", "merge"))
    parser.add_argument("--selected", type=Path, required=True, help="utterances, a data dir")
    parser.add_argument("--musan", type=Path, required=True, help="noise, data/local/musan")
    parser.add_argument("--out", type=Path, required=True, help="data/local/mix")
    parser.add_argument("--sets", required=True, help="names of sets")
    parser.add_argument("--tests", type=Path, required=True, help="conf/tests.tsv")
    parser.add_argument("--snr", type=_pair, default=(5.0, 35.0), help="training range, dB: 5,35")
    parser.add_argument("--babble-talkers", type=_pair, default=(1, 1), help="range: 3,7")
    parser.add_argument("--noise-window", type=float, default=0.0, help="seconds; 0: whole files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--job", type=int, default=1, help="this job's number, from 1")
    parser.add_argument("--jobs", type=int, default=1, help="number of jobs")
    args = parser.parse_args()

    from jointasr import mixtures, scenarios

    talkers = (int(args.babble_talkers[0]), int(args.babble_talkers[1]))
    known = scenarios.conditions(args.tests, args.snr, talkers)
    wanted = args.sets.split()
    for name in wanted:
        if name not in known:
            raise DataError(f"--sets: {name} is none of {' '.join(known)}")
    if args.action == "plan":
        mixtures.plan(
            args.selected,
            args.musan,
            args.out,
            [known[name] for name in wanted],
            args.noise_window,
            args.seed,
            args.job,
            args.jobs,
        )
        return
    for name in wanted:
        print(mixtures.merge(args.selected, args.out, known[name], args.jobs))


def _pair(text: str) -> tuple[float, float]:
    values = [float(part) for part in text.replace(",", " ").split()]
    if len(values) != 2:
        raise argparse.ArgumentTypeError(f"{text!r}: expected two numbers such as 5,35")
    return values[0], values[1]


if __name__ == "__main__":
    run(main)
