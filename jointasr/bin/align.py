"""Align reference transcripts, or those that a model has decoded, with the audio of its tests."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr.config import arguments, conf_files, layout, scenarios
from jointasr.config.model_description import HAS_WORDS, read_model
from jointasr.data import datadir
from jointasr.decoding import steps
from jointasr.scoring import decode_dir
from jointasr.utils import distributed, done
from jointasr.utils.errors import run

if TYPE_CHECKING:
    from jointasr.decoding.decoder import Decoder


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="exp/<system>/fold_<fold>")
    parser.add_argument(
        "--of", choices=("ref", "hyp"), default="ref", help="references or hypotheses"
    )
    arguments.add_tests(parser)
    arguments.add_method(parser)
    arguments.add_engine(parser)
    return parser.parse_args()


def main() -> None:
    args = parse()
    model = read_model(args.model)
    if model.kind not in HAS_WORDS:
        print(f"{args.model}: a {model.kind} model has no transcripts; nothing to align")
        return
    engine = args.ctc or model.engine
    decoder: Decoder | None = None
    for test in scenarios.read_tests(args.tests):
        step = steps.alignment(args.model, model, test, args.of, args.method, engine)
        source = step.inputs[1]
        decoded = step.inputs[2] if args.of == "hyp" else None
        with done.step(*step) as todo:
            if todo:
                decoder = decoder or load(args.model, engine)
                texts = (
                    decode_dir.read_texts(decoded)
                    if decoded
                    else datadir.read_table(source / "text")
                )
                align(decoder, source, texts, step.out, decoded)


def load(folder: Path, engine: str) -> "Decoder":
    """Load the trained model of a fold, with CTC engine ``engine``."""
    from jointasr.utils.progress import start_log

    start_log()
    from jointasr.decoding.decoder import Decoder
    from jointasr.models import checkpoint

    model = checkpoint.load(folder / layout.BEST)
    model = model._replace(conf=model.conf.model_copy(update={"ctc": engine}))
    conf = conf_files.load_decode("decode.yaml", Path(), ["method=greedy"])  # needs no graphs
    return Decoder(model, conf, distributed.device())


def align(
    decoder: "Decoder", source: Path, texts: dict[str, str], out: Path, decoded: Path | None
) -> None:
    """Write ``out``/words.ctm and units.ctm; print how many utterances were not aligned, and why.

    ``decoded`` is the decode folder of ``texts``, None for references.
    """
    from jointasr.data import manifest
    from jointasr.decoding import alignment

    cuts = manifest.load(source)
    unreadable = decode_dir.read_unreadable(decoded) if decoded else {}
    unlabelled = {cut.id for cut in cuts if not decoded and cut.id not in texts}
    aligned = cuts.filter(lambda cut: cut.id not in {*unreadable, *unlabelled}).to_eager()
    units, words, too_long = alignment.align_cuts(decoder, aligned, texts)
    posteriors = decode_dir.read_word_posteriors(decoded) if decoded else {}
    out.mkdir(parents=True, exist_ok=True)
    alignment.write_ctm(out / "units.ctm", units)
    alignment.write_ctm(out / "words.ctm", words, posteriors or None)
    for names, reason in (
        (too_long, "texts longer than their audio has frames"),
        (unlabelled, "without a reference transcript"),
        (unreadable, "could not be read by decoding"),
    ):
        if names:
            listed = " ".join(sorted(names)[:5]) + (" ..." if len(names) > 5 else "")
            print(f"{out}: {len(names)} not aligned, {reason}: {listed}")
    print(f"{out}: {len(words)} utterances aligned")


if __name__ == "__main__":
    run(main)
