"""Train one system on one fold and condition (stage 7)."""

import argparse
import logging
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jointasr.config import conf_files, layout, schema
from jointasr.training.fingerprint import training_step
from jointasr.utils import distributed, done, files, provenance
from jointasr.utils.errors import DataError, run

if TYPE_CHECKING:
    from jointasr.training.epoch import BestEpoch

log = logging.getLogger(__name__)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conf", required=True, help="conf file, e.g. conf/joint.yaml")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides")
    parser.add_argument(
        "--data", type=Path, required=True, help="fold folder with train_* and dev_*"
    )
    parser.add_argument(
        "--condition", choices=("clean", "noisy"), required=True, help="train and dev set"
    )
    parser.add_argument("--name", required=True, help="name of the system")
    parser.add_argument("--fold", required=True, help="name of the fold")
    parser.add_argument("--seed", type=int, default=0, help="seed of training")
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument(
        "--nodes", type=int, default=1, help="number of machines (see utils/torchrun.sh)"
    )
    parser.add_argument("--ngpu", type=int, default=1, help="processes per machine")
    return parser.parse_args()


def main() -> None:
    args = parse()
    conf = conf_files.load(args.conf, Path(), args.set)
    if conf.batch.max_duration == "auto":
        raise DataError(
            f"{args.conf}: batch.max_duration is auto, which ./run.sh --stage 7 replaces; set a "
            "number, e.g. --set batch.max_duration=100"
        )
    world = distributed.process_group(args.nodes * args.ngpu)
    step = training_step(
        args.out, conf, args.data, args.condition, args.fold, args.seed, world.size
    )
    run_step = partial(train, args, conf, step, world)
    if world.is_main:
        with done.step(*step) as todo:
            run_step(todo)
        shutil.rmtree(args.out / layout.RESUME, ignore_errors=True)  # only after `.done` is written
    else:
        run_step(False)  # the main process decides


def train(
    args: argparse.Namespace,
    conf: schema.Config,
    step: done.Step,
    world: distributed.ProcessGroup,
    todo: bool,
) -> None:
    """Train the model if ``todo`` is true in any process, and write ``model.json``.

    Continues from the state that a killed run of the same ``step`` has left.
    """
    world.init()
    if not world.any_process(todo):
        return
    meta = fit(args, conf, step, world)
    world.destroy()
    if world.is_main:
        from jointasr.models import checkpoint

        checkpoint.write_meta(args.out, meta)


def fit(
    args: argparse.Namespace, conf: schema.Config, step: done.Step, world: distributed.ProcessGroup
) -> dict[str, Any]:
    """Train the model; return the contents of ``model.json``."""
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
    sets = [manifest.load(folder) for folder in folders]
    train_cuts, dev_cuts = (
        dataset.trainable_cuts(cuts, conf, str(folder))
        for cuts, folder in zip(sets, folders, strict=True)
    )
    if world.is_main:
        files.write_text(args.out / "conf.yaml", conf_files.dump(conf))
    trainer = Trainer(
        model, train_cuts, dev_cuts, args.out, args.seed, done.fingerprint(*step[1:]), world
    )
    best = trainer.fit()
    budget = {
        "epochs": conf.train.epochs,
        "steps": trainer.state.steps,
        "processes": world.size,
        "utterances": len(sets[0]),
        "dev_utterances": len(sets[1]),
        "useful": len(train_cuts),
    }
    return description(args, conf, step, budget, best)


def description(
    args: argparse.Namespace,
    conf: schema.Config,
    step: done.Step,
    budget: dict[str, int],
    best: "BestEpoch",
) -> dict[str, Any]:
    """Return the contents of ``model.json``."""
    _, dev, lang = step.inputs[:3]
    return {
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
        "budget": budget,
        "selected": {
            "on": str(dev),
            "epoch": best.epoch,
            "error": best.scores.error,
            **best.scores._asdict(),
        },
    }


if __name__ == "__main__":
    run(main)
