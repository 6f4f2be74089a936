"""Keys of the conf files of systems: types, defaults and meaning.

:mod:`jointasr.config.conf_files` finds, merges and reads the files.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from jointasr.config.fields import Ascending, Count, Fraction, Positive, Section
from jointasr.text.normalizer import LETTERS, check_letters


class Data(Section):
    """Utterances, folds and mixtures. A conf that changes this section gets its own data folder."""

    letters: Annotated[str, AfterValidator(check_letters)] = LETTERS
    """alphabet of the transcripts in addition to apostrophe and space, in one case or both; may
    include digits. Other characters are converted to the available case or removed"""
    emotions: Annotated[list[str], Field(min_length=1)] = ["ang", "hap", "neu", "sad"]
    """emotion classes, in the order of the classifier's outputs (IEMOCAP's excited is merged with
    happy)"""
    turns: Literal["speech", "all"] = "speech"
    """speech: only utterances with words (IEMOCAP: 5,500); all: also the 31 others (5,531)"""
    scheme: Literal["speaker", "session", "given"] = "speaker"
    """speaker: leave one speaker out (IEMOCAP: 10 folds); session: leave one session out (5 folds;
    in other corpora a group of speakers); given: the corpus defines the folds"""
    dev: Literal["heldout", "partner"] = "heldout"
    """heldout: a fraction of the training speakers' dialogues; partner: the other speaker of the
    test speaker's session"""
    dev_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """fraction of dialogues held out"""
    snr: Annotated[tuple[float, float], Ascending] = (5.0, 35.0)
    """range of signal-to-noise ratios of the noisy training set, dB"""
    babble_talkers: Annotated[tuple[int, int], Ascending] = (1, 1)
    """minimum and maximum number of talkers in background speech"""
    noise_window: Annotated[float, Field(ge=0)] = 0.0
    """seconds; noise files are first cut into windows of this length (0: complete files)"""
    seed: Count = 0
    """random seed of noise and folds"""


class Units(Section):
    """Output units of the CTC head."""

    type: Literal["char", "bpe", "unigram"] = "char"
    """characters, or pieces of one of SentencePiece's model types"""
    size: Annotated[int, Field(gt=2)] = 500
    """number of SentencePiece units, blank excluded (ignored for char)"""


class Encoder(Section):
    """The shared acoustic encoder: any wav2vec2-style checkpoint of transformers."""

    model: str = "facebook/wav2vec2-large-960h-lv60-self"
    """hub id or folder"""
    init: Literal["pretrained", "random"] = "pretrained"
    """random: use only the configuration of the checkpoint"""
    freeze_conv: bool = True
    """do not train the convolutional feature encoder (paper, section 3.1)"""
    freeze: bool = False
    """do not train any part of the encoder"""
    dropout: Fraction = 0.1
    """dropout probability of hidden states, attention and activations"""
    layerdrop: Fraction = 0.1
    """probability of skipping a transformer layer in training"""
    gradient_checkpointing: bool = False
    """recompute activations in the backward pass: less memory, about a third more time"""


class Head(Section):
    """The CTC output layers."""

    type: Literal["linear", "paper"] = "linear"
    """linear: one layer; paper: preceded by two layers of 1024 with LeakyReLU, as in the recipe of
    the paper's toolkit"""
    init: Literal["checkpoint", "fresh"] = "checkpoint"
    """checkpoint: start from the head of the encoder checkpoint if it has one, type is linear and
    the units are characters"""
    blank_bias: float = 0.0
    """added to the bias of the blank in a fresh head"""


class Emotion(Section):
    """The emotion branch."""

    dim: Annotated[int, Field(gt=0)] = 256
    """size of the hidden layer of the classifier, and of each modality before fusion"""
    modalities: Literal["both", "acoustic", "linguistic"] = "both"
    """inputs of the emotion classifier; acoustic: no text branch (paper, reference [1])"""
    fusion: Literal["mlp", "concat", "co_attention"] = "mlp"
    """mlp: separate layers for each embedding (paper, section 3.2); concat: plain concatenation;
    co_attention: frames and tokens attend to each other (paper, reference [2])"""
    heads: Annotated[int, Field(gt=0)] = 4
    """attention heads of co_attention; must divide ``dim``"""
    skip: bool = True
    """skip connections around the fusion layers (paper, section 3.2)"""
    dropout: Fraction = 0.1
    """dropout probability of the classifier and the fusion layers"""
    transcript: Literal["greedy", "oracle", "empty", "soft", "nbest"] = "greedy"
    """input of the text branch. greedy: the model's hypothesis; oracle: the reference (empty if
    missing); empty: no text; soft: the hypothesis, with each word embedding interpolated towards
    [MASK] by one minus its posterior, which lets the emotion loss reach the CTC head; nbest: the
    ``paths`` most probable hypotheses of prefix-beam search, embeddings weighted by posteriors"""
    paths: Annotated[int, Field(gt=0)] = 5
    """number of hypotheses for transcript nbest"""
    gradient: Literal["full", "stopped"] = "full"
    """stopped: the emotion loss does not reach the shared encoder (control)"""

    @model_validator(mode="after")
    def _check_combination(self) -> "Emotion":
        if self.fusion == "co_attention":
            if self.transcript == "nbest":
                raise ValueError("fusion co_attention needs tokens, which transcript nbest lacks")
            if self.modalities != "both":
                raise ValueError("fusion co_attention needs modalities: both")
            if self.dim % self.heads:
                raise ValueError(f"dim {self.dim} is not divisible by {self.heads} heads")
        return self


class Bert(Section):
    """The text branch of the joint system."""

    model: str = "bert-base-uncased"
    """hub id or folder"""
    freeze: bool = False
    """do not train BERT"""


class Augment(Section):
    """Time-domain SpecAugment, drawn per utterance and epoch."""

    speeds: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=1)] = [95, 100, 105]
    """speeds to draw from, per cent of the original"""
    speed_semantics: Literal["speed", "toolkit"] = "speed"
    """toolkit: the inverse ratio, as in the release of the paper's toolkit (95 shortens audio)"""
    max_bands: Annotated[int, Field(ge=0, le=20)] = 3
    """maximum number of notches (band-stop filters)"""
    max_chunks: Count = 5
    """maximum number of zeroed chunks"""
    chunk_samples: Annotated[tuple[Count, Count], Ascending] = (1000, 2000)
    """minimum and maximum length of a chunk, in samples at 16 kHz"""


class Batch(Section):
    """Batches of limited duration."""

    max_duration: Positive | Literal["auto"] = 100.0
    """seconds of audio including padding; auto: measured on this machine before the first training
    of stage 7 and used for all trainings (exp/max_duration.json)"""
    max_utterances: Annotated[int, Field(gt=0)] | None = None
    """maximum number of utterances in a batch, as in the recipe of the paper's toolkit"""
    accumulate: Annotated[int, Field(gt=0)] = 1
    """batches per optimizer step"""
    workers: Count = 2
    """worker processes that read audio (0: none)"""

    @property
    def seconds(self) -> float:
        """``max_duration`` as a number; stage 7 replaces auto by the measured one."""
        assert self.max_duration != "auto", "max_duration auto has not been resolved"
        return self.max_duration


class Optimiser(Section):
    """Optimizer of one part of the model."""

    name: Literal["adamw", "adam", "adadelta"] = "adamw"
    lr: Positive = 1e-4
    """learning rate before scaling by the schedule"""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """for weight matrices; biases and norms have none"""
    newbob_factor: Annotated[float, Field(gt=0, le=1)] = 0.9
    """factor of the learning rate when the dev loss stalls (schedule newbob)"""


class Optim(Section):
    """Optimizers by part of the model, and their common options."""

    encoder: Optimiser = Optimiser(lr=1e-4)
    head: Optimiser = Optimiser(lr=1e-3)
    """all layers outside encoder and BERT"""
    bert: Optimiser = Optimiser(lr=1e-5)
    clip: Positive = 1.0
    """maximum norm of the gradient"""


class Schedule(Section):
    """Learning rate schedule."""

    name: Literal["warmup_decay", "newbob"] = "warmup_decay"
    """warmup_decay: linear warm-up and decay, per step; newbob: annealing by the dev loss, per
    epoch"""
    warmup: Fraction = 0.1
    """fraction of all steps over which learning rates rise from zero"""
    decay_from: Fraction = 0.5
    """fraction of all steps after which learning rates fall linearly to zero"""
    newbob_threshold: Annotated[float, Field(ge=0)] = 0.0025
    """minimum relative improvement of the dev loss"""


class Train(Section):
    """Length and precision of training."""

    epochs: Annotated[int, Field(gt=0)] = 20
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 or, on older GPUs, fp16; fp32 on a CPU"""
    max_skipped: Annotated[int, Field(gt=0)] = 20
    """maximum number of consecutive steps skipped because loss or gradient is not finite (fp16
    skips a few until its loss scale is right); training stops after that"""
    save_minutes: Annotated[float, Field(ge=0)] = 10.0
    """minutes between saved training states; a killed training resumes from the last state"""
    log_every: Annotated[int, Field(gt=0)] = 20
    """steps between log lines"""


class Config(Section):
    """Definition of a system."""

    system: Literal["asr", "ser", "joint"]
    ctc: Literal["k2", "torch"] = "k2"
    """engine of CTC loss and search"""
    alpha: Fraction = 0.1
    """weight of the emotion loss (paper, equation 1)"""
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
        """Whether the system outputs transcripts."""
        return self.system != "ser"

    @property
    def uses_checkpoint_head(self) -> bool:
        """Whether training starts from the CTC head of the checkpoint, which must fit."""
        linear = self.head.type == "linear" and self.head.init == "checkpoint"
        return self.has_ctc and linear and self.units.type == "char"

    @property
    def uses_bert(self) -> bool:
        """Whether the system has a text branch."""
        return self.system == "joint" and self.emotion.modalities != "acoustic"

    @property
    def has_emotion(self) -> bool:
        """Whether the system outputs emotions."""
        return self.system != "asr"
