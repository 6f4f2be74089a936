"""Write the lists of train, dev and test utterances of all folds."""

import argparse
from pathlib import Path
from typing import Any

from jointasr.config import arguments
from jointasr.prep import folds
from jointasr.utils import done
from jointasr.utils.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("selected", type=Path, help="utterances, data/local/selected")
    parser.add_argument("out", type=Path, help="folder to write, data/folds/<scheme>")
    arguments.add_scheme(parser)
    parser.add_argument(
        "--dev",
        choices=("heldout", "partner"),
        default="heldout",
        help="dev set: held-out dialogues of the training speakers, or the test speaker's partner",
    )
    parser.add_argument(
        "--dev-fraction", type=float, default=0.1, help="share of each speaker's dialogues in dev"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of held-out dialogues")
    arguments.add_folds(parser)
    args = parser.parse_args()
    options: dict[str, Any] = {"scheme": args.scheme, "dev": args.dev, "seed": args.seed}
    if args.dev == "heldout":
        options["dev_fraction"] = args.dev_fraction
    with done.step(args.out, "jointasr.bin.make_folds", options, [args.selected]) as todo:
        if todo:
            utterances = folds.read_utterances(args.selected, check_tables=True)
            lists = folds.make(utterances, args.scheme, args.dev, args.dev_fraction, args.seed)
            print_counts(folds.write(lists, args.out, options)["folds"])
    folds.select(args.out, args.folds.split())


def print_counts(counts: dict[str, Any]) -> None:
    """Print a heading and one line per fold."""
    print(
        "fold: utterances of train / dev / test; dialogues and sentences shared by train and test"
    )
    for name, fold in counts.items():
        sizes = " / ".join(str(fold[split]["utterances"]) for split in folds.SPLITS)
        shared = fold["shared_sentences"]["all"]
        print(
            f"  {name}: {sizes}; {fold['train']['dialogues_shared_with_test']} dialogues, "
            f"{shared['in_train']} of {shared['utterances']} test sentences occur in training"
        )


if __name__ == "__main__":
    run(main)
