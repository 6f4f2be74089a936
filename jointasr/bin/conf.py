"""Print resolved configurations, or some of their values for the scripts that choose what runs."""

import argparse
from pathlib import Path

from jointasr.config import conf_files, schema
from jointasr.utils.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("confs", nargs="+", help="conf files, e.g. conf/joint.yaml")
    parser.add_argument("--set", default="", help="overrides: key=value, blank between")
    parser.add_argument(
        "--each",
        nargs="+",
        metavar="KEY",
        help="print these values, one line a conf, equal lines once; `data` is its data folder",
    )
    args = parser.parse_args()
    overrides = conf_files.split_overrides(args.set)
    loaded = [(name, conf_files.load(name, Path(), overrides)) for name in args.confs]
    if args.each:
        rows = ["\t".join(text(conf, name, key) for key in args.each) for name, conf in loaded]
        print("\n".join(dict.fromkeys(rows)))
    else:
        for _, conf in loaded:
            print(conf_files.dump(conf), end="")


def text(conf: schema.Config, name: str, key: str) -> str:
    """A value as the data scripts' options take it: lists with commas."""
    value = conf_files.data_name(conf, name, Path()) if key == "data" else conf_files.get(conf, key)
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


if __name__ == "__main__":
    run(main)
