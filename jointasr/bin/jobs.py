"""Print a job table of training, decoding or alignment: id, log, arguments, longest jobs first; or
the systems.

Jobs whose results are up to date are reported and not listed.
"""

import argparse
import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

from jointasr.config import conf_files, layout, scenarios
from jointasr.config.model_description import HAS_WORDS
from jointasr.decoding import steps
from jointasr.prep.jobs import TrainingJob, training_jobs
from jointasr.training.fingerprint import training_step
from jointasr.utils import done
from jointasr.utils.errors import run

COST = {"joint": 0, "asr": 1, "ser": 2}


def main() -> None:
    args = _parse()
    overrides = conf_files.split_overrides(args.set)
    seeds = [int(seed) for seed in args.seed.split()]
    conditions, folds = args.conditions.split(), args.folds.split()
    found = list(training_jobs(args.confs, conditions, folds, seeds, overrides, args.cards))
    if args.what == "systems":
        print("\n".join(dict.fromkeys(str(layout.EXP / job.system) for job in found)))
        return
    row, is_pending = (
        (training_row, needs_training) if args.what == "train" else (model_row, needs_decoding)
    )
    found.sort(key=lambda job: COST[job.config.system])
    pending = {job.id for job in found if is_pending(job, args)}
    for job in found:
        if job.id in pending:
            print("\t".join(row(job, args)))
        else:
            print(f"{args.what} {job.out}: up to date", file=sys.stderr)


def training_row(job: TrainingJob, args: argparse.Namespace) -> list[str]:
    """Return the row of a training job."""
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
    return [job.id, str(job.out / "train.log"), *options, "--set", *job.overrides]


def model_row(job: TrainingJob, args: argparse.Namespace) -> list[str]:
    """Return the row of a job that decodes or aligns."""
    log = job.out / f"{args.what}.log"
    return [job.id, str(log), "--model", str(job.out), "--ctc", job.config.ctc]


def needs_training(job: TrainingJob, args: argparse.Namespace) -> bool:
    """Return whether a model has to be trained, or a finished training left its states behind."""
    if not finished(job.out) or (job.out / layout.RESUME).exists():
        return True
    fold = job.data, job.condition, job.fold
    return outdated(training_step(job.out, job.config, *fold, job.seed, args.cards), args)


def needs_decoding(job: TrainingJob, args: argparse.Namespace) -> bool:
    """Return whether some scenario has to be decoded or aligned with a model."""
    if not finished(job.out) or args.feats == "conv":  # only the encoder can name its features
        return True
    how = steps.decoding(job.out, "decode.yaml", args.method, job.config.ctc)
    tests = list(scenarios.read_tests(args.tests))
    if args.what == "decode":
        tuning = how.tuning()
        if tuning is not None and (not finished(tuning.out) or outdated(tuning, args)):
            return True
        todo = [how.scenario(test) for test in tests]
    elif how.model.kind in HAS_WORDS:
        common = args.of, args.method, how.engine
        todo = [steps.alignment(job.out, how.model, test, *common) for test in tests]
    else:
        todo = []
    return any([not finished(step.out) or outdated(step, args) for step in todo])


def finished(out: Path) -> bool:
    """Return whether ``out`` was finished, with whatever settings."""
    return (out / done.NAME).is_file()


def outdated(step: done.Step, args: argparse.Namespace) -> bool:
    """Return whether a finished step has to be repeated. Raises DataError where it may not be."""
    with redirect_stdout(io.StringIO()):  # one line for each job is enough
        return done.check(*step, dry_run=args.dry_run)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "decode", "align", "systems"))
    parser.add_argument("confs", nargs="+", help="conf files")
    parser.add_argument("--conditions", default="clean noisy", help="training sets")
    parser.add_argument("--folds", default="", help="ids, blank between; default: all")
    parser.add_argument("--seed", default="0", help="of training, blank between; k > 0: name-s<k>")
    parser.add_argument("--set", default="", help="overrides: key=value, blank between")
    parser.add_argument("--cards", type=int, default=1, help="that share the batches of a training")
    parser.add_argument("--tests", type=scenarios.tests_file, default="", help="table of scenarios")
    parser.add_argument("--method", default=layout.DEFAULT_METHOD, help="of search")
    parser.add_argument("--feats", choices=("wav", "conv"), default="wav", help="what to decode")
    parser.add_argument("--of", choices=("ref", "hyp"), default="ref", help="texts to align")
    parser.add_argument("--dry-run", action="store_true", help="change no record of a result")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
