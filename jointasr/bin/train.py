"""Train one system on one fold and condition (stage 7)."""

import argparse
import logging
import shutil
from functools import partial
from pathlib import Path

from jointasr.config import conf_files, layout, schema
from jointasr.utils import distributed, done, files, provenance
from jointasr.utils.errors import DataError, run

log = logging.getLogger(__name__)
CODE = "jointasr.bin.train"
INERT = ("batch.workers", "train.log_every", "train.save_minutes")
FOREIGN = {  # keys of parts that a system does not have
    "asr": ("alpha", "emotion.", "bert.", "optim.bert."),
    "ser": ("alpha", "bert.", "optim.bert."),
    "joint": (),
}


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
    folders = [layout.set_dir(args.data, part, args.condition) for part in ("train", "dev")]
    lang = layout.lang_dir(args.data, conf.units.type, conf.units.size)
    world = distributed.process_group(args.nodes * args.ngpu)
    options = {**flat(conf), "seed": args.seed, "fold": args.fold, "stack": provenance.stack()}
    if world.size > 1:
        options["processes"] = world.size  # each draws its own dropout
    inputs = [*folders, lang, *model_files(conf.encoder.model)]
    if conf.uses_bert:
        inputs += model_files(conf.bert.model)
    fit = partial(train, args, conf, folders, lang, (CODE, options, inputs), world)
    if world.is_main:
        with done.step(args.out, CODE, options, inputs) as todo:
            fit(todo)
        shutil.rmtree(args.out / layout.RESUME, ignore_errors=True)  # not before `.done` is there
    else:
        fit(False)  # as the first one decides


def model_files(model: str) -> list[Path]:
    """What a model is known by: its finished folder, the files of a folder of the user's, nothing
    for a hub id. Raises DataError for a folder that is no model."""
    folder = Path(model)
    if not folder.is_dir() or (folder / done.NAME).is_file():
        return [folder] if folder.is_dir() else []
    if not (folder / "config.json").is_file():
        raise DataError(f"{model}: no config.json in it, so not a transformers model folder")
    kinds = (".json", ".txt", ".safetensors", ".bin")
    return sorted(path for path in folder.iterdir() if path.suffix in kinds)


def train(
    args: argparse.Namespace,
    conf: schema.Config,
    folders: list[Path],
    lang: Path,
    step: tuple[str, dict[str, object], list[Path]],
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
        model, train_cuts, dev_cuts, args.out, args.seed, done.fingerprint(*step), world
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
                "steps": trainer.steps,
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


def flat(conf: schema.Config) -> dict[str, object]:
    """Every key that can change the result, dotted."""

    def walk(prefix: str, values: dict[str, object]) -> dict[str, object]:
        found: dict[str, object] = {}
        for key, value in values.items():
            if isinstance(value, dict):
                found.update(walk(f"{prefix}{key}.", value))
            else:
                found[f"{prefix}{key}"] = value
        return found

    without = (*INERT, *FOREIGN[conf.system])
    found = walk("", conf.model_dump())
    return {key: value for key, value in found.items() if not key.startswith(without)}


if __name__ == "__main__":
    run(main)
