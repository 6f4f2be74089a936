"""Write a model of random weights in the hub's layout, to measure time and memory."""

import argparse
from pathlib import Path

from jointasr.models.random_models import SHAPES, write
from jointasr.utils.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=SHAPES, help="wav2vec2-large is that of lv60-self")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    write(args.shape, args.out, args.seed)


if __name__ == "__main__":
    run(main)
