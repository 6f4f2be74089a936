"""Decode the test scenarios of one trained model (stage 8); the model is loaded once."""

import argparse
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr.config import conf_files, layout, scenarios, schema
from jointasr.config.layout import (
    DEFAULT_METHOD,
)
from jointasr.config.model_description import HAS_WORDS, read_model
from jointasr.scoring import decode_dir
from jointasr.utils import distributed, done, provenance
from jointasr.utils.errors import DataError, run

if TYPE_CHECKING:
    from jointasr.decoding.decoder import Decoder
    from jointasr.models.checkpoint import TrainedModel

CODE = "jointasr.bin.decode"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="exp/<system>/fold_<fold>")
    parser.add_argument("--tests", type=scenarios.tests_file, default="", help="table of scenarios")
    parser.add_argument("--conf", default="decode.yaml", help="conf file of the search")
    parser.add_argument("--method", default=DEFAULT_METHOD, help="see decode.yaml")
    parser.add_argument("--ctc", choices=("k2", "torch"), help="engine; default: training's")
    parser.add_argument("--feats", choices=("wav", "conv"), default="wav", help="what to read")
    parser.add_argument("--skip-bad", action="store_true", help="unreadable: an error in the score")
    return parser.parse_args()


class Trained:
    """The trained model of a fold and its decoder, made when first needed."""

    def __init__(self, folder: Path, engine: str, conf: schema.Decode) -> None:
        self.folder, self.engine, self.conf = folder, engine, conf
        self.about = read_model(folder)
        orders = conf.orders if self.about.kind in HAS_WORDS else []
        self.ngrams = {order: layout.lm_dir(Path(self.about.data), order) for order in orders}

    @cached_property
    def model(self) -> "TrainedModel":
        from jointasr.utils.progress import start_log

        start_log()
        from jointasr.models import checkpoint

        model = checkpoint.load(self.folder / layout.BEST)
        return model._replace(conf=model.conf.model_copy(update={"ctc": self.engine}))

    @cached_property
    def decoder(self) -> "Decoder":
        from jointasr.decoding.decoder import Decoder

        return Decoder(self.model, self.conf, distributed.device(), self.ngrams)


def main() -> None:
    args = parse()
    overrides = [] if args.method == DEFAULT_METHOD else [f"method={args.method}"]
    conf = conf_files.load_decode(args.conf, Path(), overrides)
    suffix = args.method
    if args.feats == "conv":
        suffix = "conv" if suffix == DEFAULT_METHOD else f"{suffix}_conv"
    about = read_model(args.model)
    trained = Trained(args.model, args.ctc or about.engine, conf)
    options = {**conf.options(), "ctc": trained.engine, "stack": provenance.stack()}
    tuned = layout.tune_dir(args.model, args.method)
    read = [args.model, *trained.ngrams.values()]
    if trained.ngrams:
        tune(trained, tuned, options, [*read, Path(about.selected["on"])])
        read.append(tuned)
    options["feats"] = args.feats
    for test in scenarios.read_tests(args.tests):
        source = layout.test_dir(Path(about.data), test)
        out = layout.decode_dir(args.model, test, suffix)
        conv = conv_scp(trained.model, source) if args.feats == "conv" else None
        inputs = [*read, source, *([conv.parent] if conv else [])]
        with done.step(out, CODE, options, inputs) as todo:
            if todo:
                unreadable = decode(trained, source, out, tuned, conv, args.skip_bad)
                decode_dir.write_description(out, options, provenance.commit(), unreadable)


def tune(trained: Trained, out: Path, options: Mapping[str, object], inputs: list[Path]) -> None:
    """Choose the scales of the language model on the dev set that the model was chosen on."""
    for path in trained.ngrams.values():
        if not (path / done.NAME).is_file():
            raise DataError(f"{path}: there is no language model; run stage 4 with this conf")
    with done.step(out, CODE, options, inputs) as todo:
        if todo:
            from jointasr.data import manifest
            from jointasr.decoding import tuning

            out.mkdir(parents=True, exist_ok=True)
            dev = tuning.DevCandidates(trained.decoder, manifest.load(inputs[-1]))
            tuning.tune(dev, trained.conf.lm, out, done.digest(CODE, options, inputs))


def decode(
    trained: Trained,
    source: Path,
    out: Path,
    tuned: Path,
    conv: Path | None,
    skip_bad: bool = False,
) -> dict[str, str]:
    """Decode one data dir into ``out``; ``conv``: from these archived features.

    Returns which utterances could not be read, and why; without ``skip_bad`` that is an error.
    """
    from jointasr.data import manifest
    from jointasr.decoding import decode as decoding
    from jointasr.decoding import tuning

    scales = tuning.read(tuned) if trained.ngrams else decoding.EQUAL
    hypotheses = decoding.decode(trained.decoder, manifest.load(source), conv, skip_bad, scales)
    decoding.write(out, trained.model, hypotheses)
    return hypotheses.unreadable


def conv_scp(model: "TrainedModel", source: Path) -> Path:
    """feats.scp of the archived convolutional features of ``source``'s set."""
    digest = model.system.encoder.digest()[:8]
    archived = layout.data_folder(source.parent) / layout.test_scenario(source)
    path = layout.conv_dir(archived, digest) / "feats.scp"
    if not path.is_file():
        raise DataError(f"{path} does not exist: run stage 6 with --feats conv")
    return path


if __name__ == "__main__":
    run(main)
