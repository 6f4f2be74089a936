"""Models with random weights in the format of transformers, for measuring time and memory."""

import json
import string
from pathlib import Path
from typing import Any

LARGE = {  # facebook/wav2vec2-large-960h-lv60-self
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
}
TINY = {  # the encoder of egs/mini
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
    "conv_bias": True,
    "conv_dim": (128, 128),
    "conv_kernel": (400, 3),
    "conv_stride": (160, 2),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 32,
    "num_conv_pos_embedding_groups": 8,
}
TINY_BERT = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 128,
}
# The defaults of transformers have the sizes of wav2vec2-base-960h and bert-base-uncased.
WAV2VEC2: dict[str, dict[str, Any]] = {
    "wav2vec2-large": LARGE,
    "wav2vec2-base": {},
    "wav2vec2-tiny": TINY,
}
BERT: dict[str, dict[str, Any]] = {"bert-base": {}, "bert-tiny": TINY_BERT}


def write(shape: str, out: Path, seed: int = 0) -> Path:
    """Write a model of a shape in ``WAV2VEC2`` or ``BERT`` into ``out``; return ``out``."""
    import torch

    torch.manual_seed(seed)
    out.mkdir(parents=True, exist_ok=True)
    if shape in BERT:
        _bert(out, BERT[shape])
    else:
        _wav2vec2(out, WAV2VEC2[shape])
    return out


def _wav2vec2(out: Path, sizes: dict[str, Any]) -> None:
    """Write a wav2vec2 model with a CTC head and its vocabulary."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    symbols = ["<pad>", "<s>", "</s>", "<unk>", "|", *string.ascii_uppercase, "'"]
    config = Wav2Vec2Config(vocab_size=len(symbols), pad_token_id=0, **sizes)
    Wav2Vec2ForCTC(config).save_pretrained(out)
    vocabulary = {symbol: index for index, symbol in enumerate(symbols)}
    (out / "vocab.json").write_text(json.dumps(vocabulary) + "\n", encoding="utf-8")
    text = json.dumps({"do_normalize": True, "sampling_rate": 16000})
    (out / "preprocessor_config.json").write_text(text + "\n", encoding="utf-8")


def _bert(out: Path, sizes: dict[str, Any]) -> None:
    """Write a BERT model with a vocabulary of letters and unused entries."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    letters = [*string.ascii_lowercase, "'"]
    used = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters]
    used += [f"##{letter}" for letter in letters]
    config = BertConfig(**sizes)
    words = [*used, *(f"[unused{i}]" for i in range(config.vocab_size - len(used)))]
    (out / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    BertModel(config).save_pretrained(out)
    BertTokenizerFast(str(out / "vocab.txt"), model_max_length=512).save_pretrained(out)
