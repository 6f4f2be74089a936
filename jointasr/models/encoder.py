"""The acoustic encoder: any wav2vec2-like checkpoint of transformers, made batch-invariant.

Three things make an utterance's output depend on its neighbours in a padded batch, and all are
mended here: input normalisation is over an utterance's own samples, extractors with a group norm
(wav2vec2-base) take its statistics over valid frames only, and position convolutions of several
layers (data2vec) find silence beyond the utterance in each of them.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForCTC

from jointasr.data.batch import pad
from jointasr.data.wav_scp import RATE
from jointasr.models import hub
from jointasr.utils import files
from jointasr.utils.errors import DataError
from jointasr.utils.transfer import copy_to_device

PREPROCESSOR = "preprocessor_config.json"
# those whose padded batches are tested to equal batch 1; relatives with other blocks are refused
FAMILY = ("wav2vec2", "hubert", "wavlm", "unispeech", "unispeech-sat", "data2vec-audio")
NAMES = ("encoder", "--encoder")


class EncoderOptions(Protocol):
    """The part of the configuration that ``load`` needs (schema.Encoder)."""

    @property
    def init(self) -> str: ...
    @property
    def freeze_conv(self) -> bool: ...
    @property
    def freeze(self) -> bool: ...
    @property
    def dropout(self) -> float: ...
    @property
    def layerdrop(self) -> float: ...
    @property
    def gradient_checkpointing(self) -> bool: ...


class CtcHead:
    """A checkpoint's own CTC output layer and its vocabulary."""

    def __init__(self, layer: nn.Linear, vocabulary: dict[str, int], source: str) -> None:
        self.layer, self.vocabulary, self.source = layer, vocabulary, source


class MaskedGroupNorm(nn.Module):
    """Group norm with one channel a group, its statistics over each row's valid frames.

    Equals ``norm`` on a single unpadded utterance. ``frames`` (N,) is set before each forward.
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
        valid = (torch.arange(x.shape[-1], device=x.device) < self.frames[:, None])[:, None]
        count = self.frames.clamp(min=1)[:, None, None].to(torch.float32)
        y = x.float() * valid
        mean = y.sum(-1, keepdim=True) / count
        variance = ((y - mean) * valid).square().sum(-1, keepdim=True) / count
        y = (x.float() - mean) * (variance + self.eps).rsqrt()
        return (y * self.weight[:, None] + self.bias[:, None]).to(x.dtype)


class Encoder(nn.Module):
    """Waves in, hidden states out; an utterance's output does not depend on its batch."""

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
            layer.register_forward_pre_hook(self._silence)
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
        """As usual, but a frozen part stays in eval mode: no dropout, no layerdrop."""
        super().train(mode)
        if self.freeze_conv:
            self.conv.eval()
        if self.freeze:
            self.model.eval()
        return self

    @property
    def shortest(self) -> int:
        """Samples that one frame needs."""
        samples = 1
        strides = zip(self.config.conv_kernel, self.config.conv_stride, strict=True)
        for kernel, stride in reversed(list(strides)):
            samples = (samples - 1) * stride + kernel
        return samples

    def frames(self, samples: Tensor) -> Tensor:
        """Number of output frames (N,) of so many samples (N,), from the extractor's strides."""
        frames = samples
        for kernel, stride in zip(self.config.conv_kernel, self.config.conv_stride, strict=True):
            frames = torch.div(frames - kernel, stride, rounding_mode="floor") + 1
        return frames.clamp(min=0)

    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states (N, F, dim) and valid frames (N,) of waves (N, T) of lengths (N,).

        Lengths and frames are on the host: nothing has to wait to know them.

        Raises DataError for an utterance too short for one frame.
        """
        features, frames = self.extract(waves, lengths)
        return self.transform(features, frames), frames

    def extract(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Convolutional features (N, F, C) and valid frames (N,)."""
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
        """Hidden states (N, F, dim) of convolutional features (N, F, C) with valid frames (N,)."""
        counts = copy_to_device(frames, features.device)[:, None]
        valid = torch.arange(features.shape[1], device=features.device) < counts
        self.valid = valid
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            projected = self.model.feature_projection(features)
            hidden = projected[0] if isinstance(projected, tuple) else projected
            return self.model.encoder(hidden, attention_mask=valid)[0]

    def _silence(self, layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        """Zero what a layer of position convolutions (N, C, F) would read beyond an utterance."""
        assert self.valid is not None
        return (inputs[0] * self.valid[:, None].to(inputs[0].dtype),)

    @torch.no_grad()
    def conv_features(self, waves: list[np.ndarray]) -> list[np.ndarray]:
        """Convolutional features (frames, C) float32 of each wave (samples,) float32."""
        device = next(self.model.parameters()).device
        lengths = torch.tensor([len(wave) for wave in waves])
        features, frames = self.extract(pad(waves).to(device), lengths)
        pairs = zip(features.float().cpu().numpy(), frames.tolist(), strict=True)
        return [row[:count] for row, count in pairs]

    def digest(self) -> str:
        """Digest of the convolutional part: what archives of its features are keyed by."""
        digest = hashlib.sha256(str(self.normalise).encode())
        for name, value in sorted(self.conv.state_dict().items()):
            digest.update(name.encode())
            digest.update(value.detach().float().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]

    def save_config(self, folder: Path) -> None:
        """Write what ``from_config`` needs (no weights)."""
        self.config.save_pretrained(folder)
        self.save_preprocessor(folder)

    def save_preprocessor(self, folder: Path) -> None:
        """Write whether input is normalised, as transformers does."""
        text = json.dumps({"do_normalize": self.normalise, "sampling_rate": RATE})
        (folder / PREPROCESSOR).write_text(text + "\n", encoding="utf-8")


def normalise(waves: Tensor, lengths: Tensor) -> Tensor:
    """Waves (N, T) to zero mean and unit variance over their own samples; zero in the padding."""
    lengths = copy_to_device(lengths, waves.device)[:, None]
    valid = torch.arange(waves.shape[1], device=waves.device) < lengths
    count = lengths.to(torch.float32)
    mean = (waves * valid).sum(1, keepdim=True) / count
    centred = (waves - mean) * valid
    variance = centred.square().sum(1, keepdim=True) / count
    return centred * (variance + 1e-7).rsqrt()


def load(model: str, options: EncoderOptions | None = None) -> Encoder:
    """The encoder of a checkpoint (hub id or folder).

    Raises DataError where there is no such model, its weights do not fit its configuration, or it
    is not of the wav2vec2 family.
    """
    config = _config(model, options)
    if options is not None and options.init == "random":
        network = AutoModel.from_config(config)
    else:
        network = hub.weights(AutoModel, model, config, *NAMES)
    return _wrap(network, model, options)


def from_config(folder: Path, options: EncoderOptions | None = None) -> Encoder:
    """An encoder of the architecture that ``save_config`` wrote, its weights still random."""
    return _wrap(AutoModel.from_config(_config(str(folder), options)), str(folder), options)


def ctc_head(model: str) -> CtcHead | None:
    """The checkpoint's own CTC head, or None where it has none (a self-supervised model)."""
    config = _config(model, None)
    if not any(name.endswith("ForCTC") for name in config.architectures or []):
        return None
    path = hub.file(model, "vocab.json")
    if path is None:
        raise DataError(f"{model}: has a CTC head but no vocab.json; use head.init: fresh")
    vocabulary = json.loads(files.read_text(path))
    layer = hub.weights(AutoModelForCTC, model, config, *NAMES).lm_head
    return CtcHead(layer, vocabulary, str(path))


def _config(model: str, options: EncoderOptions | None) -> Any:
    config = hub.config(model, *NAMES)
    if config.model_type not in FAMILY or getattr(config, "add_adapter", False):
        known = ", ".join(FAMILY)
        raise DataError(f"encoder {model}: a {config.model_type} model; supported are {known}")
    config.apply_spec_augment = False  # raises on turns shorter than its mask; ours is on waves
    if options is not None:
        for name in ("hidden_dropout", "attention_dropout", "activation_dropout"):
            setattr(config, name, options.dropout)
        config.feat_proj_dropout, config.layerdrop = options.dropout, options.layerdrop
    return config


def _wrap(network: Any, model: str, options: EncoderOptions | None) -> Encoder:
    path = hub.file(model, PREPROCESSOR)
    # a checkpoint without a preprocessor file was trained the way its extractor's norm says
    normalised = getattr(network.config, "feat_extract_norm", "layer") == "layer"
    if path is not None:
        text = files.read_text(path)
        normalised = bool(json.loads(text).get("do_normalize", normalised))
    if options is None:
        return Encoder(network, normalised, freeze_conv=True, freeze=True)
    if options.gradient_checkpointing:
        network.gradient_checkpointing_enable()
    return Encoder(network, normalised, options.freeze_conv, options.freeze)
