"""Pack a trained model for use elsewhere: weights, decoding options, calibration, model card."""

import argparse
from pathlib import Path
from typing import get_args

from jointasr.config import decode_schema
from jointasr.config.layout import DEFAULT_METHOD
from jointasr.utils import distributed
from jointasr.utils.errors import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="exp/<system>_<condition>/fold_<fold>")
    parser.add_argument("out", type=Path, help="folder to write")
    methods = (DEFAULT_METHOD, *get_args(decode_schema.Method))
    parser.add_argument("--method", choices=methods, default=DEFAULT_METHOD, help="decoding method")
    parser.add_argument("--push", metavar="ID", default="", help="also upload it to the hub as ID")
    parser.add_argument(
        "--onnx", action="store_true", help="also write ONNX graphs (needs the library onnx)"
    )
    args = parser.parse_args()
    from jointasr.inference import packing
    from jointasr.utils.progress import start_log

    start_log()
    packing.pack(args.model, args.out, args.method, distributed.device(), args.onnx)
    print(f"{args.out}: written; try: jointasr recognize --model {args.out} AUDIO")
    if args.push:
        print(f"{args.out}: uploaded to {packing.push(args.out, args.push)}")


if __name__ == "__main__":
    run(main)
