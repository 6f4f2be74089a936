"""Serve the demo page on this machine: audio heard by one model, or by two side by side."""

import argparse
from pathlib import Path

from jointasr.utils.errors import DataError, run


def main() -> None:
    parser = argparse.ArgumentParser(prog="jointasr demo", description=__doc__)
    parser.add_argument("models", nargs="+", metavar="MODEL", help="one or two packed models")
    parser.add_argument(
        "--noise",
        type=Path,
        default=Path("data/local/musan"),
        help="noises, as stage 1 lists them, if there are any (default: %(default)s)",
    )
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; default: a GPU where there is one")
    args = parser.parse_args()
    if len(args.models) > 2:
        raise DataError("one or two models, please: they are shown side by side")
    import uvicorn

    from jointasr.inference import demo_server, recognizer
    from jointasr.prep import noise
    from jointasr.utils.progress import start_log

    start_log()
    names = [Path(model).name for model in args.models]
    if len(set(names)) < len(names):
        names = list(args.models)
    loaded = [recognizer.load(model, args.device) for model in args.models]
    noises = noise.NoisePool(args.noise, "test") if args.noise.is_dir() else None
    if noises is None:
        print(f"{args.noise}: not there, so no noise can be added")
    served = demo_server.app(demo_server.Demo(dict(zip(names, loaded, strict=True)), noises))
    print(f"http://127.0.0.1:{args.port} (Ctrl-C ends it)", flush=True)
    uvicorn.run(served, host="127.0.0.1", port=args.port, log_level="warning")


if __name__ == "__main__":
    run(main)
