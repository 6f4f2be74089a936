"""Recognise what is said and how it is felt in audio files, folders, patterns ("calls/*.flac"),
Kaldi data dirs, lhotse cut manifests (*.jsonl[.gz]) or standard input (-)."""

import argparse
import sys
from pathlib import Path
from typing import get_args

from jointasr.config import decode_schema
from jointasr.utils.errors import DataError, run

WAYS = ("auto", "voice", "windows", "whole")
KINDS = ("text", "jsonl", "ctm", "rttm", "tsv")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="jointasr recognize", description=__doc__)
    parser.add_argument("inputs", nargs="+", metavar="INPUT")
    parser.add_argument("--model", required=True, help="folder of steps/pack.sh, or hub id")
    parser.add_argument("--format", choices=KINDS, default="text", help="of what is printed")
    parser.add_argument(
        "--out", type=Path, help="folder for results in every format; run again to go on"
    )
    parser.add_argument(
        "--turns",
        choices=WAYS,
        default="auto",
        help="long audio: by voice activity, in windows, or not divided; auto: voice, if longer "
        "than --max-turn (cuts and data dirs have their turns)",
    )
    parser.add_argument("--max-turn", type=_seconds, default=20.0, help="seconds (default 20)")
    parser.add_argument("--pause", type=_seconds, default=0.5, help="ends a turn; seconds (0.5)")
    parser.add_argument(
        "--channels", choices=("mix", "each"), default="mix", help="of files with several"
    )
    parser.add_argument(
        "--method", choices=get_args(decode_schema.Method), help="of search; default: the model's"
    )
    parser.add_argument("--batch-seconds", type=_seconds, help="of audio at once; default 60")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; default: a GPU where there is one")
    return parser.parse_args()


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.05 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text}: give 0.05 to 3600 seconds")
    return value


def main() -> None:
    args = parse()
    from jointasr.inference import inputs, recognizer, transcriber
    from jointasr.utils.progress import start_log

    start_log()
    sources = inputs.find(args.inputs, args.channels == "each")
    model = recognizer.load(args.model, args.device, args.method, args.batch_seconds)
    division = transcriber.Division(args.turns, args.max_turn, args.pause)
    work = transcriber.Transcriber(model, division)
    if args.out is None:
        for line in transcriber.lines(args.format, work(sources)):
            print(line, flush=True)
    else:
        made_by = {**division._asdict(), "channels": args.channels, "model": model.digest}
        done = transcriber.into(args.out, made_by, sources, work)
        before = f", {done} of them before" if done else ""
        good = len(sources) - len(work.failed)
        print(f"{args.out}: {good} of {len(sources)} recognised{before}", file=sys.stderr)
    if work.failed:
        names = ", ".join(sorted(work.failed)[:5]) + (" ..." if len(work.failed) > 5 else "")
        raise DataError(f"{len(work.failed)} of {len(sources)} could not be read: {names}")


if __name__ == "__main__":
    run(main)
