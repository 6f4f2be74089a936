"""What defines an experiment: every key of the conf files, its type, its default, its meaning.

How the files are found, layered and read is :mod:`jointasr.config.conf_files`'s.
"""

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from jointasr.text.normalizer import LETTERS, check_letters

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Pair = TypeVar("Pair", tuple[int, int], tuple[float, float])


def _rising(pair: Pair) -> Pair:
    if pair[0] > pair[1]:
        raise ValueError("the first must not be above the second")
    return pair


Rising = AfterValidator(_rising)


class Section(BaseModel):
    """A group of keys; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """Which turns, folds and mixtures; a conf that changes this gets a data folder of its own."""

    letters: Annotated[str, AfterValidator(check_letters)] = LETTERS
    """alphabet of the transcripts, besides apostrophe and space, in one case or in both; digits
    may be among them. What it lacks is written in the case that it has, or left out"""
    emotions: Annotated[list[str], Field(min_length=1)] = ["ang", "hap", "neu", "sad"]
    """classes kept, after merging (excited counts as happy)"""
    turns: Literal["speech", "all"] = "speech"
    """speech: only turns with words (IEMOCAP: 5,500); all: the 31 others too (5,531)"""
    scheme: Literal["speaker", "session", "given"] = "speaker"
    """leave one speaker out (IEMOCAP: 10 folds) or one session (5 folds; of other corpora a group);
    given: as the corpus says"""
    dev: Literal["heldout", "partner"] = "heldout"
    """heldout: a share of the training speakers' dialogues; partner: the session's other speaker"""
    dev_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """share of dialogues held out"""
    snr: Annotated[tuple[float, float], Rising] = (5.0, 35.0)
    """range of the noisy training set's signal-to-noise ratios, dB"""
    babble_talkers: Annotated[tuple[int, int], Rising] = (1, 1)
    """fewest and most talkers in background speech"""
    noise_window: Annotated[float, Field(ge=0)] = 0.0
    """seconds; noise files are cut into windows of this length first (0: whole files)"""
    seed: Count = 0
    """seed of every draw of noise and folds"""


class Units(Section):
    """What the CTC head predicts."""

    type: Literal["char", "bpe", "unigram"] = "char"
    size: Annotated[int, Field(gt=2)] = 500
    """vocabulary of SentencePiece units, blank not counted (ignored for char)"""


class Encoder(Section):
    """The shared acoustic encoder: any wav2vec2-like checkpoint of transformers."""

    model: str = "facebook/wav2vec2-large-960h-lv60-self"
    """hub id or folder"""
    init: Literal["pretrained", "random"] = "pretrained"
    """random: only the checkpoint's configuration is used"""
    freeze_conv: bool = True
    """keep the convolutional part as it is (the paper, section 3.1)"""
    freeze: bool = False
    """keep all of it as it is"""
    dropout: Fraction = 0.1
    layerdrop: Fraction = 0.1
    gradient_checkpointing: bool = False
    """recompute activations in the backward pass: less memory, a third more time"""


class Head(Section):
    """The CTC output layers."""

    type: Literal["linear", "paper"] = "linear"
    """linear: one layer; paper: two of 1024 with LeakyReLU below it, as the toolkit's recipe"""
    init: Literal["checkpoint", "fresh"] = "checkpoint"
    """checkpoint: start from the encoder checkpoint's own, where it has one, type is linear and
    units are characters"""
    blank_bias: float = 0.0
    """added to the blank's bias of a fresh head"""


class Emotion(Section):
    """The emotion branch."""

    dim: Annotated[int, Field(gt=0)] = 256
    """width of the classifier's hidden layer, and of each modality before fusion"""
    modalities: Literal["both", "acoustic", "linguistic"] = "both"
    """what decides the emotion; acoustic: no text branch at all (the paper's reference [1])"""
    fusion: Literal["mlp", "concat", "co_attention"] = "mlp"
    """mlp: each embedding through layers of its own (the paper, section 3.2); concat: as they are;
    co_attention: frames and tokens attend to each other (the paper's reference [2])"""
    heads: Annotated[int, Field(gt=0)] = 4
    """of the co-attention; they share ``dim``"""
    skip: bool = True
    """skip connections around the fusion's layers (the paper, section 3.2)"""
    dropout: Fraction = 0.1
    transcript: Literal["greedy", "oracle", "empty", "soft", "nbest"] = "greedy"
    """what the text branch reads: the model's own hypothesis, the reference (nothing where there is
    none), nothing; soft: the
    hypothesis, each word faded into [MASK] as far as its posterior lacks certainty, which lets the
    emotion loss reach the CTC head; nbest: the likeliest ``paths`` of prefix-beam search, their
    embeddings weighted by their posteriors"""
    paths: Annotated[int, Field(gt=0)] = 5
    """transcripts read where transcript is nbest"""
    gradient: Literal["full", "stopped"] = "full"
    """stopped: the emotion loss does not reach the shared encoder (control)"""

    @model_validator(mode="after")
    def _fits_together(self) -> "Emotion":
        if self.fusion == "co_attention":
            if self.transcript == "nbest":
                raise ValueError("transcript nbest has no tokens for fusion co_attention to read")
            if self.modalities != "both":
                raise ValueError("fusion co_attention needs modalities: both")
            if self.dim % self.heads:
                raise ValueError(f"dim {self.dim} cannot be shared by {self.heads} heads")
        return self


class Bert(Section):
    """The text branch of the joint system."""

    model: str = "bert-base-uncased"
    """hub id or folder"""
    freeze: bool = False


class Augment(Section):
    """Time-domain SpecAugment, drawn per utterance and epoch."""

    speeds: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=1)] = [95, 100, 105]
    """per cent of the original speed; one is drawn"""
    speed_semantics: Literal["speed", "toolkit"] = "speed"
    """toolkit: the ratio inverted, as the toolkit's release did (its 95 shortens)"""
    max_bands: Annotated[int, Field(ge=0, le=20)] = 3
    """0 to this many notches"""
    max_chunks: Count = 5
    """0 to this many zeroed chunks"""
    chunk_samples: Annotated[tuple[Count, Count], Rising] = (1000, 2000)


class Batch(Section):
    """Batches by duration."""

    max_duration: Positive | Literal["auto"] = 100.0
    """seconds of audio, padding included; auto: found by trying on this machine, before stage 7's
    first training, and kept for all of them (exp/max_duration.json)"""
    max_utterances: Annotated[int, Field(gt=0)] | None = None
    """utterances per batch, where the toolkit's recipe counts those"""
    accumulate: Annotated[int, Field(gt=0)] = 1
    """batches per step of the optimiser"""
    workers: Count = 2
    """processes that read audio (0: none)"""

    @property
    def seconds(self) -> float:
        """``max_duration`` as a number, which stage 7 puts in the place of auto."""
        assert self.max_duration != "auto", "the limit of batches has not been looked for"
        return self.max_duration


class Optimiser(Section):
    """One optimiser for one part of the model."""

    name: Literal["adamw", "adam", "adadelta"] = "adamw"
    lr: Positive = 1e-4
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    newbob_factor: Annotated[float, Field(gt=0, le=1)] = 0.9
    """what the rate is multiplied with when the dev loss stalls (schedule newbob)"""


class Optim(Section):
    """Optimisers by part, and what they share."""

    encoder: Optimiser = Optimiser(lr=1e-4)
    head: Optimiser = Optimiser(lr=1e-3)
    """every layer that is neither encoder nor BERT"""
    bert: Optimiser = Optimiser(lr=1e-5)
    clip: Positive = 1.0
    """largest norm of the gradient"""


class Schedule(Section):
    """How learning rates change."""

    name: Literal["warmup_decay", "newbob"] = "warmup_decay"
    warmup: Fraction = 0.1
    """share of all steps over which rates rise from zero"""
    decay_from: Fraction = 0.5
    """share of all steps after which rates fall linearly to zero"""
    newbob_threshold: Annotated[float, Field(ge=0)] = 0.0025
    """least relative improvement of the dev loss"""


class Train(Section):
    """Length and arithmetic of training."""

    epochs: Annotated[int, Field(gt=0)] = 20
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 or, on older GPUs, fp16; fp32 on a CPU"""
    max_skipped: Annotated[int, Field(gt=0)] = 20
    """steps in a row that may be left out, loss or gradient not being finite, before training
    ends (fp16 needs some to find its scale)"""
    save_minutes: Annotated[float, Field(ge=0)] = 10.0
    """between states from which a killed training goes on"""
    log_every: Annotated[int, Field(gt=0)] = 20
    """steps between lines in the log"""


class Config(Section):
    """Everything that defines a system."""

    system: Literal["asr", "ser", "joint"]
    ctc: Literal["k2", "torch"] = "k2"
    """engine of loss and search"""
    alpha: Fraction = 0.1
    """weight of the emotion loss (the paper, equation 1)"""
    data: Data = Data()
    units: Units = Units()
    encoder: Encoder = Encoder()
    head: Head = Head()
    emotion: Emotion = Emotion()
    bert: Bert = Bert()
    augment: Augment = Augment()
    batch: Batch = Batch()
    optim: Optim = Optim()
    schedule: Schedule = Schedule()
    train: Train = Train()

    @property
    def has_ctc(self) -> bool:
        """Whether the system writes transcripts."""
        return self.system != "ser"

    @property
    def uses_own_head(self) -> bool:
        """Whether training starts from the checkpoint's CTC head, so that it must fit."""
        linear = self.head.type == "linear" and self.head.init == "checkpoint"
        return self.has_ctc and linear and self.units.type == "char"

    @property
    def uses_bert(self) -> bool:
        """Whether there is a text branch."""
        return self.system == "joint" and self.emotion.modalities != "acoustic"

    @property
    def has_emotion(self) -> bool:
        """Whether the system writes emotions."""
        return self.system != "asr"


class Report(Section):
    """conf/report.yaml: what stage 10 tests and shows."""

    margin_wer: Annotated[float, Field(ge=0)] = 1.0
    """points of WER that the joint system may lose and still count as no worse"""
    margin_acc: Annotated[float, Field(ge=0)] = 1.0
    """points of accuracy, likewise"""
    level: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """of significance"""
    resamples: Annotated[int, Field(ge=100)] = 10000
    """of the bootstrap over utterances"""
    seed: Count = 0
    """of the bootstrap"""
    worst: Count = 5
    """utterances shown for each scenario, with their audio"""


Method = Literal["one_best", "greedy", "nbest", "hlg", "hlg_rescore", "beam"]


class LanguageModel(Section):
    """n-gram models of words, of each fold's training text, and how much they weigh."""

    order: Annotated[int, Field(ge=1, le=9)] = 3
    """of the model that is searched with"""
    rescore_order: Annotated[int, Field(ge=1, le=9)] = 4
    """of the model that hlg_rescore puts in its place afterwards"""
    text: list[str] = []
    """files with more text, a sentence a line, besides the fold's training text"""
    scale: Literal["auto"] | Positive = "auto"
    """of its log-probabilities; auto: that of ``scales`` with the fewest errors on dev"""
    scales: Annotated[list[Positive], Field(min_length=1)] = [0.2, 0.4, 0.6, 0.8, 1.0, 1.4]
    word_penalty: Literal["auto"] | float = "auto"
    """taken off the score for each word; auto: that of ``word_penalties``"""
    word_penalties: Annotated[list[float], Field(min_length=1)] = [-1.0, -0.5, 0.0, 0.5, 1.0]
    beam_size: Annotated[int, Field(gt=0)] = 100
    """prefixes that method beam keeps"""


class Decode(Section):
    """conf/decode.yaml: how hypotheses are searched."""

    method: Method = "one_best"
    """greedy: each frame's best unit; one_best: shortest path through the lattice on the CTC
    topology (torch: prefix beam); nbest: the best ``paths`` of that lattice ranked with an n-gram
    model; hlg: those of the lattice on H o L o G; hlg_rescore: the same, a larger model put into
    the lattice first; beam: prefix-beam search with lexicon and n-gram model, without k2"""
    search_beam: Positive = 20.0
    output_beam: Positive = 8.0
    min_active_states: Annotated[int, Field(gt=0)] = 30
    max_active_states: Annotated[int, Field(gt=0)] = 10000
    lattice_prune: Fraction = 1e-3
    """posterior below which arcs of lattices are left out before candidates are listed"""
    modified_topology: bool = False
    """of nbest, hlg, hlg_rescore: a smaller H, to which a label doubled without blank is two"""
    paths: Annotated[int, Field(gt=0)] = 50
    """candidates that are ranked"""
    lm: LanguageModel = LanguageModel()
    max_duration: Positive = 100.0
    """seconds of audio per batch"""

    @property
    def ranks(self) -> bool:
        """Whether candidates are ranked with an n-gram model."""
        return self.method not in ("greedy", "one_best")

    def options(self) -> dict[str, object]:
        """What decides the method's result: a change of other keys leaves results up to date."""
        unused = {"max_duration"}
        if not self.ranks:
            unused |= {"lattice_prune", "modified_topology", "paths", "lm"}
        return self.model_dump(exclude=unused)

    @property
    def orders(self) -> list[int]:
        """Of the n-gram models needed."""
        if not self.ranks:
            return []
        return [self.lm.order, *([self.lm.rescore_order] if self.method == "hlg_rescore" else [])]
