"""Estimate the n-gram language models lm_<order>gram of each fold on its training transcripts."""

import argparse
from pathlib import Path

from jointasr.config import arguments, conf_files, layout
from jointasr.lm import arpa, training_text
from jointasr.prep import folds
from jointasr.text.normalizer import LETTERS
from jointasr.utils import done, files
from jointasr.utils.errors import DataError, run

CODE = "jointasr.bin.prepare_lm"


def main() -> None:
    args = _parse()
    lm = conf_files.load_decode(args.conf, Path()).lm
    source = layout.selected_dir(args.data) / "text"
    extra = [Path(name) for name in lm.text]
    for path in extra:
        if not path.is_file():
            raise DataError(f"{args.conf}: lm.text: {path} does not exist")
        training_text.check_characters(path, args.letters)
    transcripts = folds.read_transcripts(source, args.letters)
    scheme = layout.scheme_dir(args.data, args.scheme)
    for fold in (scheme / name for name in folds.select(scheme, args.folds.split())):
        lists = {split: layout.list_file(fold, split) for split in ("train", "dev")}
        texts = {
            split: folds.select_transcripts(transcripts, path) for split, path in lists.items()
        }
        if not any(texts["train"]) and not extra:
            print(f"{fold}: no language model, because the training set has no words")
            continue
        for order in sorted({lm.order, lm.rescore_order}):
            out = layout.lm_dir(fold, order)
            inputs = [*lists.values(), source, *extra]
            with done.step(out, CODE, {"order": order}, inputs) as needed:
                if needed:
                    folds.check_tables(source.parent)
                    make(out, order, texts["train"], texts["dev"], extra)


def make(out: Path, order: int, train: list[str], dev: list[str], extra: list[Path]) -> None:
    """Estimate one model; write it with its description, and print the perplexity of dev."""
    model = training_text.estimate(train, extra, order)
    arpa.write(out / arpa.FILE_NAME, model)
    words, known = [word for text in dev for word in text.split()], set(model.words)
    description = {
        "order": order,
        "extra": [str(path) for path in extra],
        "vocabulary": len(known),
        "fallback_discounts": list(model.fallback_orders),
        "dev_perplexity": model.perplexity([text.split() for text in dev]),
        "dev_words": len(words),
        "dev_unknown": sum(word not in known for word in words),
    }
    files.write_json(out / training_text.META, description)
    print(
        f"{out}: {len(known)} words; dev: perplexity {description['dev_perplexity']:.1f}, "
        f"{description['dev_unknown']} of {len(words)} words out of vocabulary"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data folder with folds/ and local/selected/")
    arguments.add_scheme(parser)
    arguments.add_folds(parser)
    parser.add_argument("--letters", default=LETTERS, help="alphabet of the transcripts")
    parser.add_argument("--conf", default="decode.yaml", help="conf file with the options lm.*")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
