#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Create the untrained encoder and the small BERT of the mini recipe (stage 6)."""

import argparse
from pathlib import Path

from jointasr.utils import done
from jointasr.utils.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "text", type=Path, help="sentences, one per line, whose words form the vocabulary"
    )
    parser.add_argument("encoder", type=Path, help="folder to write the encoder to")
    parser.add_argument("bert", type=Path, help="folder to write the BERT to")
    args = parser.parse_args()
    options, code = {"seed": args.seed}, "local/make_mini_models.py"
    with done.step(args.encoder, code, options) as todo:
        if todo:
            from local.mini import models

            models.make_encoder(args.encoder, args.seed)
    with done.step(args.bert, code, options, [args.text]) as todo:
        if todo:
            from local.mini import models

            words = args.text.read_text(encoding="utf-8").split()
            models.make_bert(args.bert, words, args.seed)


if __name__ == "__main__":
    run(main)
