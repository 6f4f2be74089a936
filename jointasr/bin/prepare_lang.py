"""Write lang_<units> of each fold: output units and emotion labels.

Word pieces are learned from the training transcripts of the fold only.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from jointasr.config import arguments, layout
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
    transcripts = folds.read_transcripts(source, args.letters)
    for fold in (scheme / name for name in folds.select(scheme, args.folds.split())):
        out = layout.lang_dir(fold, args.units_type, args.units_size)
        inputs = [layout.list_file(fold, "train"), source]
        with done.step(out, CODE, options, inputs) as needed:
            if needed:
                folds.check_tables(source.parent)
                texts = folds.select_transcripts(transcripts, layout.list_file(fold, "train"))
                make(out, texts, args)


def make(out: Path, texts: Sequence[str], args: argparse.Namespace) -> None:
    """Write one lang folder and print the numbers of its units and training labels."""
    if args.units_type == "char":
        units = Units.char(args.letters)
    else:
        units = Units.train_pieces(texts, args.units_type, args.units_size, args.letters)
    units.save(out)
    lang.write_labels(out, args.emotions.split(","))
    labels = sum(len(units.encode(text)) for text in texts)
    print(
        f"{out}: {units.size} units including blank, {len(texts)} training transcripts, "
        f"{sum(len(text.split()) for text in texts)} words, {labels} labels"
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data folder with folds/ and local/selected/")
    arguments.add_scheme(parser)
    arguments.add_folds(parser)
    parser.add_argument(
        "--units-type",
        choices=("char", *lang.PIECE_KINDS),
        default="char",
        help="characters or SentencePiece model",
    )
    parser.add_argument(
        "--units-size", type=int, default=500, help="number of pieces, excluding blank"
    )
    parser.add_argument("--letters", default=LETTERS, help="alphabet of the transcripts")
    parser.add_argument(
        "--emotions", default="ang,hap,neu,sad", help="labels, in the order of the classifier"
    )
    return parser.parse_args()


if __name__ == "__main__":
    run(main)
