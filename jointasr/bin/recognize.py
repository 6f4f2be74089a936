"""Recognize speech and emotion in audio.

Inputs are audio files, folders, patterns ("calls/*.flac"), Kaldi data dirs, lhotse cut manifests
(*.jsonl[.gz]) or standard input (-).
"""

import argparse
import sys
from pathlib import Path
from typing import get_args

from jointasr.config import arguments, decode_schema
from jointasr.utils.errors import DataError, run

SEGMENTATIONS = ("auto", "voice", "windows", "whole")
FORMATS = ("text", "jsonl", "ctm", "rttm", "tsv")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="jointasr recognize", description=__doc__)
    parser.add_argument("inputs", nargs="+", metavar="INPUT")
    parser.add_argument("--model", required=True, help="packed model: folder or hub id")
    parser.add_argument("--format", choices=FORMATS, default="text", help="of the printed results")
    parser.add_argument(
        "--out",
        type=Path,
        help="write results in all formats to this folder; run again to continue",
    )
    parser.add_argument(
        "--turns",
        choices=SEGMENTATIONS,
        default="auto",
        help="split audio by voice activity, into windows, or not at all; auto: by voice activity "
        "if longer than --max-turn (cuts and data dirs are already segmented)",
    )
    parser.add_argument(
        "--max-turn",
        type=_seconds,
        default=20.0,
        metavar="SECONDS",
        help="maximum length of a segment (default: 20)",
    )
    parser.add_argument(
        "--pause",
        type=_seconds,
        default=0.5,
        metavar="SECONDS",
        help="pause that ends a segment (default: 0.5)",
    )
    parser.add_argument(
        "--channels",
        choices=("mix", "each"),
        default="mix",
        help="files with several channels: mix them, or recognize each",
    )
    parser.add_argument(
        "--method",
        choices=get_args(decode_schema.Method),
        help="decoding method (default: that of the model)",
    )
    parser.add_argument(
        "--batch-seconds",
        type=_seconds,
        metavar="SECONDS",
        help="seconds of audio per batch (default: 60)",
    )
    arguments.add_device(parser)
    return parser.parse_args()


def _seconds(text: str) -> float:
    value = float(text)
    if not 0.05 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text}: expected 0.05 to 3600 seconds")
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
        settings: dict[str, object] = dict(
            zip(("how", "longest", "pause"), segmentation, strict=True)
        )
        settings |= {"channels": args.channels, "model": model.digest}
        previous = transcriber.write_results(args.out, settings, audio_inputs, transcribe)
        count = len(audio_inputs) - len(transcribe.failed)
        suffix = f", {previous} of them earlier" if previous else ""
        print(f"{args.out}: {count} of {len(audio_inputs)} recognised{suffix}", file=sys.stderr)
    if failed := transcribe.failed:
        names = ", ".join(sorted(failed)[:5]) + (" ..." if len(failed) > 5 else "")
        raise DataError(f"{len(failed)} of {len(audio_inputs)} could not be read: {names}")


if __name__ == "__main__":
    run(main)
