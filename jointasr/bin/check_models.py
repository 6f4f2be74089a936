"""Check the pretrained models of conf files, downloading them if needed (stage 6)."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from jointasr.config import conf_files, layout
from jointasr.training.fingerprint import checkpoint_files
from jointasr.utils import done, files, provenance
from jointasr.utils.errors import run

PASSED = layout.EXP / ".checked_models.json"
"""digests of the model folders that have passed the check"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    conf_files.add_options(parser)
    args = parser.parse_args()
    loaded = conf_files.load_all(args.confs, args.set).values()
    heads = {conf.encoder.model: conf.data.letters for conf in loaded if conf.uses_checkpoint_head}
    for model in sorted({conf.encoder.model for conf in loaded}):
        letters = heads.get(model, "")
        check_once(f"encoder {model}", model, letters, partial(check_encoder, model, letters))
    for model in sorted({conf.bert.model for conf in loaded if conf.uses_bert}):
        check_once(f"BERT {model}", model, "", partial(check_bert, model))


def check_once(name: str, model: str, letters: str, check: Callable[[], None]) -> None:
    """Run a check, unless a folder with the same files has passed it with the same code.

    Hub ids are always checked, because their models may have been deleted from the cache.
    """
    if not Path(model).is_dir():
        check()
        return
    options = {"letters": letters, "stack": provenance.stack()}
    digest = done.digest("jointasr.bin.check_models", options, checkpoint_files(Path(model)))
    passed = files.read_json(PASSED) if PASSED.is_file() else {}
    if passed.get(name) == digest:
        print(f"{name}: up to date")
        return
    check()
    files.write_json(PASSED, {**passed, name: digest})


def check_encoder(model: str, letters: str) -> None:
    """Load the encoder; if ``letters`` are given, check that its CTC head has all of them."""
    from jointasr.models import encoder
    from jointasr.text.lang import Units, map_head

    loaded = encoder.load(model)
    size = sum(p.numel() for p in loaded.parameters()) / 1e6
    print(f"encoder {model}: {loaded.config.model_type}, {size:.1f} M parameters")
    head = encoder.ctc_head(model) if letters else None
    if head is not None:
        map_head(head.vocabulary, Units.char(letters), head.source)
        print(f"encoder {model}: its CTC head has all characters")
    elif letters:
        print(f"encoder {model}: no CTC head; training starts with a random one")


def check_bert(model: str) -> None:
    """Load the text encoder."""
    from jointasr.models import text_encoder

    loaded = text_encoder.load(model)
    size = sum(p.numel() for p in loaded.parameters()) / 1e6
    print(f"BERT {model}: {size:.1f} M parameters, at most {loaded.max_tokens} tokens")


if __name__ == "__main__":
    run(main)
