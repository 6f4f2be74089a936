"""The systems of the paper's Figure 1: ASR baseline, SER baseline and the joint system."""

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
from jointasr.models.text_encoder import EncodedTexts, TextEncoder
from jointasr.text.lang import Units, map_head
from jointasr.utils.transfer import copy_to_device


class CtcOutput(NamedTuple):
    """Output of the encoder and the CTC head for a batch of N utterances."""

    states: States
    """hidden states of the encoder (N, F, D)"""
    log_probs: Tensor | None
    """log posteriors of the units (N, F, units) float32; None for ser"""
    greedy: search.Greedy | None = None
    """running greedy search; set if the text encoder reads its result"""

    @property
    def frames(self) -> Tensor:
        """Valid frames (N,), on the host."""
        return self.states.lengths


class EmotionOutput(NamedTuple):
    """Output of the emotion classifier for a batch of N utterances."""

    logits: Tensor | None
    """(N, classes) float32; None for asr"""
    truncated: int = 0
    """texts truncated to the text encoder's maximum length"""


class Output(NamedTuple):
    """Output of a system for a batch of N utterances."""

    frames: Tensor
    """valid frames (N,), on the host"""
    log_probs: Tensor | None
    """log posteriors of the units (N, F, units) float32; None for ser"""
    emotion_logits: Tensor | None
    """(N, classes) float32; None for asr"""
    truncated: int = 0
    """texts truncated to the text encoder's maximum length"""


class Asr(nn.Module):
    """ASR baseline (section 3.1 of the paper): encoder and CTC head."""

    def __init__(self, conf: Config, encoder: Encoder, units: Units) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = ctc_layers(conf, encoder.dim, units.size)

    def ctc_output(self, states: States) -> CtcOutput:
        """Return the log posteriors of the encoder's states."""
        return CtcOutput(states, _log_softmax(self.head(states.hidden)))

    def emotion_output(self, ctc: CtcOutput, texts: list[str | None] | None) -> EmotionOutput:
        """Return no logits."""
        return EmotionOutput(None)


class Ser(nn.Module):
    """SER baseline (section 3.1 of the paper): encoder, average pooling, output MLP."""

    def __init__(self, conf: Config, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classify = output_mlp(encoder.dim, conf.emotion, classes)

    def ctc_output(self, states: States) -> CtcOutput:
        """Return the states only."""
        return CtcOutput(states, None)

    def emotion_output(self, ctc: CtcOutput, texts: list[str | None] | None) -> EmotionOutput:
        """Return the emotion logits of the encoder's states."""
        return EmotionOutput(self.classify(average(ctc.states)).float())


class Joint(nn.Module):
    """Joint system (section 3.2 of the paper): shared encoder; BERT encodes the ASR hypothesis,
    which is fused with the encoder's states."""

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

    def ctc_output(self, states: States) -> CtcOutput:
        """Return the log posteriors of the encoder's states; start the greedy search for BERT."""
        log_probs = _log_softmax(self.head(states.hidden))
        greedy = None
        if self.bert is not None and self.emotion.transcript == "greedy":
            greedy = search.Greedy(log_probs, states.lengths)
        return CtcOutput(states, log_probs, greedy)

    def emotion_output(self, ctc: CtcOutput, texts: list[str | None] | None) -> EmotionOutput:
        """Return the emotion logits; ``texts``: references, for ``emotion.transcript: oracle``."""
        stopped = self.emotion.gradient == "stopped"
        modalities, truncated = [], 0
        if self.emotion.modalities != "linguistic":
            hidden = ctc.states.hidden
            modalities.append(ctc.states._replace(hidden=hidden.detach() if stopped else hidden))
        if self.bert is not None:
            encoded = self._encode_transcripts(self.bert, ctc, stopped, texts)
            modalities.append(encoded.states)
            truncated = encoded.truncated
        return EmotionOutput(self.fusion(*modalities).float(), truncated)

    def _encode_transcripts(
        self, bert: TextEncoder, ctc: CtcOutput, stopped: bool, texts: list[str | None] | None
    ) -> EncodedTexts:
        """Encode the transcripts selected by ``emotion.transcript``.

        No gradient passes through hypotheses. For soft transcripts it passes through the words'
        posteriors, unless ``stopped``.
        """
        kind = self.emotion.transcript
        if kind == "empty":
            return bert([""] * len(ctc.frames))
        if kind == "oracle":
            assert texts is not None, "emotion.transcript oracle needs reference texts"
            return bert([text or "" for text in texts])
        if ctc.greedy is not None:
            return bert([self.units.decode(ids) for ids in ctc.greedy.labels()])
        assert ctc.log_probs is not None
        if kind == "nbest":
            return self._encode_nbest(bert, ctc.log_probs, ctc.frames)
        log_probs = ctc.log_probs.detach() if stopped else ctc.log_probs
        return bert(*soft_transcripts(self.units, log_probs, ctc.frames))

    def _encode_nbest(self, bert: TextEncoder, log_probs: Tensor, frames: Tensor) -> EncodedTexts:
        """Return the mean embedding of each n-best list, weighted by its hypotheses' posteriors, as
        a sequence of length one. No gradient passes through the weights."""
        beams = prefix_beam.search_units(log_probs, frames)
        nbest = [hypotheses[: self.emotion.paths] for hypotheses in beams]
        texts = [[self.units.decode(ids) for ids, _ in hypotheses] for hypotheses in nbest]
        vocabulary = sorted({text for row in texts for text in row})
        weights = torch.zeros(len(texts), len(vocabulary))
        for row, hypotheses in enumerate(nbest):
            probs = posteriors([score for _, score in hypotheses])
            for text, prob in zip(texts[row], probs, strict=True):
                weights[row, vocabulary.index(text)] += prob
        encoded = bert(vocabulary)
        embeddings = average(encoded.states)
        mean = copy_to_device(weights, embeddings.device).to(embeddings.dtype) @ embeddings
        states = States(mean[:, None], torch.ones(len(texts), dtype=torch.long))
        return EncodedTexts(states, encoded.truncated)


def soft_transcripts(
    units: Units, log_probs: Tensor, frames: Tensor
) -> tuple[list[str], list[Tensor]]:
    """Return the greedy transcripts of log posteriors (N, F, units) and their words' posteriors.

    A word's posterior is the geometric mean of its units' posteriors, each in its best frame;
    gradients pass through it.
    """
    scored = search.greedy_with_scores(log_probs, frames)
    word_posteriors = [
        torch.cat([log_probs.new_zeros(0), *(_mean(scores[w]) for w in units.words(ids))])
        for ids, scores in scored
    ]
    return [units.decode(ids) for ids, _ in scored], word_posteriors


def _mean(log_probs: Tensor) -> Tensor:
    """Return the geometric mean of probabilities, (1,)."""
    return log_probs.mean(0, keepdim=True).exp()


System = Asr | Ser | Joint


def build(
    conf: Config,
    encoder: Encoder,
    bert: Callable[[], TextEncoder],
    units: Units,
    classes: int,
) -> System:
    """Build the system of ``conf``.

    ``bert`` returns the text encoder; it is called only if the system has one. ``classes``: number
    of emotions.
    """
    if conf.system == "asr":
        return Asr(conf, encoder, units)
    if conf.system == "ser":
        return Ser(conf, encoder, classes)
    return Joint(conf, encoder, bert() if conf.uses_bert else None, units, classes)


def forward(
    system: System, waves: Tensor, lengths: Tensor, texts: list[str | None] | None = None
) -> Output:
    """Run ``system`` on waves (N, T) of ``lengths`` (N,) samples; ``lengths`` is on the host."""
    return forward_states(system, States(*system.encoder(waves, lengths)), texts)


def forward_states(system: System, states: States, texts: list[str | None] | None = None) -> Output:
    """Run the layers of ``system`` after the encoder on its hidden states."""
    ctc = system.ctc_output(states)
    emotion = system.emotion_output(ctc, texts)
    return Output(states.lengths, ctc.log_probs, emotion.logits, emotion.truncated)


def ctc_layers(conf: Config, inputs: int, units: int) -> nn.Sequential:
    """Return a new CTC head, (..., inputs) to (..., units).

    Type ``linear``: dropout and one layer, as in transformers. ``paper``: two hidden layers with
    LeakyReLU and an output layer, as in SpeechBrain's wav2vec2 recipes.
    """
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
    """Copy the rows of a checkpoint's CTC head into the system's output layer, by symbol.

    Raises DataError if the checkpoint's vocabulary lacks a unit.
    """
    rows = map_head(head.vocabulary, units, head.source)
    last = system.head[-1]
    assert isinstance(last, nn.Linear)
    with torch.no_grad():
        last.weight.copy_(head.layer.weight[rows])
        last.bias.copy_(head.layer.bias[rows])


def _log_softmax(logits: Tensor) -> Tensor:
    """Return the log-softmax over the last dimension in float32, which k2 requires."""
    return torch.log_softmax(logits.float(), dim=-1)
