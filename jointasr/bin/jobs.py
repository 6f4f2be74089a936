"""Print a job table of training, decoding or alignment: id, log, arguments, longest jobs first; or
the systems."""

import argparse

from jointasr.config import conf_files, layout
from jointasr.data import datadir
from jointasr.prep.jobs import TrainingJob, training_jobs
from jointasr.utils.errors import run

COST = {"joint": 0, "asr": 1, "ser": 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "decode", "align", "systems"))
    parser.add_argument("confs", nargs="+", help="conf files")
    parser.add_argument("--conditions", default="clean noisy", help="training sets")
    parser.add_argument("--folds", default="", help="ids, blank between; default: all")
    parser.add_argument("--seed", default="0", help="of training, blank between; k > 0: name-s<k>")
    parser.add_argument("--set", default="", help="overrides: key=value, blank between")
    parser.add_argument("--cards", type=int, default=1, help="that share the batches of a training")
    args = parser.parse_args()
    overrides = conf_files.split_overrides(args.set)
    conditions, wanted = args.conditions.split(), args.folds.split()
    seeds = [int(seed) for seed in args.seed.split()]
    found = list(training_jobs(args.confs, conditions, wanted, seeds, overrides))
    if args.what == "systems":
        print("\n".join(dict.fromkeys(str(layout.EXP / job.system) for job in found)))
        return
    for job in sorted(found, key=lambda job: COST[job.kind]):
        row = train(job, overrides, args.cards) if args.what == "train" else use(job, args.what)
        print("\t".join(row))


def train(job: TrainingJob, overrides: list[str], cards: int) -> list[str]:
    """Row of a training job."""
    if job.auto and layout.MAX_DURATION.is_file():
        found = cards * datadir.read_json(layout.MAX_DURATION)["max_duration"]
        overrides = [*overrides, f"batch.max_duration={found}"]
    values = {
        "conf": job.conf,
        "name": job.name,
        "condition": job.condition,
        "fold": job.fold,
        "data": job.data,
        "seed": job.seed,
        "out": job.out,
    }
    options = [text for key, value in values.items() for text in (f"--{key}", str(value))]
    return [job.id, str(job.out / "train.log"), *options, "--set", *overrides]


def use(job: TrainingJob, what: str) -> list[str]:
    """Row of a job that decodes or aligns."""
    return [job.id, str(job.out / f"{what}.log"), "--model", str(job.out), "--ctc", job.engine]


if __name__ == "__main__":
    run(main)
