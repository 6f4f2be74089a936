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
    audio_inputs = inputs.find_inputs(args.inputs, args.channels == "each")
    model = recognizer.load(args.model, args.device, args.method, args.batch_seconds)
    segmentation = transcriber.Segmentation(args.turns, args.max_turn, args.pause)
    transcribe = transcriber.Transcriber(model, segmentation)
    if args.out is None:
        for line in transcriber.format_lines(args.format, transcribe(audio_inputs)):
            print(line, flush=True)
    else:
        settings = {**segmentation._asdict(), "channels": args.channels, "model": model.digest}
        previous = transcriber.write_results(args.out, settings, audio_inputs, transcribe)
        before = f", {previous} of them earlier" if previous else ""
        good = len(audio_inputs) - len(transcribe.failed)
        print(f"{args.out}: {good} of {len(audio_inputs)} recognised{before}", file=sys.stderr)
    if transcribe.failed:
        names = ", ".join(sorted(transcribe.failed)[:5]) + (
            " ..." if len(transcribe.failed) > 5 else ""
        )
        raise DataError(
            f"{len(transcribe.failed)} of {len(audio_inputs)} could not be read: {names}"
        )


if __name__ == "__main__":
    run(main)
