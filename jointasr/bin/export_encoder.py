"""Export the encoder and CTC head of a trained asr system as a transformers checkpoint."""

import argparse
import json
from pathlib import Path

from jointasr.config import layout
from jointasr.utils import done
from jointasr.utils.errors import DataError, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="exp/<system>/fold_<fold> of an asr system")
    parser.add_argument("out", type=Path, help="checkpoint folder to write")
    args = parser.parse_args()
    with done.step(args.out, "jointasr.bin.export_encoder", {}, [args.model]) as todo:
        if todo:
            export(args.model / layout.BEST, args.out)


def export(source: Path, out: Path) -> None:
    """Write config, weights, vocabulary and preprocessor file as transformers names them.

    Raises DataError for systems that are no plain CTC model of characters.
    """
    from transformers import AutoModelForCTC

    from jointasr.models import checkpoint, systems
    from jointasr.text.lang import BLANK

    model = checkpoint.load(source)
    system = model.system
    is_plain_ctc = model.units.kind == "char" and model.conf.head.type == "linear"
    if not isinstance(system, systems.Asr) or not is_plain_ctc:
        raise DataError(
            f"{source}: only asr systems with character units and a linear head can be exported"
        )
    system.encoder.config.vocab_size = model.units.size
    system.encoder.config.pad_token_id = 0
    ctc_model = AutoModelForCTC.from_config(system.encoder.config)
    setattr(ctc_model, ctc_model.base_model_prefix, system.encoder.model)
    ctc_model.lm_head = system.head[-1]
    ctc_model.save_pretrained(out)
    system.encoder.save_preprocessor(out)
    symbols = ["<pad>" if symbol == BLANK else symbol for symbol in model.units.symbols]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    (out / "vocab.json").write_text(json.dumps(vocabulary) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
