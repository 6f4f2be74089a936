#!/usr/bin/env python3
"""Turn the mini corpus' pretraining speech into lhotse manifests and a Kaldi data dir."""

import argparse
import csv
from pathlib import Path

from jointasr import done, errors
from jointasr.text import normalise
from local import corpus

CODE = "local/prepare_pretrain.py"
NO_EMOTION = "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="folder with transcripts.tsv and wav/")
    parser.add_argument("out", type=Path, help="data dir to make, e.g. data/local/pretrain")
    args = parser.parse_args()
    corpus.outside(args.out, args.corpus)
    table = args.corpus / "transcripts.tsv"
    with done.step(args.out, CODE, {"corpus": args.corpus}, [table]) as todo:
        if todo:
            prepare(args.corpus, table, args.out)


def prepare(root: Path, table: Path, out: Path) -> None:
    """Check every header, then write. Raises DataError naming an unusable wav."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    paths = [root / "wav" / row["reader"] / f"{row['utterance']}.wav" for row in rows]
    headers = corpus.headers(paths)
    from lhotse import CutSet

    from jointasr import manifest
    from local import manifests

    cuts = []
    for row, path, header in zip(rows, paths, headers, strict=True):
        whole = manifests.recording(row["utterance"], path, header)
        custom = {"emotion": NO_EMOTION, "noise": row["noise"]}
        text = normalise(row["text"])
        cuts.append(manifests.utterance(whole, text, row["reader"], row["gender"], custom))
    manifest.write(CutSet.from_cuts(cuts), out)
    print(f"{out}: {len(rows)} utterances, {sum(h.duration for h in headers) / 3600:.2f} h")


if __name__ == "__main__":
    errors.run(main)
