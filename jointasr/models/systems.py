"""The three systems of the paper's Figure 1, and nothing else."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from jointasr.config.schema import Config
from jointasr.ctc import prefix_beam, search
from jointasr.ctc.nbest import posteriors
from jointasr.models import fusion
from jointasr.models.encoder import CtcHead, Encoder
from jointasr.models.fusion import States, average, output_mlp
from jointasr.models.text_encoder import TextEncoder
from jointasr.text.lang import Units, map_head
from jointasr.utils.transfer import copy_to_device


class CtcOutput(NamedTuple):
    """What a system has heard of N utterances before it looks for their emotions."""

    states: States
    """the encoder's"""
    log_probs: Tensor | None
    """log posteriors of the units (N, F, units) float32; None for ser"""
    greedy: search.Greedy | None = None
    """greedy search under way, where a text branch reads its result"""

    @property
    def frames(self) -> Tensor:
        """Valid frames (N,), on the host."""
        return self.states.lengths


class Output(NamedTuple):
    """What a system says of a batch of N utterances."""

    frames: Tensor
    """valid frames (N,), on the host"""
    log_probs: Tensor | None
    """log posteriors of the units (N, F, units) float32; None for ser"""
    emotions: Tensor | None
    """logits of the emotions (N, classes) float32; None for asr"""


class Asr(nn.Module):
    """ASR baseline: encoder, CTC head."""

    def __init__(self, conf: Config, encoder: Encoder, units: Units) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = ctc_layers(conf, encoder.dim, units.size)

    def hear(self, states: States) -> CtcOutput:
        """Posteriors of the encoder's states."""
        return CtcOutput(states, _log_softmax(self.head(states.hidden)))

    def feel(self, heard: CtcOutput, texts: list[str | None] | None) -> None:
        """It does not."""


class Ser(nn.Module):
    """SER baseline: encoder, average pooling, output MLP."""

    def __init__(self, conf: Config, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classify = output_mlp(encoder.dim, conf.emotion, classes)

    def hear(self, states: States) -> CtcOutput:
        """No words."""
        return CtcOutput(states, None)

    def feel(self, heard: CtcOutput, texts: list[str | None] | None) -> Tensor:
        """Logits of the emotions (N, classes) float32."""
        return self.classify(average(heard.states)).float()


class Joint(nn.Module):
    """Shared encoder; its own transcript read by BERT and fused with the acoustics."""

    def __init__(
        self,
        conf: Config,
        encoder: Encoder,
        bert: TextEncoder | None,
        units: Units,
        classes: int,
    ) -> None:
        super().__init__()
        self.encoder, self.bert, self.units, self.emotion = encoder, bert, units, conf.emotion
        self.head = ctc_layers(conf, encoder.dim, units.size)
        sizes = [encoder.dim] if conf.emotion.modalities != "linguistic" else []
        sizes += [bert.dim] if bert is not None else []
        self.fusion = fusion.build(sizes, conf.emotion, classes)

    def hear(self, states: States) -> CtcOutput:
        """Posteriors of the encoder's states, and the search for what BERT reads."""
        log_probs = _log_softmax(self.head(states.hidden))
        reads = self.bert is not None and self.emotion.transcript == "greedy"
        return CtcOutput(
            states, log_probs, search.Greedy(log_probs, states.lengths) if reads else None
        )

    def feel(self, heard: CtcOutput, texts: list[str | None] | None) -> Tensor:
        """Logits of the emotions (N, classes) float32; ``texts`` only for the oracle."""
        stopped = self.emotion.gradient == "stopped"
        modalities = []
        if self.emotion.modalities != "linguistic":
            hidden = heard.states.hidden
            modalities.append(heard.states._replace(hidden=hidden.detach() if stopped else hidden))
        if self.bert is not None:
            if self.emotion.transcript == "nbest":
                modalities.append(self._expected(heard))
            else:
                modalities.append(self.bert(*self._transcripts(heard, stopped, texts)))
        return self.fusion(*modalities).float()

    def _expected(self, heard: CtcOutput) -> States:
        """The mean embedding of the likeliest transcripts, weighted by their posteriors among
        them, as a sequence of one. No gradient passes through the weights."""
        assert self.bert is not None and heard.log_probs is not None
        found = prefix_beam.units(heard.log_probs, heard.frames)
        likeliest = [some[: self.emotion.paths] for some in found]
        texts = [[self.units.decode(ids) for ids, _ in some] for some in likeliest]
        each = sorted({text for some in texts for text in some})
        weights = torch.zeros(len(texts), len(each))
        for row, (names, some) in enumerate(zip(texts, likeliest, strict=True)):
            for name, weight in zip(names, posteriors([score for _, score in some]), strict=True):
                weights[row, each.index(name)] += weight
        vectors = average(self.bert(each))
        expected = copy_to_device(weights, vectors.device).to(vectors.dtype) @ vectors
        return States(expected[:, None], torch.ones(len(texts), dtype=torch.long))

    def _transcripts(
        self, heard: CtcOutput, stopped: bool, texts: list[str | None] | None
    ) -> tuple[list[str], list[Tensor] | None]:
        """What BERT reads, and of a soft transcript each word's certainty.

        A hypothesis is a decision, no gradient passes through it; it does through the certainty,
        the geometric mean of the posteriors of a word's units.
        """
        if self.emotion.transcript == "empty":
            return [""] * len(heard.states.lengths), None
        if self.emotion.transcript == "oracle":
            assert texts is not None, "the oracle needs reference texts"
            return [text or "" for text in texts], None
        if heard.greedy is not None:
            return [self.units.decode(ids) for ids in heard.greedy.labels()], None
        assert heard.log_probs is not None
        log_probs = heard.log_probs.detach() if stopped else heard.log_probs
        scored = search.greedy_scored(log_probs, heard.states.lengths)
        certainty = [
            torch.cat([log_probs.new_zeros(0), *(_mean(scores[w]) for w in self.units.words(ids))])
            for ids, scores in scored
        ]
        return [self.units.decode(ids) for ids, _ in scored], certainty


def _mean(log_probs: Tensor) -> Tensor:
    """Geometric mean of probabilities, (1,)."""
    return log_probs.mean(0, keepdim=True).exp()


System = Asr | Ser | Joint


def build(
    conf: Config,
    encoder: Encoder,
    bert: Callable[[], TextEncoder],
    units: Units,
    classes: int,
) -> System:
    """The conf's system around an encoder; ``bert`` is called only where there is a text branch."""
    if conf.system == "asr":
        return Asr(conf, encoder, units)
    if conf.system == "ser":
        return Ser(conf, encoder, classes)
    return Joint(conf, encoder, bert() if conf.uses_bert else None, units, classes)


def forward(
    system: System, waves: Tensor, lengths: Tensor, texts: list[str | None] | None = None
) -> Output:
    """Output of waves (N, T) of lengths (N,) samples, the latter on the host."""
    return forward_states(system, States(*system.encoder(waves, lengths)), texts)


def forward_states(system: System, states: States, texts: list[str | None] | None = None) -> Output:
    """Output of the encoder's states."""
    heard = system.hear(states)
    return Output(states.lengths, heard.log_probs, system.feel(heard, texts))


def truncated(system: System) -> int:
    """How many transcripts were cut to BERT's positions since this was last asked."""
    bert = system.bert if isinstance(system, Joint) else None
    if bert is None:
        return 0
    count, bert.truncated = bert.truncated, 0
    return count


def ctc_layers(conf: Config, inputs: int, units: int) -> nn.Sequential:
    """The CTC output layers, fresh: ``linear``, one layer below dropout, as transformers has it, or
    ``paper``, the toolkit's two hidden layers and one more, without dropout."""
    layers: list[nn.Module] = []
    if conf.head.type == "linear":
        layers.append(nn.Dropout(conf.encoder.dropout))
    else:
        for _ in range(2):
            layers += [nn.Linear(inputs, 1024), nn.LeakyReLU()]
            inputs = 1024
    last = nn.Linear(inputs, units)
    nn.init.normal_(last.weight, std=0.02)
    nn.init.zeros_(last.bias)
    last.bias.data[0] = conf.head.blank_bias
    return nn.Sequential(*layers, last)


def init_ctc_head(system: Asr | Joint, head: CtcHead, units: Units) -> None:
    """Copy a checkpoint's CTC head into the system's output layer, row by symbol.

    Raises DataError where the checkpoint's vocabulary lacks a unit.
    """
    rows = map_head(head.vocabulary, units, head.source)
    last = system.head[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.copy_(head.layer.weight[rows])
        last.bias.copy_(head.layer.bias[rows])


def _log_softmax(logits: Tensor) -> Tensor:
    """In float32 whatever the encoder computed in: k2 takes nothing else."""
    return torch.log_softmax(logits.float(), dim=-1)
