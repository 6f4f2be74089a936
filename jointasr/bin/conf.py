"""Print resolved values of a conf file, one per line, for the scripts that choose what runs."""

import argparse
from pathlib import Path

from jointasr import config
from jointasr.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("conf", help="conf file, e.g. conf/joint.yaml")
    parser.add_argument("keys", nargs="*", help="dotted keys; `data` is the data folder's name")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides")
    args = parser.parse_args()
    conf = config.load(args.conf, Path(), args.set)
    if not args.keys:
        print(config.dump(conf), end="")
    for key in args.keys:
        print(config.data_name(conf, args.conf, Path()) if key == "data" else text(conf, key))


def text(conf: config.Config, key: str) -> str:
    """A value as the data scripts' options take it: lists with commas."""
    value = config.get(conf, key)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


if __name__ == "__main__":
    run(main)
