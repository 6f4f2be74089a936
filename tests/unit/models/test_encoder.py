"""The encoder against the models of transformers, for single utterances and padded batches."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from transformers import (
    AutoModel,
    AutoModelForCTC,
    Data2VecAudioConfig,
    Data2VecAudioForCTC,
    HubertConfig,
    HubertForCTC,
    SEWConfig,
    SEWModel,
    UniSpeechConfig,
    UniSpeechForCTC,
    UniSpeechSatConfig,
    UniSpeechSatForCTC,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2ForCTC,
    WavLMConfig,
    WavLMForCTC,
)

from jointasr.data.batch import pad
from jointasr.models import encoder
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack

MODEL_TYPES: dict[str, tuple[Any, Any]] = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2ForCTC),
    "hubert": (HubertConfig, HubertForCTC),
    "wavlm": (WavLMConfig, WavLMForCTC),
    "unispeech": (UniSpeechConfig, UniSpeechForCTC),
    "unispeech-sat": (UniSpeechSatConfig, UniSpeechSatForCTC),
    "data2vec-audio": (Data2VecAudioConfig, Data2VecAudioForCTC),
}
LENGTHS = [9000, 16000, 721, 4321]
OPTIONS = {
    "init": "pretrained",
    "freeze_conv": True,
    "freeze": False,
    "dropout": 0.1,
    "layerdrop": 0.1,
    "gradient_checkpointing": False,
}


def options(**changes: object) -> Any:
    return SimpleNamespace(**{**OPTIONS, **changes})


def waves(lengths: list[int] = LENGTHS) -> list[np.ndarray]:
    """Return noise with different offsets and scales, so that normalisation matters."""
    generator = np.random.default_rng(5)
    return [
        (0.1 * row + (row + 1) * 0.05 * generator.standard_normal(n)).astype(np.float32)
        for row, n in enumerate(lengths)
    ]


def checkpoint(folder: Path, kind: str, norm: str, normalise: bool) -> Path:
    settings, network = MODEL_TYPES[kind]
    torch.manual_seed(3)
    sizes = {**tiny.SIZES, "num_buckets": 8} if kind == "wavlm" else tiny.SIZES
    if kind == "data2vec-audio":  # its position convolutions: five layers of width 19
        sizes = {**sizes, "num_conv_pos_embeddings": 5}
    stable = norm == "layer"
    model = network(settings(**sizes, feat_extract_norm=norm, do_stable_layer_norm=stable))
    for parameter in model.parameters():  # norms and biases start at 1 and 0: nothing to see
        parameter.data += 0.05 * torch.randn_like(parameter)
    return tiny.save(model, folder, normalise)


@torch.no_grad()
def alone(folder: Path, normalise: bool, heads: Any = AutoModelForCTC) -> list[torch.Tensor]:
    """Return the output of the transformers model for each wave, one at a time."""
    model = heads.from_pretrained(folder).eval()
    extractor = Wav2Vec2FeatureExtractor(do_normalize=normalise)
    found = []
    for wave in waves():
        inputs = extractor(wave, sampling_rate=16000, return_tensors="pt").input_values
        found.append(model(inputs)[0][0])
    return found


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("kind", list(MODEL_TYPES))
def test_padded_batch_equals_single_utterances(
    tmp_path: Path, kind: str, norm: str, normalise: bool
) -> None:
    folder = checkpoint(tmp_path / "model", kind, norm, normalise)
    loaded = encoder.load(str(folder)).eval()
    head = AutoModelForCTC.from_pretrained(folder).lm_head
    with torch.no_grad():
        hidden, frames = loaded(pad(waves()), torch.tensor(LENGTHS))
        logits = head(hidden)
    expected = alone(folder, normalise)
    assert frames.tolist() == [len(row) for row in expected]
    for row, (got, want) in enumerate(zip(logits, expected, strict=True)):
        difference = float((got[: frames[row]] - want).abs().max())
        assert difference < 1e-4, (row, difference)
    states = alone(folder, normalise, AutoModel)
    for got, want in zip(hidden, states, strict=True):
        torch.testing.assert_close(got[: len(want)], want, atol=1e-4, rtol=0)


def test_frame_counts_equal_those_of_transformers(models: Path) -> None:
    loaded = encoder.load(str(models / "layer"))
    samples = torch.arange(300, 4000, 7)
    expected = loaded.model._get_feat_extract_output_lengths(samples)
    assert torch.equal(loaded.frames(samples), expected.clamp(min=0))
    assert loaded.frames(torch.tensor([loaded.min_samples - 1, loaded.min_samples])).tolist() == [
        0,
        1,
    ]
    assert loaded.min_samples == 720


def test_conv_features_equal_those_of_transformers(models: Path) -> None:
    loaded = encoder.load(str(models / "group"))
    with torch.no_grad():
        for wave, got in zip(waves(), loaded.conv_features(waves()), strict=True):
            model = AutoModel.from_pretrained(models / "group").eval()
            want = model.feature_extractor(torch.from_numpy(wave)[None])[0].T
            np.testing.assert_allclose(got, want.numpy(), atol=1e-5)
            assert got.dtype == np.float32


def test_frozen_convolutions_do_not_change(models: Path) -> None:
    loaded = encoder.load(str(models / "layer"), options())
    assert loaded.train().training and not loaded.conv.training
    hidden, _ = loaded(pad(waves()), torch.tensor(LENGTHS))
    hidden.square().sum().backward()
    assert all(p.grad is None and not p.requires_grad for p in loaded.conv.parameters())
    assert loaded.model.feature_projection.projection.weight.grad.abs().sum() > 0
    free = encoder.load(str(models / "layer"), options(freeze_conv=False)).train()
    free(pad(waves()), torch.tensor(LENGTHS))[0].square().sum().backward()
    assert all(p.grad is not None for p in free.conv.parameters())


@pytest.mark.parametrize("norm", ["layer", "group"])
def test_frozen_encoder_has_no_dropout(models: Path, norm: str) -> None:
    loaded = encoder.load(str(models / norm), options(freeze=True, dropout=0.5, layerdrop=0.5))
    batch = pad(waves()), torch.tensor(LENGTHS)
    loaded.eval()
    expected = loaded(*batch)[0]
    loaded.train()
    assert all(torch.equal(loaded(*batch)[0], expected) for _ in range(5))
    assert not expected.requires_grad and not any(p.requires_grad for p in loaded.parameters())


def test_options_are_passed_to_the_model(models: Path) -> None:
    loaded = encoder.load(str(models / "layer"), options(dropout=0.3, layerdrop=0.25)).train()
    rates = {m.p for m in loaded.model.encoder.modules() if isinstance(m, torch.nn.Dropout)}
    assert rates == {0.3} and loaded.config.layerdrop == 0.25
    assert not loaded.config.apply_spec_augment
    batch = pad(waves()), torch.tensor(LENGTHS)
    assert not torch.equal(loaded(*batch)[0], loaded(*batch)[0])


def test_gradient_checkpointing_changes_no_gradient(models: Path) -> None:
    found = []
    for on in (False, True):
        loaded = encoder.load(str(models / "layer"), options(gradient_checkpointing=on)).train()
        torch.manual_seed(0)
        loaded(pad(waves()), torch.tensor(LENGTHS))[0].square().sum().backward()
        found.append(loaded.model.encoder.layers[0].attention.k_proj.weight.grad)
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def test_random_init_uses_only_the_architecture(models: Path) -> None:
    pretrained = encoder.load(str(models / "layer"), options())
    fresh = encoder.load(str(models / "layer"), options(init="random"))
    assert fresh.dim == pretrained.dim and fresh.digest() != pretrained.digest()


def test_digest_depends_on_convolutions_and_normalisation(models: Path) -> None:
    first, second = (encoder.load(str(models / "layer")) for _ in range(2))
    second.model.encoder.layers[0].attention.k_proj.weight.data += 1
    assert first.digest() == second.digest()
    second.normalise = False
    assert first.digest() != second.digest()
    second.normalise = True
    second.conv.conv_layers[0].conv.weight.data += 1e-3
    assert first.digest() != second.digest()


def test_normalisation_default_without_a_preprocessor_file(models: Path, tmp_path: Path) -> None:
    for norm, expected in (("layer", True), ("group", False)):
        model = AutoModelForCTC.from_pretrained(models / norm)
        model.save_pretrained(tmp_path / norm)
        assert encoder.load(str(tmp_path / norm)).normalise is expected


def test_ctc_head_of_the_checkpoint(models: Path, tmp_path: Path) -> None:
    head = encoder.ctc_head(str(models / "layer"))
    assert head is not None and head.vocabulary["|"] == 4 and head.layer.out_features == 32
    encoder.load(str(models / "layer")).model.save_pretrained(tmp_path / "headless")
    assert encoder.ctc_head(str(tmp_path / "headless")) is None
    (tmp_path / "nameless").mkdir()
    AutoModelForCTC.from_pretrained(models / "layer").save_pretrained(tmp_path / "nameless")
    with pytest.raises(DataError, match=r"nameless: has a CTC head but no vocab.json"):
        encoder.ctc_head(str(tmp_path / "nameless"))


def test_errors_name_the_model(models: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: no config.json in it"):
        encoder.load(str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"no-one/nothing: neither .*--encoder FOLDER"):
        encoder.load("no-one/nothing")
    with pytest.raises(DataError, match=r"exp/pretrained/encoder: neither"):
        encoder.load("exp/pretrained/encoder")
    with pytest.raises(DataError, match=r"a bert model; supported are wav2vec2"):
        encoder.load(str(models / "bert"))
    torch.manual_seed(0)
    sew = {**tiny.SIZES, "squeeze_factor": 2}
    SEWModel(SEWConfig(**sew)).save_pretrained(tmp_path / "sew")
    with pytest.raises(DataError, match="a sew model"):
        encoder.load(str(tmp_path / "sew"))


def test_weights_that_do_not_fit_are_refused(models: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    AutoModelForCTC.from_pretrained(models / "layer").save_pretrained(folder)
    text = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**text, "num_hidden_layers": 3}))
    with pytest.raises(DataError, match=r"odd: its weights do not fit .*encoder.layers.2"):
        encoder.load(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"odd: neither a complete model folder"):
        encoder.load(str(folder))


def test_utterance_too_short_for_a_frame(models: Path) -> None:
    loaded = encoder.load(str(models / "layer"))
    with pytest.raises(DataError, match="719 samples is too short"):
        loaded(pad(waves([719, 5000])), torch.tensor([719, 5000]))
