"""Check the options of a run before it starts: systems, folds, models, numbers."""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from jointasr.config import arguments, conf_files, decode_schema, layout, schema
from jointasr.doctor import inputs
from jointasr.prep import folds
from jointasr.text import lang
from jointasr.utils import files
from jointasr.utils.errors import DataError, run

CONDITIONS = ("clean", "noisy")
FOLDS = Path("conf/folds.tsv")
"""the folds of the recipe's corpus, one line `scheme fold` each; optional"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    conf_files.add_options(parser, nargs="*")
    arguments.add_training_jobs(parser)
    arguments.add_method(parser)
    parser.add_argument("--feats", default="wav", help="input of decoding: wav or conv")
    parser.add_argument("--nj", default="1", help="number of parallel jobs")
    parser.add_argument("--stage", type=int, default=0, help="first stage of the run")
    parser.add_argument(
        "--corpus", type=Path, default=Path("data/local/corpus"), help="prepared corpus"
    )
    args = parser.parse_args()
    check_options(args)
    check_names(args.confs, "--conf")
    confs = conf_files.load_all(args.confs, args.set)
    check_confs(confs)
    for path, conf in confs.items():
        data = Path(conf_files.data_name(conf, path, Path()))
        check_folds(data, conf.data.scheme, args.folds.split(), args.corpus, args.stage)
        check_models(conf)


def check_confs(confs: Mapping[str, schema.Config]) -> None:
    """Raise DataError if two confs have the same name or differ in ``data.letters``."""
    names: dict[str, str] = {}
    alphabets: dict[str, str] = {}
    for path, conf in confs.items():
        name = Path(path).stem
        if name in names:
            raise DataError(
                f"--conf: {names[name]} and {path} would both be called {name}: rename one"
            )
        names[name] = path
        alphabets[conf.data.letters] = path
        if len(alphabets) > 1:
            raise DataError(
                f"--conf: {' and '.join(alphabets.values())} differ in data.letters; transcripts "
                "are normalised once: use a recipe folder for each"
            )


def check_options(args: argparse.Namespace) -> None:
    """Raise DataError for an unknown condition, method or input, and for an invalid number."""
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
            raise DataError(f"--{option} {text}: expected an integer of at least {least}")


def check_names(names: Sequence[str], option: str) -> None:
    """Raise DataError if there is no name, a duplicate, or one that begins or ends with a space."""
    if not names:
        raise DataError(f"{option} is empty; give at least one value")
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"{option}: {name} is named twice")
        if name != name.strip() or not name:
            raise DataError(f"{option}: {name!r}: separate values with one comma and no spaces")


def check_folds(
    data: Path, scheme: str, requested: Sequence[str], corpus: Path, stage: int
) -> None:
    """Raise DataError if a requested fold does not exist or is named twice.

    Uses the fold lists, else the prepared corpus, else the recipe's folds.tsv; ignores outputs that
    the run, starting at ``stage``, may replace.
    """
    fold_lists = layout.scheme_dir(data, scheme)
    if stage > 3 and (fold_lists / folds.FILE).is_file():
        folds.select(fold_lists, requested)
        return
    if stage > 1 and (corpus / layout.SUPERVISIONS).is_file():
        source, known = corpus, folds.fold_names(folds.read_utterances(corpus), scheme)
    elif FOLDS.is_file():
        rows = [line.split() for line in files.read_text(FOLDS).splitlines()]
        source, known = FOLDS, [row[1] for row in rows if row[:1] == [scheme]]
    else:
        return
    for name in requested:
        if name not in known:
            existing = " ".join(known)
            raise DataError(f"--folds: {name} is no {scheme} of {source}; there are {existing}")
    if requested:
        check_names(requested, "--folds")


def check_models(conf: schema.Config) -> None:
    """Raise DataError for a model folder without a model or a CTC head that lacks characters.

    Hub ids, and folders that stage 6 creates, are not checked.
    """
    models = {"encoder": conf.encoder.model}
    if conf.uses_bert:
        models["bert"] = conf.bert.model
    for option, model in models.items():
        result = inputs.model_folder(option, model)
        if result is not None and not result.ok:
            raise DataError(f"--{option}: {result.detail}; give {result.fix}")
    vocabulary = Path(conf.encoder.model) / "vocab.json"
    if conf.uses_checkpoint_head and vocabulary.is_file():
        symbols = files.read_json(vocabulary)
        lang.map_head(symbols, lang.Units.char(conf.data.letters), vocabulary)


if __name__ == "__main__":
    run(main)
