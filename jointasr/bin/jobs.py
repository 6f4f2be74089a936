"""Print the job table of stage 7 or 8: id, log, arguments, longest jobs first; or the systems."""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jointasr import config, folds
from jointasr.errors import DataError, run

COST = {"joint": 0, "asr": 1, "ser": 2}


class Job(NamedTuple):
    """One model: a system on a training condition and a fold."""

    conf: str
    kind: str
    engine: str
    name: str
    seed: int
    condition: str
    fold: str
    data: Path

    @property
    def system(self) -> str:
        return f"{self.name}_{self.condition}"

    @property
    def id(self) -> str:
        return f"{self.system}.{self.fold}"

    @property
    def out(self) -> Path:
        return Path("exp") / self.system / f"fold_{self.fold}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "decode", "systems"))
    parser.add_argument("confs", nargs="+", help="conf files")
    parser.add_argument("--conditions", default="clean noisy", help="training sets")
    parser.add_argument("--folds", default="", help="ids, blank between; default: all")
    parser.add_argument("--seed", default="0", help="of training, blank between; k > 0: name-s<k>")
    parser.add_argument("--set", default="", help="overrides: key=value, blank between")
    args = parser.parse_args()
    overrides = config.split_overrides(args.set)
    conditions, wanted = args.conditions.split(), args.folds.split()
    seeds = [int(seed) for seed in args.seed.split()]
    found = list(jobs(args.confs, conditions, wanted, seeds, overrides))
    if args.what == "systems":
        print("\n".join(dict.fromkeys(f"exp/{job.system}" for job in found)))
        return
    for job in sorted(found, key=lambda job: COST[job.kind]):
        row = train(job, overrides) if args.what == "train" else decode(job)
        print("\t".join(row))


def jobs(
    confs: list[str],
    conditions: list[str],
    wanted: list[str],
    seeds: list[int],
    overrides: list[str],
) -> Iterator[Job]:
    """Every system of every seed on every condition and fold.

    Raises DataError for names that collide.
    """
    seen: dict[str, str] = {}
    for path, seed in itertools.product(confs, seeds):
        conf = config.load(path, Path(), overrides)
        name = Path(path).stem + (f"-s{seed}" if seed else "")
        if seen.setdefault(name, path) != path:
            raise DataError(f"{path} and {seen[name]} would both be called {name}: rename one")
        scheme = Path(config.data_name(conf, path, Path())) / "folds" / conf.data.scheme
        for condition in conditions:
            for fold in folds.names(scheme, wanted):
                yield Job(path, conf.system, conf.ctc, name, seed, condition, fold, scheme / fold)


def train(job: Job, overrides: list[str]) -> list[str]:
    """Row of a training job."""
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


def decode(job: Job) -> list[str]:
    """Row of a decoding job."""
    return [job.id, str(job.out / "decode.log"), "--model", str(job.out), "--ctc", job.engine]


if __name__ == "__main__":
    run(main)
