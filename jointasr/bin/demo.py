"""Serve a demo page on this machine: recognize audio with one model, or compare two."""

import argparse
from pathlib import Path

from jointasr.config import arguments
from jointasr.utils.errors import DataError, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="jointasr demo", description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="one or two packed models")
    parser.add_argument(
        "--noise",
        type=Path,
        default=Path("data/local/musan"),
        help="noise that stage 1 has prepared, if it exists (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=int, default=8000, help="port of the page (default: %(default)s)"
    )
    arguments.add_device(parser)
    args = parser.parse_args()
    if len(args.models) > 2:
        raise DataError(f"{len(args.models)} models given; the page shows one or two")
    import uvicorn

    from jointasr.inference import demo_server, recognizer
    from jointasr.prep import mixing
    from jointasr.utils.progress import start_log

    start_log()
    names = [Path(model).name for model in args.models]
    if len(set(names)) < len(names):
        names = list(args.models)
    loaded = [recognizer.load(model, args.device) for model in args.models]
    noises = mixing.NoisePool(args.noise, "test") if args.noise.is_dir() else None
    if noises is None:
        print(f"{args.noise} does not exist: noise cannot be added")
    app = demo_server.app(demo_server.Demo(dict(zip(names, loaded, strict=True)), noises))
    print(f"http://127.0.0.1:{args.port} (Ctrl-C to stop)", flush=True)
    uvicorn.run(app, host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    run(main)
