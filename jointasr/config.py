"""Configuration: typed, checked, layered.

A conf file names what it refines (``base: joint.yaml``) and states only its differences. Names are
relative to ``conf/``. A recipe refines any of them by a file of the same name in its own ``conf/``,
merged right after it, so that one ablation file serves every recipe. An unknown key or a value of
the wrong kind is an error that names the file and the nearest key.
"""

import difflib
import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jointasr.errors import DataError

ROOT = Path(__file__).resolve().parent.parent

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """A group of keys; unknown ones are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """Which turns, folds and mixtures; a conf that changes this gets a data folder of its own."""

    emotions: list[str] = ["ang", "hap", "neu", "sad"]
    """classes kept, after merging (excited counts as happy)"""
    turns: Literal["speech", "all"] = "speech"
    """speech: only turns with words (IEMOCAP: 5,500); all: the 31 others too (5,531)"""
    scheme: Literal["speaker", "session"] = "speaker"
    """leave one speaker out (10 folds) or one session (5 folds)"""
    dev: Literal["heldout", "partner"] = "heldout"
    """heldout: a share of the training speakers' dialogues; partner: the session's other speaker"""
    dev_fraction: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """share of dialogues held out"""
    snr: tuple[float, float] = (5.0, 35.0)
    """range of the noisy training set's signal-to-noise ratios, dB"""
    babble_talkers: tuple[int, int] = (1, 1)
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

    @property
    def name(self) -> str:
        """Name of the lang folder's ending: char, bpe500, ..."""
        return "char" if self.type == "char" else f"{self.type}{self.size}"


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
    """checkpoint: start from the encoder checkpoint's own head where units are characters"""
    blank_bias: float = 0.0
    """added to the blank's bias of a fresh head"""


class Emotion(Section):
    """The emotion branch."""

    dim: Annotated[int, Field(gt=0)] = 256
    """width of the classifier's hidden layer, and of each modality before fusion"""
    skip: bool = True
    """skip connections around the fusion's layers (the paper, section 3.2)"""
    dropout: Fraction = 0.1
    transcript: Literal["greedy", "oracle", "empty"] = "greedy"
    """what the text branch reads: the model's own hypothesis, the reference, nothing"""
    gradient: Literal["full", "stopped"] = "full"
    """stopped: the emotion loss does not reach the shared encoder (control)"""


class Bert(Section):
    """The text branch of the joint system."""

    model: str = "bert-base-uncased"
    """hub id or folder"""
    freeze: bool = False


class Augment(Section):
    """Time-domain SpecAugment, drawn per utterance and epoch."""

    speeds: list[int] = [95, 100, 105]
    """per cent of the original speed; one is drawn"""
    speed_semantics: Literal["speed", "toolkit"] = "speed"
    """toolkit: the ratio inverted, as the toolkit's release did (its 95 shortens)"""
    max_bands: Count = 3
    """0 to this many notches"""
    max_chunks: Count = 5
    """0 to this many zeroed chunks"""
    chunk_samples: tuple[int, int] = (1000, 2000)


class Batch(Section):
    """Batches by duration."""

    max_duration: Positive = 100.0
    """seconds of audio"""
    max_utterances: Annotated[int, Field(gt=0)] | None = None
    """utterances per batch, where the toolkit's recipe counts those"""
    buckets: Annotated[int, Field(gt=0)] = 30
    accumulate: Annotated[int, Field(gt=0)] = 1
    """batches per step of the optimiser"""
    workers: Count = 2
    """processes that read audio (0: none)"""


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
        return self.has_ctc and self.units.type == "char" and self.head.init == "checkpoint"

    @property
    def has_emotion(self) -> bool:
        """Whether the system writes emotions."""
        return self.system != "asr"


class Decode(Section):
    """conf/decode.yaml: how hypotheses are searched."""

    method: Literal["one_best", "greedy"] = "one_best"
    """one_best: shortest path through the lattice on the CTC topology; greedy: each frame's best"""
    search_beam: Positive = 20.0
    output_beam: Positive = 8.0
    min_active_states: Annotated[int, Field(gt=0)] = 30
    max_active_states: Annotated[int, Field(gt=0)] = 10000
    max_duration: Positive = 100.0
    """seconds of audio per batch"""


Model = TypeVar("Model", bound=Section)
Layer = tuple[Path, dict[str, Any]]


def load(name: str, recipe: Path = Path("."), overrides: Sequence[str] = ()) -> Config:
    """The configuration ``name`` as ``recipe`` refines it, with ``key.sub=value`` overrides.

    ``name`` is a file, or a name below ``conf/`` of the project or the recipe.
    Raises DataError naming the file and key for anything unknown, ill-typed or out of range.
    """
    return _load(Config, name, recipe, overrides)


def load_decode(name: str, recipe: Path = Path("."), overrides: Sequence[str] = ()) -> Decode:
    """The search options ``name`` (usually decode.yaml), found and checked as ``load`` does."""
    return _load(Decode, name, recipe, overrides)


def _load(kind: type[Model], name: str, recipe: Path, overrides: Sequence[str]) -> Model:
    layers = _layers(name, recipe.resolve(), [])
    layers.append((Path("--set"), _overrides(overrides)))
    merged: dict[str, Any] = {}
    for path, values in layers:
        _refuse_unknown(kind, values, path, "")
        merged = _merge(merged, values)
    try:
        return kind.model_validate(merged)
    except ValidationError as error:
        raise DataError(_explain(error, layers)) from None


def split_overrides(text: str) -> list[str]:
    """The ``key=value`` words of an option ``--set``: blank between, quotes as in a shell."""
    try:
        return shlex.split(text)
    except ValueError as error:
        raise DataError(f"--set {text}: {str(error).lower()}") from None


def find(name: str, recipe: Path) -> list[Path]:
    """Files that define ``name``: the project's, then the recipe's refinement of it."""
    given = Path(name)
    parts = given.parts
    logical = Path(*parts[parts.index("conf") + 1 :]) if "conf" in parts[:-1] else given
    places = [ROOT / "conf" / logical, recipe.resolve() / "conf" / logical]
    files = [path for path in places if path.is_file()]
    if given.is_file() and given.resolve() not in files:
        return [given.resolve()]
    if not files:
        raise DataError(f"conf file {name} not found: looked for {places[0]} and {places[1]}")
    return files


def data_name(config: Config, name: str, recipe: Path) -> str:
    """Folder of the data a conf needs: ``data``, or ``data-<stem>`` where it changes ``data:``."""
    usual = load("joint.yaml", recipe).data
    return "data" if config.data == usual else f"data-{Path(name).stem}"


def digest(config: Section, *, without: Sequence[str] = ()) -> str:
    """Digest of all keys but those at top level named in ``without``."""
    kept = {key: value for key, value in config.model_dump().items() if key not in without}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def dump(config: Section) -> str:
    """The resolved configuration as YAML; loading it gives the same configuration."""
    return yaml.safe_dump(json.loads(config.model_dump_json()), sort_keys=False)


def get(config: Section, key: str) -> Any:
    """Value of a dotted key. Raises DataError for an unknown one."""
    value: Any = config
    for part in key.split("."):
        if not hasattr(value, part):
            raise DataError(f"configuration key {key}: unknown")
        value = getattr(value, part)
    return value


def _layers(name: str, recipe: Path, seen: list[Path]) -> list[Layer]:
    layers: list[Layer] = []
    for path in find(name, recipe):
        if path in seen:
            raise DataError(f"{path}: `base:` leads back to itself")
        values = _read(path)
        base = values.pop("base", None)
        if base is not None:
            layers = _layers(str(base), recipe, [*seen, path])
        layers.append((path, values))
    return layers


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise DataError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected `key: value` lines")
    return values


def _overrides(pairs: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals:
            raise DataError(f"--set {pair}: expected key=value")
        try:
            nested: Any = yaml.safe_load(text)
        except yaml.YAMLError as error:
            reason = getattr(error, "problem", None) or "not valid YAML"
            raise DataError(f"--set {pair}: the value cannot be read: {reason}") from None
        for part in reversed(key.split(".")):
            nested = {part: nested}
        values = _merge(values, nested)
    return values


def _merge(old: dict[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            value = _merge(before, value)
        merged[key] = value
    return merged


def _refuse_unknown(kind: type[BaseModel], values: object, path: Path, prefix: str) -> None:
    if not isinstance(values, dict):
        return
    for key, value in values.items():
        if key not in kind.model_fields:
            near = difflib.get_close_matches(str(key), kind.model_fields, n=1, cutoff=0)
            raise DataError(f"{path}: unknown key {prefix}{key}; the nearest is {prefix}{near[0]}")
        inner = kind.model_fields[key].annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            _refuse_unknown(inner, value, path, f"{prefix}{key}.")


def _explain(error: ValidationError, layers: Sequence[Layer]) -> str:
    first = error.errors()[0]
    keys = [str(part) for part in first["loc"] if isinstance(part, str)]
    culprit = layers[0][0]
    for path, values in layers:
        value: Any = values
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if value is not None:
            culprit = path
    return f"{culprit}: key {'.'.join(keys)}: {first['msg']} (got {first['input']!r})"
