"""Print the job table of training, decoding or alignment, or the names of the systems.

Lines are `id<TAB>log<TAB>argument<TAB>...`, longest jobs first. Jobs whose results are up to date
are reported on stderr instead. If the results of any model were made with other settings, all such
models are listed and the table is not printed, so that no job starts.
"""

import argparse
import io
import sys
from contextlib import nullcontext, redirect_stdout
from pathlib import Path

from jointasr.config import arguments, conf_files, layout, scenarios
from jointasr.config.model_description import HAS_WORDS
from jointasr.decoding import steps
from jointasr.prep.jobs import TrainingJob, training_jobs
from jointasr.training.fingerprint import training_step
from jointasr.utils import done, locks
from jointasr.utils.errors import DataError, run

BY_COST = ("joint", "asr", "ser")


def main() -> None:
    args = _parse()
    overrides = conf_files.split_overrides(args.set)
    seeds = [int(seed) for seed in args.seed.split()]
    conditions, folds = args.conditions.split(), args.folds.split()
    jobs = list(training_jobs(args.confs, conditions, folds, seeds, overrides, args.cards))
    if args.what == "systems":
        print("\n".join(dict.fromkeys(str(layout.EXP / job.system) for job in jobs)))
        return
    row, is_pending = (
        (training_row, needs_training) if args.what == "train" else (model_row, needs_decoding)
    )
    jobs.sort(key=lambda job: BY_COST.index(job.config.system))
    pending, problems = set(), []
    for job in jobs:
        try:
            if is_pending(job, args):
                pending.add(job.id)
        except DataError as error:
            problems.append(str(error))
            pending.add(job.id)
    if problems and not args.dry_run:
        raise DataError("\n  ".join(problems))
    for problem in problems:
        print(f"would stop: {problem}", file=sys.stderr)
    for job in jobs:
        if job.id in pending or (pending and args.keep_finished):
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
    """Return whether a model has to be trained, or a finished training has left its states."""
    if not finished(job.out) or (job.out / layout.RESUME).exists():
        return True
    fold = job.data, job.condition, job.fold
    return outdated(training_step(job.out, job.config, *fold, job.seed, args.cards), args)


def needs_decoding(job: TrainingJob, args: argparse.Namespace) -> bool:
    """Return whether at least one scenario has to be decoded or aligned with a model."""
    if not finished(job.out) or args.feats == "conv":  # the digest of features needs the encoder
        return True
    decoding = steps.decoding(job.out, "decode.yaml", args.method, job.config.ctc)
    tests = list(scenarios.read_tests(args.tests))
    if args.what == "decode":
        tuning = decoding.tuning()
        if tuning is not None and (not finished(tuning.out) or outdated(tuning, args)):
            return True
        todo = [decoding.scenario(test) for test in tests]
    elif decoding.model.kind in HAS_WORDS:
        common = args.of, args.method, decoding.engine
        todo = [steps.alignment(job.out, decoding.model, test, *common) for test in tests]
    else:
        todo = []
    return any([not finished(step.out) or outdated(step, args) for step in todo])


def finished(out: Path) -> bool:
    """Return whether ``out`` was finished, with any settings."""
    return (out / done.NAME).is_file()


def outdated(step: done.Step, args: argparse.Namespace) -> bool:
    """Return whether a finished step has to be repeated.

    Records accepted code. With --force, the record stays until the job itself removes it. Raises
    DataError if the settings have changed.
    """
    accept = done.policy() == "accept-code" and not args.dry_run
    lock = locks.held(step.out) if accept else nullcontext()
    with lock, redirect_stdout(io.StringIO()):  # print one line per job only
        return done.check(*step, dry_run=not accept)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "decode", "align", "systems"))
    conf_files.add_options(parser)
    arguments.add_training_jobs(parser)
    arguments.add_tests(parser)
    arguments.add_method(parser)
    arguments.add_feats(parser)
    parser.add_argument("--cards", type=int, default=1, help="GPUs that share a training's batches")
    parser.add_argument(
        "--of", choices=("ref", "hyp"), default="ref", help="align references or hypotheses"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="do not change `.done` files; list changed models"
    )
    parser.add_argument(
        "--keep-finished",
        action="store_true",
        help="list finished jobs too, if any job is pending: the table stays the same",
    )
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
