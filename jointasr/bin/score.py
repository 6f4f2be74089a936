"""Score decode folders: WER if a folder has text, accuracy if it has utt2emo."""

import argparse
from pathlib import Path

from jointasr.scoring import score_dir, score_files
from jointasr.utils.errors import DataError, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "dirs",
        nargs="+",
        type=Path,
        metavar="DATA LANG DECODE",
        help="test data dir of a fold, its lang dir, the decode folder; may be repeated",
    )
    dirs = parser.parse_args().dirs
    if len(dirs) % 3:
        raise DataError("expected DATA LANG DECODE, or several such triples")
    for data, lang, decode in zip(dirs[::3], dirs[1::3], dirs[2::3], strict=True):
        scores = score_dir.score(data, lang, decode)
        if scores.counts is not None:
            print(f"{score_files.wer_line(scores.counts)} {decode}")
        if scores.confusion is not None:
            print(f"{score_files.acc_line(scores.confusion)} {decode}")


if __name__ == "__main__":
    run(main)
