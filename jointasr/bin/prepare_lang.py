"""Make lang_<units> of each fold: units (pieces learned from its training text only) and labels."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from jointasr.config import layout
from jointasr.prep import folds
from jointasr.text import lang
from jointasr.text.lang import Units
from jointasr.text.normalizer import LETTERS
from jointasr.utils import done
from jointasr.utils.errors import run

CODE = "jointasr.bin.prepare_lang"


def main() -> None:
    args = _parse()
    scheme = layout.scheme_dir(args.data, args.scheme)
    source = layout.selected_dir(args.data) / "text"
    options = {"type": args.units_type, "emotions": args.emotions, "letters": args.letters}
    if args.units_type != "char":
        options["size"] = str(args.units_size)
    checked = folds.read_transcripts(source, args.letters)
    for fold in (scheme / name for name in folds.select(scheme, args.folds.split())):
        out = layout.lang_dir(fold, args.units_type, args.units_size)
        inputs = [layout.list_file(fold, "train"), source]
        with done.step(out, CODE, options, inputs) as needed:
            if needed:
                texts = folds.select_transcripts(checked, layout.list_file(fold, "train"))
                make(out, texts, args)


def make(out: Path, texts: Sequence[str], args: argparse.Namespace) -> None:
    """Write one lang folder and say how many labels its training text takes."""
    if args.units_type == "char":
        units = Units.char(args.letters)
    else:
        units = Units.train_pieces(texts, args.units_type, args.units_size, args.letters)
    units.save(out)
    lang.write_labels(out, args.emotions.split(","))
    labels = sum(len(units.encode(text)) for text in texts)
    print(
        f"{out}: {units.size} units with the blank, {len(texts)} training texts, "
        f"{sum(len(text.split()) for text in texts)} words, {labels} labels"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data folder that has folds/ and local/selected/")
    parser.add_argument("--scheme", choices=folds.SCHEMES, default="speaker")
    parser.add_argument("--folds", default="", help="ids, blank between; default: all there are")
    parser.add_argument("--units-type", choices=("char", *lang.PIECE_KINDS), default="char")
    parser.add_argument(
        "--units-size", type=int, default=500, help="number of pieces, blank not counted"
    )
    parser.add_argument("--letters", default=LETTERS, help="alphabet of the transcripts")
    parser.add_argument(
        "--emotions", default="ang,hap,neu,sad", help="labels.txt, in the classifier's order"
    )
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
