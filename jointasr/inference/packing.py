"""Packing of a trained model: a self-contained folder for recognition, with a model card."""

import shutil
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import torch

import jointasr
from jointasr.config import conf_files, layout
from jointasr.config.decode_schema import Decode
from jointasr.config.layout import DEFAULT_METHOD
from jointasr.config.model_description import HAS_WORDS, ModelDescription, read_model
from jointasr.config.schema import Config
from jointasr.data import dataset, manifest
from jointasr.decoding import tuning
from jointasr.inference import onnx_export, recognizer
from jointasr.inference.recognizer import (
    DECODE,
    MIN_CONFIDENCE,
    TUNED,
    ConfidenceCalibration,
    Recognizer,
)
from jointasr.lm import arpa
from jointasr.models import checkpoint
from jointasr.scoring import calibration, metrics, results_json
from jointasr.text.lang import Units, read_labels
from jointasr.utils import files
from jointasr.utils.errors import DataError

CARD, TEMPLATE = "README.md", "card.md.j2"


class DevResults(NamedTuple):
    """Results on the dev set, on which the confidences are calibrated."""

    utterances: int
    words: int
    """number of recognized words"""
    word_precision: float
    """per cent of the recognized words that are correct"""
    emotion_accuracy: float
    """per cent of the utterances"""
    confident: int
    """number of utterances with a confidence of at least MIN_CONFIDENCE"""
    confident_accuracy: float
    """per cent of these utterances"""


def pack(
    model_dir: Path, out: Path, method: str, device: torch.device, onnx: bool = False
) -> DevResults:
    """Pack the trained model of exp/<system>_<condition>/fold_<fold> into the new folder ``out``.

    The folder has the model, the decoding options of ``method``, its language models, a calibration
    of confidences on dev, a model card with the results in exp and, with ``onnx``, ONNX graphs.

    Raises DataError if ``out`` exists, or if the method requires language model scales that were
    not tuned yet.
    """
    if out.exists():
        raise DataError(f"{out} exists already; remove it or choose another folder")
    description = read_model(model_dir)
    overrides = [] if method == DEFAULT_METHOD else [f"method={method}"]
    decode = conf_files.load_decode(DECODE, Path(), overrides)
    tmp = out.with_name(f".tmp.{out.name}")
    shutil.rmtree(tmp, ignore_errors=True)
    shutil.copytree(model_dir / layout.BEST, tmp)
    try:
        files.write_text(tmp / DECODE, conf_files.dump(decode))
        _copy_language_models(model_dir, description, decode, tmp, method)
        dev = _calibrate(tmp, Path(description.selected["on"]), device)
        exp = layout.exp_dir(model_dir)
        files.write_text(tmp / CARD, model_card(tmp, out.name, description, exp, dev))
        if onnx:
            onnx_export.export(tmp / "onnx", checkpoint.load(tmp))
        tmp.rename(out)
    finally:
        shutil.rmtree(tmp, ignore_errors=True)
    return dev


def _copy_language_models(
    model_dir: Path, description: ModelDescription, decode: Decode, out: Path, method: str
) -> None:
    """Copy the n-gram models and the tuned scales of a method that uses them."""
    if not decode.ranks or description.kind not in HAS_WORDS:
        return
    tuned = layout.tune_dir(model_dir, method) / tuning.SCALES
    if not tuned.is_file():
        raise DataError(
            f"{tuned} does not exist; decode first: ./run.sh --stage 8 --method {method}"
        )
    (out / TUNED).mkdir()
    shutil.copyfile(tuned, out / TUNED / tuning.SCALES)
    for order in decode.orders:
        source = layout.lm_dir(Path(description.data), order)
        target = layout.lm_dir(out, order)
        target.mkdir()
        shutil.copyfile(source / arpa.FILE_NAME, target / arpa.FILE_NAME)


def _calibrate(folder: Path, source: Path, device: torch.device) -> DevResults:
    """Recognize the dev set ``source`` and write the calibration of the confidences."""
    model = Recognizer(folder, device)
    cuts = list(manifest.load(source))
    turns = model.recognize_batch([dataset.load_audio(cut) for cut in cuts])
    words: list[tuple[float, bool]] = []
    emotions: list[tuple[float, bool]] = []
    for cut, turn in zip(cuts, turns, strict=True):
        supervision = cut.supervisions[0]
        if supervision.text is not None:
            (alignment,) = metrics.align([supervision.text], [turn.text])
            correct = [ref == hyp for ref, hyp in alignment if hyp is not None]
            words += zip((word.confidence for word in turn.words), correct, strict=True)
        if turn.posteriors and supervision.custom.get("emotion"):
            best = max(turn.posteriors, key=lambda name: turn.posteriors[name])
            emotions.append((turn.posteriors[best], best == supervision.custom["emotion"]))
    fitted = ConfidenceCalibration(emotion=_fit(emotions))
    if not model.decoder.conf.ranks:  # otherwise the word posteriors were calibrated by tuning
        fitted = fitted._replace(words=_fit(words))
    recognizer.write_calibration(folder, fitted)
    confident = [pair for pair in emotions if fitted.emotion(pair[0]) >= MIN_CONFIDENCE]
    return DevResults(
        len(cuts),
        len(words),
        _accuracy(words),
        _accuracy(emotions),
        len(confident),
        _accuracy(confident),
    )


def _fit(pairs: list[tuple[float, bool]]) -> calibration.Calibration:
    return calibration.fit([value for value, _ in pairs], [correct for _, correct in pairs])


def _accuracy(pairs: list[tuple[float, bool]]) -> float:
    return 100 * sum(correct for _, correct in pairs) / max(1, len(pairs))


def model_card(
    folder: Path, name: str, description: ModelDescription, exp: Path, dev: DevResults
) -> str:
    """Return the model card in Markdown, with the results of the system in exp/results.json."""
    conf = checkpoint.read_conf(folder)
    decode = recognizer.decode_options(folder, None, None)
    method = decode.method if decode.ranks else DEFAULT_METHOD
    key = (description.system, description.train, method)
    cells = [
        cell
        for cell in results_json.read(exp / layout.RESULTS)
        if (cell["system"], cell["train"], cell["method"]) == key
    ]
    header = ["test", *(["WER"] if conf.has_ctc else [])]
    header += ["weighted accuracy", "unweighted accuracy"] if conf.has_emotion else []
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    template = resources.files("jointasr.inference").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(template).render(
        description=description,
        condition="noise" if description.train == "noisy" else description.train,
        dev=dev,
        folds=cells[0]["folds"] if cells else [],
        header=header,
        dev_results=_dev_results(conf, dev),
        name=name,
        components=_components(folder, conf, decode),
        rows=[_row(cell, conf) for cell in cells],
        task=TASKS[conf.has_ctc, conf.has_emotion],
        version=jointasr.__version__,
    )


TASKS = {
    (True, True): "joint speech and emotion recognition",
    (True, False): "speech recognition",
    (False, True): "speech emotion recognition",
}


def _components(folder: Path, conf: Config, decode: Decode) -> list[str]:
    """Describe units, decoding method, emotions and pretrained models."""
    lines = []
    if conf.has_ctc:
        units = Units.load(folder / "lang")
        line = f"Words: {units.kind}, {units.size} units; decoding method: {decode.method}"
        if decode.ranks:
            weight = tuning.read_scales(folder / TUNED).language
            line += f", with an n-gram model of the training text, weight {weight:g}"
        lines.append(line)
    if conf.has_emotion:
        lines.append(f"Emotions: {', '.join(read_labels(folder / 'lang'))}")
    text = f"; text encoder: {conf.bert.model}" if conf.uses_bert else ""
    return [*lines, results_json.strip_absolute_paths(f"Encoder: {conf.encoder.model}{text}")]


def _dev_results(conf: Config, dev: DevResults) -> list[str]:
    lines = []
    if conf.has_ctc:
        lines.append(f"{dev.word_precision:.1f} % of {dev.words} recognized words are correct")
    if conf.has_emotion:
        lines.append(
            f"{dev.emotion_accuracy:.1f} % of the emotions are correct, "
            f"{dev.confident_accuracy:.1f} % of the {dev.confident} with a confidence of at least "
            f"{MIN_CONFIDENCE:g}"
        )
    return lines


def _row(cell: dict[str, Any], conf: Config) -> list[str]:
    """Return a row of the results table; - for values without references."""
    values = [(cell["wer"] or {}).get("value")] if conf.has_ctc else []
    values += [(cell["acc"] or {}).get(key) for key in ("wa", "ua")] if conf.has_emotion else []
    return [cell["test"], *("-" if value is None else f"{value:.1f}" for value in values)]


def push(folder: Path, repo: str) -> str:
    """Upload a packed model to the Hugging Face hub and return its URL.

    A new repository is private. Raises DataError if the upload fails.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(repo, private=True, exist_ok=True)
        return str(api.upload_folder(repo_id=repo, folder_path=folder))
    except Exception as error:  # includes HTTP errors, whose classes depend on the stack
        reason = str(error).strip().splitlines()[0]
        raise DataError(
            f"{repo}: the upload failed ({reason}); logged in? (hf auth login)"
        ) from None
