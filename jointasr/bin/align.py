"""Align the transcripts of one model's test scenarios, or its references, with the audio."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr.config import conf_files, layout, scenarios
from jointasr.config.layout import DEFAULT_METHOD
from jointasr.config.model_description import HAS_WORDS, read_model
from jointasr.data import datadir
from jointasr.decoding import steps
from jointasr.scoring import decode_dir
from jointasr.utils import distributed, done
from jointasr.utils.errors import run

if TYPE_CHECKING:
    from jointasr.decoding.alignment import TimedLabel
    from jointasr.decoding.decoder import Decoder


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="exp/<system>/fold_<fold>")
    parser.add_argument("--of", choices=("ref", "hyp"), default="ref", help="which texts")
    parser.add_argument("--tests", type=scenarios.tests_file, default="", help="table of scenarios")
    parser.add_argument("--method", default=DEFAULT_METHOD, help="of the search that decoded")
    parser.add_argument("--ctc", choices=("k2", "torch"), help="engine; default: training's")
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
    """The trained model, its posteriors to be aligned with ``engine``."""
    from jointasr.utils.progress import start_log

    start_log()
    from jointasr.decoding.decoder import Decoder
    from jointasr.models import checkpoint

    model = checkpoint.load(folder / layout.BEST)
    model = model._replace(conf=model.conf.model_copy(update={"ctc": engine}))
    conf = conf_files.load_decode("decode.yaml", Path(), ["method=greedy"])  # nothing is searched
    return Decoder(model, conf, distributed.device())


def align(
    decoder: "Decoder", source: Path, texts: dict[str, str], out: Path, decoded: Path | None
) -> None:
    """Write ``out``/words.ctm and units.ctm; say which texts do not fit into their audio, and what
    decoding could not read (with --skip-bad)."""
    import torch

    from jointasr.data import manifest
    from jointasr.decoding import alignment, decode

    units, engine = decoder.model.units, decoder.model.conf.ctc
    step = alignment.seconds_per_frame(decoder.model.system.encoder)
    spans: dict[str, dict[str, list[TimedLabel]]] = {"units": {}, "words": {}}
    misfits = []
    unread = decode_dir.read_unreadable(decoded) if decoded is not None else {}
    cuts = manifest.load(source)
    silent = {cut.id for cut in cuts if decoded is None and cut.id not in texts}  # no reference
    sound = cuts.filter(lambda cut: cut.id not in {*unread, *silent}).to_eager()
    with torch.no_grad():
        for ids, _, output in decode.model_outputs(decoder, sound) if len(sound) else ():
            assert output.log_probs is not None
            targets = [units.encode(texts[name]) for name in ids]
            found = alignment.align(output.log_probs, output.frames, targets, engine)
            for name, path in zip(ids, found, strict=True):
                if path is None:
                    misfits.append(name)
                else:
                    timed_units, words = alignment.unit_and_word_times(path, units, step)
                    spans["units"][name], spans["words"][name] = timed_units, words
    posteriors = decode_dir.read_word_posteriors(decoded) if decoded is not None else {}
    out.mkdir(parents=True, exist_ok=True)
    alignment.write_ctm(out / "units.ctm", spans["units"])
    alignment.write_ctm(out / "words.ctm", spans["words"], posteriors or None)
    if misfits:
        print(
            f"{out}: {len(misfits)} texts are longer than their audio has frames, not aligned: "
            f"{' '.join(sorted(misfits)[:5])}{' ...' if len(misfits) > 5 else ''}"
        )
    if silent:
        print(f"{out}: {len(silent)} not aligned, for nobody has transcribed them: {min(silent)}")
    if unread:
        print(f"{out}: {len(unread)} not aligned, for decoding could not read them: {min(unread)}")
    print(f"{out}: {len(spans['words'])} utterances aligned")


if __name__ == "__main__":
    run(main)
