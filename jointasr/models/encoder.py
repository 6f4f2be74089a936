"""Acoustic encoder: a wav2vec2-like checkpoint of transformers, made independent of the batch.

In transformers an utterance's output depends on the other utterances of a padded batch in three
places, all of which are fixed here: the input is normalised over an utterance's own samples; the
group norm of the feature extractor (wav2vec2-base) computes its statistics over valid frames only;
positional convolutions of several layers (data2vec) see zeros beyond the utterance in each layer.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCTC

from jointasr.config import schema
from jointasr.data.batch import pad
from jointasr.data.wav_scp import RATE
from jointasr.models import hub
from jointasr.utils import files
from jointasr.utils.errors import DataError
from jointasr.utils.masks import valid_mask
from jointasr.utils.transfer import copy_to_device

PREPROCESSOR = "preprocessor_config.json"
MODEL_TYPES = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", "data2vec-audio")
"""supported types, tested to give the same output in a padded batch as with batch size 1"""
ROLE = ("encoder", "--encoder")


class CtcHead(NamedTuple):
    """CTC output layer of a pretrained checkpoint."""

    layer: nn.Linear
    vocabulary: dict[str, int]
    """symbols with their output index"""
    source: str
    """file of the vocabulary, for messages"""


class MaskedGroupNorm(nn.Module):
    """Group norm with one channel per group and statistics over each row's valid frames.

    Equals ``norm`` on a single unpadded utterance. Set ``frames`` (N,) before each forward pass.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        if norm.num_groups != norm.num_channels:
            raise DataError("extractors with several channels per group norm are not supported")
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.frames: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (N, C, T)."""
        assert self.frames is not None
        valid = valid_mask(self.frames, x.shape[-1], x.device)[:, None]
        count = self.frames.clamp(min=1)[:, None, None].to(torch.float32)
        y = x.float() * valid
        mean = y.sum(-1, keepdim=True) / count
        variance = ((y - mean) * valid).square().sum(-1, keepdim=True) / count
        y = (x.float() - mean) * (variance + self.eps).rsqrt()
        return (y * self.weight[:, None] + self.bias[:, None]).to(x.dtype)


class Encoder(nn.Module):
    """Encodes waves as hidden states; an utterance's output does not depend on its batch."""

    def __init__(self, model: Any, normalise: bool, freeze_conv: bool, freeze: bool) -> None:
        super().__init__()
        self.model, self.normalise = model, normalise
        self.config = model.config
        self.dim: int = self.config.hidden_size
        self.freeze_conv, self.freeze = freeze_conv or freeze, freeze
        first = self.conv.conv_layers[0]
        if isinstance(getattr(first, "layer_norm", None), nn.GroupNorm):
            first.layer_norm = MaskedGroupNorm(first.layer_norm)
        self.valid: Tensor | None = None
        for layer in getattr(model.encoder.pos_conv_embed, "layers", []):
            layer.register_forward_pre_hook(self._mask_padding)
        if self.freeze_conv:
            self.conv.requires_grad_(False)
        if freeze:
            model.requires_grad_(False)
        self.train(self.training)

    @property
    def conv(self) -> Any:
        """The convolutional feature extractor."""
        return self.model.feature_extractor

    def train(self, mode: bool = True) -> "Encoder":
        """Set the mode; frozen parts stay in eval mode, without dropout and layerdrop."""
        super().train(mode)
        if self.freeze_conv:
            self.conv.eval()
        if self.freeze:
            self.model.eval()
        return self

    @property
    def min_samples(self) -> int:
        """Receptive field of the feature extractor in samples: the shortest input with a frame."""
        samples = 1
        strides = zip(self.config.conv_kernel, self.config.conv_stride, strict=True)
        for kernel, stride in reversed(list(strides)):
            samples = (samples - 1) * stride + kernel
        return samples

    def frames(self, samples: Tensor) -> Tensor:
        """Return the number of output frames (N,) for numbers of samples (N,)."""
        frames = samples
        for kernel, stride in zip(self.config.conv_kernel, self.config.conv_stride, strict=True):
            frames = torch.div(frames - kernel, stride, rounding_mode="floor") + 1
        return frames.clamp(min=0)

    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return hidden states (N, F, dim) and valid frames (N,) of waves (N, T), lengths (N,).

        Lengths and frames are on the host, so that reading them does not synchronize the GPU.
        Raises DataError for an utterance too short for one frame.
        """
        features, frames = self.extract(waves, lengths)
        return self.transform(features, frames), frames

    def extract(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return convolutional features (N, F, C) and valid frames (N,) of waves (N, T).

        ``lengths`` (N,) and the result's frames are on the host. Raises DataError for an utterance
        too short for one frame.
        """
        frames = self.frames(lengths)
        if bool((frames < 1).any()):
            shortest = int(lengths.min())
            raise DataError(f"an utterance of {shortest} samples is too short for one frame")
        norm = getattr(self.conv.conv_layers[0], "layer_norm", None)
        if isinstance(norm, MaskedGroupNorm):
            kernel, stride = self.config.conv_kernel[0], self.config.conv_stride[0]
            counts = torch.div(lengths - kernel, stride, rounding_mode="floor") + 1
            norm.frames = copy_to_device(counts, waves.device)
        if self.normalise:
            waves = normalise(waves, lengths)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze_conv):
            features = self.conv(waves)
        return features.transpose(1, 2), frames

    def transform(self, features: Tensor, frames: Tensor) -> Tensor:
        """Return hidden states (N, F, dim) of convolutional features (N, F, C), frames (N,)."""
        self.valid = valid = valid_mask(frames, features.shape[1], features.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            projected = self.model.feature_projection(features)
            hidden = projected[0] if isinstance(projected, tuple) else projected
            return self.model.encoder(hidden, attention_mask=valid)[0]

    def _mask_padding(self, layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        """Forward pre-hook: zero the padding in the input (N, C, F) of a positional convolution."""
        assert self.valid is not None
        return (inputs[0] * self.valid[:, None].to(inputs[0].dtype),)

    @torch.no_grad()
    def conv_features(self, waves: list[np.ndarray]) -> list[np.ndarray]:
        """Return convolutional features (frames, C) of each wave (samples,), both float32."""
        device = next(self.model.parameters()).device
        lengths = torch.tensor([len(wave) for wave in waves])
        features, frames = self.extract(pad(waves).to(device), lengths)
        pairs = zip(features.float().cpu().numpy(), frames.tolist(), strict=True)
        return [row[:count] for row, count in pairs]

    def digest(self) -> str:
        """Return a digest of the feature extractor, the key of archives of its features."""
        digest = hashlib.sha256(str(self.normalise).encode())
        for name, value in sorted(self.conv.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save_config(self, folder: Path) -> None:
        """Write the configuration, without weights, for ``from_config``."""
        self.config.save_pretrained(folder)
        self.save_preprocessor(folder)

    def save_preprocessor(self, folder: Path) -> None:
        """Write ``do_normalize`` and the sampling rate, in the format of transformers."""
        text = json.dumps({"do_normalize": self.normalise, "sampling_rate": RATE})
        (folder / PREPROCESSOR).write_text(text + "\n", encoding="utf-8")


def normalise(waves: Tensor, lengths: Tensor) -> Tensor:
    """Normalise waves (N, T) to zero mean and unit variance over their lengths (N,); zero the
    padding."""
    lengths = copy_to_device(lengths, waves.device)
    valid = valid_mask(lengths, waves.shape[1], waves.device)
    count = lengths[:, None].to(torch.float32)
    mean = (waves * valid).sum(1, keepdim=True) / count
    centred = (waves - mean) * valid
    variance = centred.square().sum(1, keepdim=True) / count
    return centred * (variance + 1e-7).rsqrt()


def load(model: str, options: schema.Encoder | None = None) -> Encoder:
    """Load the encoder of a checkpoint, by hub id or folder.

    Raises DataError if the model is not found, its weights do not fit its configuration, or its
    type is not in ``MODEL_TYPES``.
    """
    config = _config(model, options)
    if options is not None and options.init == "random":
        network = AutoModel.from_config(config)
    else:
        network = hub.load_weights(AutoModel, model, config, *ROLE)
    return _wrap(network, model, options)


def from_config(folder: Path, options: schema.Encoder | None = None) -> Encoder:
    """Build an encoder with random weights from the files that ``save_config`` wrote."""
    return _wrap(AutoModel.from_config(_config(str(folder), options)), str(folder), options)


def ctc_head(model: str) -> CtcHead | None:
    """Return the checkpoint's CTC head, None if it has none (a self-supervised model).

    Raises DataError if the head has no vocabulary.
    """
    config = _config(model, None)
    if not any(name.endswith("ForCTC") for name in config.architectures or []):
        return None
    path = hub.find_file(model, "vocab.json")
    if path is None:
        raise DataError(f"{model}: has a CTC head but no vocab.json; use head.init: fresh")
    vocabulary = json.loads(files.read_text(path))
    layer = hub.load_weights(AutoModelForCTC, model, config, *ROLE).lm_head
    return CtcHead(layer, vocabulary, str(path))


def _config(model: str, options: schema.Encoder | None) -> Any:
    config = hub.load_config(model, *ROLE)
    if config.model_type not in MODEL_TYPES or getattr(config, "add_adapter", False):
        known = ", ".join(MODEL_TYPES)
        raise DataError(f"encoder {model}: a {config.model_type} model; supported are {known}")
    # transformers' SpecAugment fails on inputs shorter than its mask; ours is applied to waves
    config.apply_spec_augment = False
    if options is not None:
        for name in ("hidden_dropout", "attention_dropout", "activation_dropout"):
            setattr(config, name, options.dropout)
        config.feat_proj_dropout, config.layerdrop = options.dropout, options.layerdrop
    return config


def _wrap(network: Any, model: str, options: schema.Encoder | None) -> Encoder:
    path = hub.find_file(model, PREPROCESSOR)
    # without a preprocessor file the norm type of the extractor implies how it was trained
    normalised = getattr(network.config, "feat_extract_norm", "layer") == "layer"
    if path is not None:
        text = files.read_text(path)
        normalised = bool(json.loads(text).get("do_normalize", normalised))
    if options is None:
        return Encoder(network, normalised, freeze_conv=True, freeze=True)
    if options.gradient_checkpointing:
        network.gradient_checkpointing_enable()
    return Encoder(network, normalised, options.freeze_conv, options.freeze)
