#!/usr/bin/env -S bash -c '. "$(dirname "$(realpath "$0")")/../path.sh" && exec python3 "$0" "$@"'
"""Prepare MUSAN: a recordings manifest, and a split of the files into train, dev and test pools.

Writes to OUT: recordings.jsonl.gz, pools.tsv (id, type, pool; sorted by id) and report.txt.
"""

import argparse
from collections import Counter
from pathlib import Path

from jointasr.config import layout
from jointasr.utils import done, errors, rng
from jointasr.utils.files import write_text
from local import corpus

CODE = "local/prepare_musan.py"
TYPES = ("music", "speech", "noise")
RELEASE = {"music": 660, "speech": 426, "noise": 930}
"""number of files in the release, https://www.openslr.org/17/"""
SHARES = {"dev": 0.1, "test": 0.2}
"""shares of the files in each pool; all other files are in the train pool"""
INCOMPLETE = "MUSAN has music, speech, noise; --allow-partial true continues without"
MIN_FILES = 3
"""of each type: one for each pool"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, help="folder that holds music/, speech/ and noise/")
    parser.add_argument("out", type=Path, help="folder to write, e.g. data/local/musan")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split into pools")
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        help="accept a corpus without some of the three types",
    )
    args = parser.parse_args()
    corpus.require_outside(args.out, args.corpus)
    files = find(args.corpus, args.allow_partial)
    options = {
        "corpus": args.corpus,
        "files": corpus.digest([p for paths in files.values() for p in paths], args.corpus),
        "seed": args.seed,
    }
    with done.step(args.out, CODE, options) as todo:
        if todo:
            prepare(args.corpus, files, args.out, args.seed)


def find(root: Path, allow_partial: bool) -> dict[str, list[Path]]:
    """Return the wavs of each type. Raises DataError if a type is missing or too small to split."""
    if not any((root / kind).is_dir() for kind in TYPES):
        raise errors.DataError(f"{root}: {_suggestion(root)}")
    files: dict[str, list[Path]] = {}
    for kind in TYPES:
        wavs = corpus.without_hidden(corpus.walk(root / kind, lambda name: name.endswith(".wav")))
        if not wavs:
            if allow_partial:
                continue
            raise errors.DataError(f"{root / kind}: no wav files; {INCOMPLETE}")
        if len(wavs) < MIN_FILES:
            raise errors.DataError(
                f"{root / kind}: {len(wavs)} wav files; train, dev and test pools need one each"
            )
        files[kind] = wavs
    return files


def split(kind: str, names: list[str], seed: int) -> dict[str, str]:
    """Return ``{name: pool}``, split by a hash of seed, type and name; no pool is empty."""
    order = sorted(names, key=lambda name: (rng.derive(seed, "musan pool", kind, name), name))
    pools = dict.fromkeys(order, "train")
    start = 0
    for pool, share in SHARES.items():
        size = max(1, round(share * len(order)))
        pools.update(dict.fromkeys(order[start : start + size], pool))
        start += size
    return pools


def prepare(root: Path, files: dict[str, list[Path]], out: Path, seed: int) -> None:
    """Check the headers of all files, then write the manifest, the pools and the report."""
    paths = [path for wavs in files.values() for path in wavs]
    duplicates = [name for name, n in Counter(path.stem for path in paths).items() if n > 1]
    if duplicates:
        same = ", ".join(str(path) for path in paths if path.stem == duplicates[0])
        raise errors.DataError(f"{duplicates[0]}: two files have this name: {same}")
    headers = corpus.read_headers(paths)
    from local import manifests

    manifests.write_recordings(out / layout.RECORDINGS, paths, headers)
    rows, report = [], []
    for kind, wavs in files.items():
        pools = split(kind, [path.stem for path in wavs], seed)
        rows += [f"{name}\t{kind}\t{pool}" for name, pool in pools.items()]
        sizes = Counter(pools.values())
        seconds = sum(h.duration for p, h in zip(paths, headers, strict=True) if p in set(wavs))
        report.append(
            f"{kind}: {len(wavs)} files ({RELEASE[kind]} in MUSAN), {seconds / 3600:.2f} h; "
            + ", ".join(f"{pool} {sizes[pool]}" for pool in ("train", "dev", "test"))
        )
    report += [f"MISSING: {kind}" for kind in TYPES if kind not in files]
    ignored = corpus.count_hidden(corpus.walk(root, lambda _: True))
    report.append(f"not read, AppleDouble and other hidden files: {ignored}")
    write_text(out / layout.POOLS, "".join(row + "\n" for row in sorted(rows)))
    write_text(out / "report.txt", "".join(line + "\n" for line in report))
    print("\n".join(report))


def _suggestion(root: Path) -> str:
    expected = "give the folder that holds music/, speech/ and noise/"
    if not root.exists():
        return f"no such folder; {expected}"
    if root.name in TYPES:
        return f"is one type of noise; give its parent, {root.parent}"
    for below in sorted(root.glob("*/music")):
        return f"has none of the types; did you mean {below.parent}?"
    if (root / "Session1").is_dir():
        return f"looks like IEMOCAP; {expected}"
    return f"has none of the types; {expected}"


if __name__ == "__main__":
    errors.run(main)
