"""Make lm_<order>gram of each fold: n-gram models of its training text."""

import argparse
from pathlib import Path

from jointasr.config import conf_files, layout
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
            raise DataError(f"{path} of lm.text in {args.conf} does not exist")
        training_text.check_characters(path, args.letters)
    checked = folds.read_transcripts(source, args.letters)
    scheme = layout.scheme_dir(args.data, args.scheme)
    for fold in (scheme / name for name in folds.select(scheme, args.folds.split())):
        lists = {split: layout.list_file(fold, split) for split in ("train", "dev")}
        texts = {split: folds.select_transcripts(checked, path) for split, path in lists.items()}
        if not any(texts["train"]) and not extra:
            print(f"{fold}: no words in training, so no language model")
            continue
        for order in sorted({lm.order, lm.rescore_order}):
            out = layout.lm_dir(fold, order)
            inputs = [*lists.values(), source, *extra]
            with done.step(out, CODE, {"order": order}, inputs) as needed:
                if needed:
                    make(out, order, texts["train"], texts["dev"], extra)


def make(out: Path, order: int, train: list[str], dev: list[str], extra: list[Path]) -> None:
    """Estimate one model, write it and what it is made from, and say what dev is to it."""
    model = training_text.estimate(train, extra, order)
    arpa.write(out / arpa.FILE_NAME, model)
    words, known = [word for text in dev for word in text.split()], set(model.words)
    about = {
        "order": order,
        "extra": [str(path) for path in extra],
        "vocabulary": len(known),
        "fallback_discounts": list(model.fallback_orders),
        "dev_perplexity": model.perplexity([text.split() for text in dev]),
        "dev_words": len(words),
        "dev_unknown": sum(word not in known for word in words),
    }
    files.write_json(out / training_text.META, about)
    print(
        f"{out}: {len(known)} words; dev has perplexity {about['dev_perplexity']:.1f}, and "
        f"{about['dev_unknown']} of its {len(words)} words are not in it"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data folder that has folds/ and local/selected/")
    parser.add_argument("--scheme", choices=folds.SCHEMES, default="speaker")
    parser.add_argument("--folds", default="", help="ids, blank between; default: all there are")
    parser.add_argument("--letters", default=LETTERS, help="alphabet of the transcripts")
    parser.add_argument("--conf", default="decode.yaml", help="says which orders and more text")
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
