"""Decode the test scenarios of one trained model (stage 8); the model is loaded once."""

import argparse
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr.config import layout, scenarios
from jointasr.config.layout import DEFAULT_METHOD
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
    parser.add_argument("--tests", type=scenarios.tests_file, default="", help="table of scenarios")
    parser.add_argument("--conf", default="decode.yaml", help="conf file of the search")
    parser.add_argument("--method", default=DEFAULT_METHOD, help="see decode.yaml")
    parser.add_argument("--ctc", choices=("k2", "torch"), help="engine; default: training's")
    parser.add_argument("--feats", choices=("wav", "conv"), default="wav", help="what to read")
    parser.add_argument("--skip-bad", action="store_true", help="unreadable: an error in the score")
    return parser.parse_args()


class Trained:
    """The trained model of a fold and its decoder, made when first needed."""

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

        how = self.decoding
        return Decoder(self.model, how.conf, distributed.device(), how.ngrams)


def main() -> None:
    args = parse()
    how = steps.decoding(args.model, args.conf, args.method, args.ctc, args.feats)
    trained = Trained(how)
    tuning = how.tuning()
    if tuning is not None:
        tune(trained, tuning)
    for test in scenarios.read_tests(args.tests):
        source = how.data_dir(test)
        conv = conv_scp(trained.model, source) if args.feats == "conv" else None
        step = how.scenario(test, conv.parent if conv else None)
        with done.step(*step) as todo:
            if todo:
                unreadable = decode(trained, source, step.out, conv, args.skip_bad)
                commit = provenance.commit()
                decode_dir.write_description(step.out, step.options, commit, unreadable)


def tune(trained: Trained, step: done.Step) -> None:
    """Choose the scales of the language model on the dev set that the model was selected on."""
    how = trained.decoding
    for path in how.ngrams.values():
        if not (path / done.NAME).is_file():
            raise DataError(f"{path}: there is no language model; run stage 4 with this conf")
    with done.step(*step) as todo:
        if todo:
            from jointasr.data import manifest
            from jointasr.decoding import tuning

            step.out.mkdir(parents=True, exist_ok=True)
            dev = tuning.DevPosteriors(trained.decoder, manifest.load(step.inputs[-1]))
            tuning.tune(dev, how.conf.lm, step.out, done.digest(*step[1:]))


def decode(
    trained: Trained, source: Path, out: Path, conv: Path | None, skip_bad: bool = False
) -> dict[str, str]:
    """Decode one data dir into ``out``; ``conv``: from these archived features.

    Returns which utterances could not be read, and why; without ``skip_bad`` that is an error.
    """
    from jointasr.data import manifest
    from jointasr.decoding import decode as decoding
    from jointasr.decoding import tuning

    how = trained.decoding
    scales = tuning.read_scales(how.tune_dir) if how.ngrams else decoding.UNIT_SCALES
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
