#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Prepare the pretraining speech of the mini recipe: train_noisy, dev_noisy and lang_char."""

import argparse
import csv
from pathlib import Path

from jointasr.text.normalizer import normalise
from jointasr.utils import done, errors, locks
from local import corpus

CODE = "local/prepare_pretrain.py"
NO_EMOTION = "none"
DEV_EVERY = 15
"""every 15th utterance is in dev, so that all readers are in train"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="folder with transcripts.tsv and wav/")
    parser.add_argument("out", type=Path, help="folder to write, e.g. data/pretrain")
    args = parser.parse_args()
    corpus.require_outside(args.out, args.corpus)
    table = args.corpus / "transcripts.tsv"
    outputs = [args.out / name for name in ("train_noisy", "dev_noisy", "lang_char")]
    wavs = corpus.walk(args.corpus / "wav", lambda name: name.endswith(".wav"))
    options = {"corpus": args.corpus, "files": corpus.digest(wavs, args.corpus)}
    with locks.held(args.out):
        if any([done.check(path, CODE, options, [table]) for path in outputs]):
            prepare(args.corpus, table, args.out)
            for path in outputs:
                done.write(path, CODE, options, [table])


def prepare(root: Path, table: Path, out: Path) -> None:
    """Check the headers of all files, then write. Raises DataError naming unusable files."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    paths = [root / "wav" / row["reader"] / f"{row['utterance']}.wav" for row in rows]
    headers = corpus.read_headers(paths)
    from lhotse import CutSet

    from jointasr.data import manifest
    from jointasr.text.lang import Units, write_labels
    from local import manifests

    cuts = []
    for row, path, header in zip(rows, paths, headers, strict=True):
        recording = manifests.recording(row["utterance"], path, header)
        custom = {"emotion": NO_EMOTION, "noise": row["noise"]}
        text = normalise(row["text"])
        speaker = row["reader"], custom, row["gender"]
        cuts.append(manifests.utterance(recording, text, *speaker, language="English"))
    dev = cuts[::DEV_EVERY]
    train = [cut for i, cut in enumerate(cuts) if i % DEV_EVERY]
    manifest.write(CutSet.from_cuts(train), out / "train_noisy")
    manifest.write(CutSet.from_cuts(dev), out / "dev_noisy")
    Units.char().save(out / "lang_char")
    write_labels(out / "lang_char", [NO_EMOTION])
    print(f"{out}: {len(rows)} utterances, {sum(h.duration for h in headers) / 3600:.2f} h")


if __name__ == "__main__":
    errors.run(main)
