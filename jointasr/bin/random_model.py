"""Write a full-size model of random weights in the hub's layout, to measure time and memory."""

import argparse
import json
import string
from pathlib import Path

from jointasr.errors import run

SHAPES = ("wav2vec2-large", "wav2vec2-base", "bert-base")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shape", choices=SHAPES, help="wav2vec2-large is that of lv60-self")
    parser.add_argument("out", type=Path, help="folder to write")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    import torch

    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.shape == "bert-base":
        write_bert(args.out)
    else:
        write_wav2vec2(args.out, large=args.shape == "wav2vec2-large")


def write_wav2vec2(out: Path, large: bool) -> None:
    """A wav2vec2 with a CTC head, in the shape of large-960h-lv60-self or of base-960h."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    symbols = ["<pad>", "<s>", "</s>", "<unk>", "|", *string.ascii_uppercase, "'"]
    shape = {
        "hidden_size": 1024,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 4096,
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
    }
    config = Wav2Vec2Config(vocab_size=len(symbols), pad_token_id=0, **(shape if large else {}))
    Wav2Vec2ForCTC(config).save_pretrained(out)
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    (out / "vocab.json").write_text(json.dumps(vocabulary) + "\n", encoding="utf-8")
    text = json.dumps({"do_normalize": True, "sampling_rate": 16000})
    (out / "preprocessor_config.json").write_text(text + "\n", encoding="utf-8")


def write_bert(out: Path) -> None:
    """A BERT in the shape of bert-base-uncased; of its 30,522 words only letters are real."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = [*string.ascii_lowercase, "'"]
    real = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    real += [f"##{letter}" for letter in letters]
    config = BertConfig()
    words = [*real, *(f"[unused{i}]" for i in range(config.vocab_size - len(real)))]
    (out / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertModel(config).save_pretrained(out)
    BertTokenizerFast(str(out / "vocab.txt"), model_max_length=512).save_pretrained(out)


if __name__ == "__main__":
    run(main)
