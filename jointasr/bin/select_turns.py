"""Select the utterances of an experiment from a prepared corpus by emotion and transcript."""

import argparse
from pathlib import Path

from jointasr.utils import done
from jointasr.utils.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="prepared corpus, data/local/corpus")
    parser.add_argument("out", type=Path, help="folder to write, data/local/selected")
    parser.add_argument("--emotions", default="ang,hap,neu,sad", help="classes to select")
    parser.add_argument(
        "--turns",
        choices=("speech", "all"),
        default="speech",
        help="speech: only utterances with words",
    )
    args = parser.parse_args()
    emotions = args.emotions.replace(",", " ").split()
    options = {"emotions": ",".join(sorted(emotions)), "turns": args.turns}
    with done.step(args.out, "jointasr.bin.select_turns", options, [args.source]) as todo:
        if todo:
            from jointasr.prep import selection

            selection.write(args.source, args.out, emotions, args.turns == "speech")


if __name__ == "__main__":
    run(main)
