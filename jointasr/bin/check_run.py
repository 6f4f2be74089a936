"""Check what a run is asked to do, before any of it is done: systems, folds, models, options."""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from jointasr.config import conf_files, decode_schema, layout, schema
from jointasr.data import datadir
from jointasr.doctor import inputs
from jointasr.prep import folds
from jointasr.text import lang
from jointasr.utils import files
from jointasr.utils.errors import DataError, run

CONDITIONS = ("clean", "noisy")
FOLDS = Path("conf/folds.tsv")  # a line for each `scheme fold` of the recipe's corpus, if it says


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    conf_files.add_options(parser, nargs="*")
    parser.add_argument("--conditions", default="clean noisy", help="training sets")
    parser.add_argument("--folds", default="", help="ids, blank between; default: all")
    parser.add_argument("--seed", default="0", help="of training, blank between")
    parser.add_argument("--method", default=layout.DEFAULT_METHOD, help="of search")
    parser.add_argument("--feats", default="wav", help="what is decoded from")
    parser.add_argument("--nj", default="1", help="parallel jobs")
    parser.add_argument("--stage", type=int, default=0, help="where the run begins")
    parser.add_argument("--corpus", type=Path, default=Path("data/local/corpus"))
    args = parser.parse_args()
    check_options(args)
    names = {path: Path(path).stem for path in args.confs}
    alphabets = {}
    check_names(args.confs, "--conf")
    for path, conf in conf_files.load_all(args.confs, args.set).items():
        name = names[path]
        same = [other for other in names if names[other] == name]
        if len(same) > 1:
            raise DataError(f"--conf: {' and '.join(same)} would both be called {name}: rename one")
        alphabets[conf.data.letters] = path
        if len(alphabets) > 1:
            raise DataError(
                f"--conf: {' and '.join(alphabets.values())} differ in data.letters; transcripts "
                "are normalised once: use a recipe folder for each"
            )
        data = Path(conf_files.data_name(conf, path, Path()))
        check_folds(data, conf.data.scheme, args.folds.split(), args.corpus, args.stage)
        check_models(conf)


def check_options(args: argparse.Namespace) -> None:
    """Options that are one of a few words, or a number."""
    methods = [layout.DEFAULT_METHOD, *get_args(decode_schema.Method)]
    for option, words, known in (
        ("conditions", args.conditions.split(), CONDITIONS),
        ("method", [args.method], methods),
        ("feats", [args.feats], ("wav", "conv")),
    ):
        for word in words:
            if word not in known:
                raise DataError(f"--{option} {word}: unknown; choose from {' '.join(known)}")
        check_names(words, f"--{option}")
    seeds = args.seed.split()
    check_names(seeds, "--seed")
    for option, text, least in [*(("seed", seed, 0) for seed in seeds), ("nj", args.nj, 1)]:
        if not (text.isascii() and text.isdigit() and int(text) >= least):
            raise DataError(f"--{option} {text}: a whole number from {least} on is needed")


def check_names(names: Sequence[str], option: str) -> None:
    """At least one, none twice, none with a blank at its ends."""
    if not names:
        raise DataError(f"{option} is empty; name at least one")
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"{option}: {name} is named twice")
        if name != name.strip() or not name:
            raise DataError(f"{option}: write commas without blanks, once, not {name!r}")


def check_folds(data: Path, scheme: str, wanted: Sequence[str], corpus: Path, stage: int) -> None:
    """The folds wanted exist: as made, else as the prepared corpus or the recipe's conf says.

    What the run itself may make anew, from ``stage`` on, is not asked.
    """
    made = layout.scheme_dir(data, scheme)
    if stage > 3 and (made / folds.FILE).is_file():
        folds.select(made, wanted)
        return
    if stage > 1 and (corpus / layout.SUPERVISIONS).is_file():
        source, known = corpus, folds.fold_names(folds.read_utterances(corpus), scheme)
    elif FOLDS.is_file():
        rows = [line.split() for line in files.read_text(FOLDS).splitlines()]
        source, known = FOLDS, [row[1] for row in rows if row[:1] == [scheme]]
    else:
        return
    for name in wanted:
        if name not in known:
            there = " ".join(known)
            raise DataError(f"--folds: {name} is no {scheme} of {source}; there are {there}")
    if wanted:
        check_names(wanted, "--folds")


def check_models(conf: schema.Config) -> None:
    """Model folders hold models, and a CTC head that will be used has all characters.

    What the hub has, and what stage 6 makes, is not looked at.
    """
    wanted = {"encoder": conf.encoder.model}
    if conf.uses_bert:
        wanted["bert"] = conf.bert.model
    for option, model in wanted.items():
        result = inputs.model_folder(option, model)
        if result is not None and not result.ok:
            raise DataError(f"--{option}: {result.detail}; give {result.fix}")
    vocabulary = Path(conf.encoder.model) / "vocab.json"
    if conf.uses_checkpoint_head and vocabulary.is_file():
        symbols = datadir.read_json(vocabulary)
        lang.map_head(symbols, lang.Units.char(conf.data.letters), vocabulary)


if __name__ == "__main__":
    run(main)
