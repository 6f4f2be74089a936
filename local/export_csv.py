#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Convert a prepared data dir to a CSV file in the format of egs/own, as an example."""

import argparse
import csv
import io
from pathlib import Path

from jointasr.data import manifest
from jointasr.utils import errors, files
from local.own.tables import COLUMNS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="data dir, e.g. egs/mini/data/local/corpus")
    parser.add_argument(
        "audio", type=Path, help="folder that the paths in wav.scp are relative to, e.g. egs/mini"
    )
    parser.add_argument("out", type=Path, help="CSV file to write")
    args = parser.parse_args()
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    cuts = manifest.load(args.data)
    for cut in cuts:
        (supervision,) = cut.supervisions
        custom = supervision.custom
        writer.writerow(
            {
                "path": (args.audio / cut.recording.sources[0].source).absolute(),
                "id": cut.id,
                "speaker": supervision.speaker,
                "group": custom["session"],
                "text": "[NO WORDS]" if supervision.text == "" else supervision.text,
                **{key: custom.get(key, "") for key in ("dialogue", "fold", "style", "emotion")},
            }
        )
    files.write_text(args.out, table.getvalue())
    print(f"{args.out}: {len(cuts)} utterances")


if __name__ == "__main__":
    errors.run(main)
