"""Print resolved configurations, or the values of some keys for use in scripts."""

import argparse
from pathlib import Path

from jointasr.config import conf_files, schema
from jointasr.utils.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    conf_files.add_options(parser)
    parser.add_argument(
        "--each",
        nargs="+",
        metavar="KEY",
        help="print the values of these keys, tab-separated, one line per conf without duplicates; "
        "`data` is the data folder",
    )
    parser.add_argument(
        "--data-settings",
        action="store_true",
        help="print KEY<TAB>VALUE lines for each data folder of the confs: `data`, the folder, and "
        "the keys of the sections data and units; each block ends with an empty line",
    )
    args = parser.parse_args()
    loaded = conf_files.load_all(args.confs, args.set)
    if args.each:
        rows = [
            "\t".join(text(value(conf, name, key)) for key in args.each)
            for name, conf in loaded.items()
        ]
        print("\n".join(dict.fromkeys(rows)))
    elif args.data_settings:
        print("\n".join(dict.fromkeys(data_settings(conf, name) for name, conf in loaded.items())))
    else:
        for conf in loaded.values():
            print(conf_files.dump(conf), end="")


def data_settings(conf: schema.Config, name: str) -> str:
    """Return the data folder of a conf and the keys that determine it, as lines KEY<TAB>VALUE."""
    settings = {"data": str(value(conf, name, "data"))}
    for section in ("data", "units"):
        for key, setting in getattr(conf, section):
            settings[f"{section}.{key}"] = text(setting)
    return "".join(f"{key}\t{value}\n" for key, value in settings.items())


def value(conf: schema.Config, name: str, key: str) -> object:
    """Return the value of a dotted key; that of `data` is the data folder."""
    return conf_files.data_name(conf, name, Path()) if key == "data" else conf_files.get(conf, key)


def text(value: object) -> str:
    """Format a value as the scripts' options expect it: lists separated by commas."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


if __name__ == "__main__":
    run(main)
