"""Decode the test scenarios of one trained model (stage 8); the model is loaded once."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr import config, done, files, parallel, provenance, scenarios, schema
from jointasr.errors import DataError, run
from jointasr.experiment import DECODED, DEFAULT_METHOD, decode_name, read_model

if TYPE_CHECKING:
    from jointasr.checkpoint import Model


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="exp/<system>/fold_<fold>")
    parser.add_argument("--tests", type=scenarios.tests_file, default="", help="table of scenarios")
    parser.add_argument("--conf", default="decode.yaml", help="conf file of the search")
    parser.add_argument("--method", default=DEFAULT_METHOD, help="default, one_best or greedy")
    parser.add_argument("--ctc", choices=("k2", "torch"), help="engine; default: training's")
    parser.add_argument("--feats", choices=("wav", "conv"), default="wav", help="what to read")
    parser.add_argument("--skip-bad", action="store_true", help="unreadable: an error in the score")
    return parser.parse_args()


def main() -> None:
    args = parse()
    overrides = [] if args.method == DEFAULT_METHOD else [f"method={args.method}"]
    conf = config.load_decode(args.conf, Path(), overrides)
    search, suffix = conf.model_dump(exclude={"max_duration"}), args.method
    if args.feats == "conv":
        suffix = "conv" if suffix == DEFAULT_METHOD else f"{suffix}_conv"
    trained = read_model(args.model)
    engine, data = args.ctc or trained.engine, Path(trained.data)
    options = {**search, "ctc": engine, "feats": args.feats, "stack": provenance.stack()}
    model = load(args.model, engine) if args.feats == "conv" else None
    for test in scenarios.read_tests(args.tests):
        source, out = data / f"test_{test}", args.model / decode_name(test, suffix)
        conv = conv_scp(model, source) if model is not None and args.feats == "conv" else None
        inputs = [args.model, source, *([conv.parent] if conv else [])]
        with done.step(out, "jointasr.bin.decode", options, inputs) as todo:
            if todo:
                model = model or load(args.model, engine)
                unread = decode(model, source, out, conf, conv, args.skip_bad)
                describe(out, options, unread)


def load(folder: Path, engine: str) -> "Model":
    """The trained model of a fold, to be searched with ``engine``."""
    from jointasr.progress import start_log

    start_log()
    from jointasr import checkpoint

    model = checkpoint.load(folder / "best")
    return model._replace(conf=model.conf.model_copy(update={"ctc": engine}))


def decode(
    model: "Model",
    source: Path,
    out: Path,
    conf: schema.Decode,
    conv: Path | None,
    skip_bad: bool = False,
) -> dict[str, str]:
    """Decode one data dir into ``out``; ``conv``: from these archived features.

    Returns which utterances could not be read, and why; without ``skip_bad`` that is an error.
    """
    from jointasr import decode as decoding
    from jointasr import manifest

    found = decoding.decode(model, manifest.load(source), conf, parallel.device(), conv, skip_bad)
    decoding.write(out, model, found)
    return found.unread


def describe(out: Path, options: dict[str, object], unread: dict[str, str]) -> None:
    """Write how and by which commit ``out`` was decoded, and what could not be read."""
    files.write_json(out / DECODED, {**options, "commit": provenance.commit(), "unread": unread})


def conv_scp(model: "Model", source: Path) -> Path:
    """feats.scp of the archived convolutional features of ``source``'s set."""
    digest = model.system.encoder.digest()[:8]
    name = source.name.removeprefix("test_")
    path = source.parents[3] / name / f"conv_{digest}" / "feats.scp"
    if not path.is_file():
        raise DataError(f"{path} does not exist: run stage 6 with --feats conv")
    return path


if __name__ == "__main__":
    run(main)
