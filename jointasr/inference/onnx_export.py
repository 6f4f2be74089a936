"""Export of a model as two ONNX graphs, without the CTC search between them.

``hear.onnx`` maps waves (N, T) at 16 kHz and their lengths in samples to log-posteriors (N, F,
units), hidden states (N, F, dim) and valid frames (N,). ``feel.onnx`` maps hidden states and
frames, and for the joint system token ids and attention mask (N, L) of the transcript from the
tokenizer in ``bert``, to emotion logits (N, classes).
"""

import inspect
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jointasr.models import systems
from jointasr.models.checkpoint import TrainedModel
from jointasr.models.fusion import States, average
from jointasr.utils.errors import DataError

CTC_GRAPH, EMOTION_GRAPH = "hear.onnx", "feel.onnx"
OPSET = 16
SINGLE_TEXT = ("greedy", "oracle", "empty")
"""settings of emotion.transcript for which the text branch reads one text"""


class CtcGraph(nn.Module):
    """Encoder and, if the system has one, CTC head."""

    def __init__(self, system: systems.System) -> None:
        super().__init__()
        self.encoder = system.encoder
        self.head = None if isinstance(system, systems.Ser) else system.head

    def forward(self, waves: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Return log-posteriors if there is a CTC head, hidden states and frames."""
        hidden, frames = self.encoder(waves, lengths)
        if self.head is None:
            return hidden, frames
        return torch.log_softmax(self.head(hidden), -1), hidden, frames


class EmotionGraph(nn.Module):
    """Emotion classifier on hidden states and, with a text branch, on tokens of a transcript."""

    def __init__(self, system: systems.Ser | systems.Joint) -> None:
        super().__init__()
        self.system = system

    def forward(self, hidden: Tensor, frames: Tensor, *tokens: Tensor) -> Tensor:
        """Return logits (N, classes); ``tokens`` are ids and mask if there is a text branch."""
        states = States(hidden, frames)
        if isinstance(self.system, systems.Ser):
            return self.system.classify(average(states))
        modalities = [states] if self.system.emotion.modalities != "linguistic" else []
        if self.system.bert is not None:
            ids, mask = tokens
            text = self.system.bert.model(input_ids=ids, attention_mask=mask).last_hidden_state
            modalities.append(States(text, mask.sum(1)))
        return self.system.fusion(*modalities)


@torch.no_grad()
def export(folder: Path, model: TrainedModel) -> None:
    """Write the graphs of a model on the CPU into ``folder``.

    Raises DataError if the text branch reads several texts, or if the package onnx is required but
    not installed.
    """
    system = model.system
    folder.mkdir(parents=True, exist_ok=True)
    samples = 40 * system.encoder.min_samples
    waves, lengths = torch.randn(2, samples), torch.tensor([samples, samples * 3 // 4])
    ctc_graph = CtcGraph(system).eval()
    outputs = ["log_probs", "hidden", "frames"][-len(ctc_graph(waves, lengths)) :]
    axes = {"waves": "nt", "lengths": "n", "log_probs": "nf", "hidden": "nf", "frames": "n"}
    _write(folder / CTC_GRAPH, ctc_graph, (waves, lengths), outputs, axes)
    if isinstance(system, systems.Asr):
        return
    inputs = ctc_graph(waves, lengths)[-2:]
    if isinstance(system, systems.Joint) and system.bert is not None:
        if system.emotion.transcript not in SINGLE_TEXT:
            raise DataError(
                f"emotion.transcript {system.emotion.transcript}: its text branch reads more than "
                "one text and cannot be exported to ONNX"
            )
        tokens = system.bert.tokenizer(["A B", "A"], padding=True, return_tensors="pt")
        inputs = (*inputs, tokens["input_ids"], tokens["attention_mask"])
    axes = {"hidden": "nf", "frames": "n", "input_ids": "nl", "attention_mask": "nl", "logits": "n"}
    _write(folder / EMOTION_GRAPH, EmotionGraph(system).eval(), inputs, ["logits"], axes)


def _write(
    path: Path,
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    outputs: Sequence[str],
    axes: dict[str, str],
) -> None:
    """Write a graph. ``axes``: a letter for each leading axis of variable size."""
    names = list(axes)[: len(inputs)]
    dynamic = {name: dict(enumerate(axes[name])) for name in (*names, *outputs)}
    options: dict[str, Any] = {}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # the only exporter of all stacks
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shapes traced as constants: tests vary the shapes
        try:
            torch.onnx.export(
                module,
                inputs,
                str(path),
                input_names=names,
                output_names=list(outputs),
                dynamic_axes=dynamic,
                opset_version=OPSET,
                **options,
            )
        except (ImportError, torch.onnx.errors.OnnxExporterError) as error:
            if "onnx" not in str(error).lower():
                raise
            raise DataError(f"{path}: {error}; pip install onnx") from None
