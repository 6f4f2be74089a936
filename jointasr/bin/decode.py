"""Decode the test scenarios with one trained model (stage 8). The model is loaded only once."""

import argparse
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr.config import arguments, layout, scenarios
from jointasr.decoding import steps
from jointasr.decoding.steps import Decoding
from jointasr.scoring import decode_dir
from jointasr.utils import distributed, done, provenance
from jointasr.utils.errors import DataError, run

if TYPE_CHECKING:
    from jointasr.decoding.decoder import Decoder
    from jointasr.models.checkpoint import TrainedModel


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="exp/<system>/fold_<fold>")
    parser.add_argument("--conf", default="decode.yaml", help="conf file of the decoding options")
    arguments.add_tests(parser)
    arguments.add_method(parser)
    arguments.add_engine(parser)
    arguments.add_feats(parser)
    parser.add_argument(
        "--skip-bad", action="store_true", help="count unreadable utterances as errors"
    )
    return parser.parse_args()


class LazyModel:
    """The trained model of a fold and its decoder, loaded on first use."""

    def __init__(self, decoding: Decoding) -> None:
        self.decoding = decoding

    @cached_property
    def model(self) -> "TrainedModel":
        from jointasr.utils.progress import start_log

        start_log()
        from jointasr.models import checkpoint

        model = checkpoint.load(self.decoding.model_dir / layout.BEST)
        return model._replace(conf=model.conf.model_copy(update={"ctc": self.decoding.engine}))

    @cached_property
    def decoder(self) -> "Decoder":
        from jointasr.decoding.decoder import Decoder

        decoding = self.decoding
        return Decoder(self.model, decoding.conf, distributed.device(), decoding.ngrams)


def main() -> None:
    args = parse()
    decoding = steps.decoding(args.model, args.conf, args.method, args.ctc, args.feats)
    lazy = LazyModel(decoding)
    tuning = decoding.tuning()
    if tuning is not None:
        tune(lazy, tuning)
    for test in scenarios.read_tests(args.tests):
        source = decoding.data_dir(test)
        conv = conv_scp(lazy.model, source) if args.feats == "conv" else None
        step = decoding.scenario(test, conv.parent if conv else None)
        with done.step(*step) as todo:
            if todo:
                unreadable = decode(lazy, source, step.out, conv, args.skip_bad)
                commit = provenance.commit()
                decode_dir.write_description(step.out, step.options, commit, unreadable)


def tune(lazy: LazyModel, step: done.Step) -> None:
    """Choose the scales of the language model on the dev set on which the model was selected.

    Raises DataError if the language model is missing.
    """
    decoding = lazy.decoding
    for path in decoding.ngrams.values():
        if not (path / done.NAME).is_file():
            raise DataError(f"{path}: no language model; run stage 4 with this conf")
    with done.step(*step) as todo:
        if todo:
            from jointasr.data import manifest
            from jointasr.decoding import tuning

            step.out.mkdir(parents=True, exist_ok=True)
            dev = tuning.DevPosteriors(lazy.decoder, manifest.load(step.inputs[-1]))
            tuning.tune(dev, decoding.conf.lm, step.out, done.digest(*step[1:]))


def decode(
    lazy: LazyModel, source: Path, out: Path, conv: Path | None, skip_bad: bool = False
) -> dict[str, str]:
    """Decode one data dir into ``out``, from the archived features ``conv`` if given.

    Returns the reason for each utterance that cannot be read; without ``skip_bad``, raises
    DataError for the first.
    """
    from jointasr.data import manifest
    from jointasr.decoding import decode as decoder
    from jointasr.decoding import tuning

    decoding = lazy.decoding
    scales = tuning.read_scales(decoding.tune_dir) if decoding.ngrams else decoder.UNIT_SCALES
    hypotheses = decoder.decode(lazy.decoder, manifest.load(source), conv, skip_bad, scales)
    decoder.write(out, lazy.model, hypotheses)
    return hypotheses.unreadable


def conv_scp(model: "TrainedModel", source: Path) -> Path:
    """Return feats.scp of the archived convolutional features for the set of ``source``.

    Raises DataError if it does not exist.
    """
    digest = model.system.encoder.digest()[:8]
    archived = layout.data_folder(source.parent) / layout.test_scenario(source)
    path = layout.conv_dir(archived, digest) / layout.FEATS
    if not path.is_file():
        raise DataError(f"{path} does not exist: run stage 6 with --feats conv")
    return path


if __name__ == "__main__":
    run(main)
