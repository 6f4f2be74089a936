"""Write a trained asr system's encoder and CTC head as a transformers checkpoint folder."""

import argparse
import json
from pathlib import Path

from jointasr.config import layout
from jointasr.utils import done
from jointasr.utils.errors import DataError, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="exp/<system>/fold_<fold> of an asr system")
    parser.add_argument("out", type=Path, help="folder of the checkpoint")
    args = parser.parse_args()
    with done.step(args.out, "jointasr.bin.export_encoder", {}, [args.model]) as todo:
        if todo:
            export(args.model / layout.BEST, args.out)


def export(source: Path, out: Path) -> None:
    """Write config, weights, vocabulary and preprocessor file in the hub's layout."""
    from transformers import AutoModelForCTC

    from jointasr.models import checkpoint, systems
    from jointasr.text.lang import BLANK

    model = checkpoint.load(source)
    system = model.system
    shallow = model.units.kind == "char" and model.conf.head.type == "linear"
    if not isinstance(system, systems.Asr) or not shallow:
        raise DataError(
            f"{source}: only an asr system of characters with a linear head is a CTC checkpoint"
        )
    system.encoder.config.vocab_size = model.units.size
    system.encoder.config.pad_token_id = 0
    whole = AutoModelForCTC.from_config(system.encoder.config)
    setattr(whole, whole.base_model_prefix, system.encoder.model)
    whole.lm_head = system.head[-1]
    whole.save_pretrained(out)
    system.encoder.save_preprocessor(out)
    symbols = ["<pad>" if symbol == BLANK else symbol for symbol in model.units.symbols]
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    (out / "vocab.json").write_text(json.dumps(vocabulary) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)
