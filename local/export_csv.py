#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Write a prepared data dir as the CSV file that egs/own takes: an example to try it on."""

import argparse
import csv
import io
from pathlib import Path

from jointasr.data import manifest
from jointasr.utils import errors, files
from local.own.rows import COLUMNS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data dir, e.g. egs/mini/data/local/corpus")
    parser.add_argument(
        "audio", type=Path, help="folder that its wav.scp counts from, e.g. egs/mini"
    )
    parser.add_argument("out", type=Path, help="CSV file to write")
    args = parser.parse_args()
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    cuts = manifest.load(args.data)
    for cut in cuts:
        (supervision,) = cut.supervisions
        told = supervision.custom
        writer.writerow(
            {
                "path": (args.audio / cut.recording.sources[0].source).absolute(),
                "id": cut.id,
                "speaker": supervision.speaker,
                "group": told["session"],
                "text": "[NO WORDS]" if supervision.text == "" else supervision.text,
                **{key: told.get(key, "") for key in ("dialogue", "fold", "style", "emotion")},
            }
        )
    files.write_text(args.out, table.getvalue())
    print(f"{args.out}: {len(cuts)} utterances")


if __name__ == "__main__":
    errors.run(main)
