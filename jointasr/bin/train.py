"""Train one system on one fold and condition (stage 7)."""

import argparse
import logging
import shutil
from functools import partial
from pathlib import Path

from jointasr.config import conf_files, layout, schema
from jointasr.training.fingerprint import training_step
from jointasr.utils import distributed, done, files, provenance
from jointasr.utils.errors import DataError, run

log = logging.getLogger(__name__)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conf", required=True, help="conf file, e.g. conf/joint.yaml")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides")
    parser.add_argument("--data", type=Path, required=True, help="fold folder with train_* dev_*")
    parser.add_argument("--condition", choices=("clean", "noisy"), required=True)
    parser.add_argument("--name", required=True, help="name of the system")
    parser.add_argument("--fold", required=True, help="name of the fold")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--nodes", type=int, default=1, help="machines (see utils/torchrun.sh)")
    parser.add_argument("--ngpu", type=int, default=1, help="processes on each machine")
    return parser.parse_args()


def main() -> None:
    args = parse()
    conf = conf_files.load(args.conf, Path(), args.set)
    if conf.batch.max_duration == "auto":
        raise DataError(
            f"{args.conf}: batch.max_duration auto is looked for by ./run.sh --stage 7; "
            "here a number is needed, e.g. --set batch.max_duration=100"
        )
    world = distributed.process_group(args.nodes * args.ngpu)
    step = training_step(
        args.out, conf, args.data, args.condition, args.fold, args.seed, world.size
    )
    fit = partial(train, args, conf, step, world)
    if world.is_main:
        with done.step(*step) as todo:
            fit(todo)
        shutil.rmtree(args.out / layout.RESUME, ignore_errors=True)  # not before `.done` is there
    else:
        fit(False)  # as the main process decides


def train(
    args: argparse.Namespace,
    conf: schema.Config,
    step: done.Step,
    world: distributed.ProcessGroup,
    todo: bool,
) -> None:
    """Fit the model where there is something to do, from where a killed run of the same ``step``
    left, and describe it in ``model.json``."""
    world.init()
    if not world.any_process(todo):
        return
    from jointasr.utils.progress import start_log

    start_log(quiet=not world.is_main)
    import torch

    from jointasr.ctc import loss
    from jointasr.data import dataset, manifest
    from jointasr.models import checkpoint
    from jointasr.text.lang import Units, read_labels
    from jointasr.training.trainer import Trainer
    from jointasr.utils import rng

    if conf.has_ctc and conf.ctc == "k2":
        loss.require_k2(distributed.device(world).type)
    *folders, lang = step.inputs[:3]
    units, labels = Units.load(lang), read_labels(lang)
    versions = (provenance.stack(), torch.__version__, provenance.commit())
    log.info("stack %s, torch %s, commit %s", *versions)
    torch.manual_seed(rng.derive(args.seed, "init"))
    model = checkpoint.initial(conf, units, labels)
    given = [manifest.load(folder) for folder in folders]
    train_cuts, dev_cuts = (
        dataset.trainable_cuts(cuts, conf, str(folder))
        for cuts, folder in zip(given, folders, strict=True)
    )
    if world.is_main:
        files.write_text(args.out / "conf.yaml", conf_files.dump(conf))
    trainer = Trainer(
        model, train_cuts, dev_cuts, args.out, args.seed, done.fingerprint(*step[1:]), world
    )
    best = trainer.fit()
    world.destroy()
    if not world.is_main:
        return
    checkpoint.write_meta(
        args.out,
        {
            "system": args.name,
            "kind": conf.system,
            "conf": args.conf,
            "seed": args.seed,
            "train": args.condition,
            "fold": args.fold,
            "engine": conf.ctc,
            "stack": provenance.stack(),
            "lang": str(lang),
            "data": str(args.data),
            "commit": provenance.commit(),
            "budget": {
                "epochs": conf.train.epochs,
                "steps": trainer.state.steps,
                "processes": world.size,
                "utterances": len(given[0]),
                "dev_utterances": len(given[1]),
                "useful": len(train_cuts),
            },
            "selected": {
                "on": str(folders[1]),
                "epoch": best.epoch,
                "error": best.scores.error,
                **best.scores._asdict(),
            },
        },
    )


if __name__ == "__main__":
    run(main)
