"""A trained model made ready for others: one folder with all that recognition needs, and a card."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import torch

import jointasr
from jointasr.config import conf_files, layout
from jointasr.config.decode_schema import Decode
from jointasr.config.layout import DEFAULT_METHOD
from jointasr.config.model_description import ModelDescription, read_model
from jointasr.config.schema import Config
from jointasr.data import dataset, manifest
from jointasr.decoding import tuning
from jointasr.inference import onnx_export, recognizer
from jointasr.inference.recognizer import DECODE, TUNED, UNSURE, ConfidenceCalibration, Recognizer
from jointasr.lm import arpa
from jointasr.models import checkpoint
from jointasr.scoring import calibration, metrics, results
from jointasr.text.lang import Units, read_labels
from jointasr.utils import files
from jointasr.utils.errors import DataError

CARD, TEMPLATE = "README.md", "card.md.j2"


class DevResults(NamedTuple):
    """How a model does on the dev set that its confidences are fitted on."""

    utterances: int
    words: int
    """recognised"""
    word_right: float
    """per cent of them"""
    emotion_right: float
    """per cent of the utterances"""
    sure: int
    """utterances whose emotion is named"""
    sure_right: float
    """per cent of them"""


def pack(
    home: Path, out: Path, method: str, device: torch.device, onnx: bool = False
) -> DevResults:
    """Make ``out`` of exp/<system>_<condition>/fold_<fold>: the model, its search by ``method``,
    confidences fitted on dev, a card with the results there are; with ``onnx`` also graphs.

    Raises DataError where ``out`` is there already, or the model was not decoded by ``method``,
    which chooses the weight of a language model.
    """
    if out.exists():
        raise DataError(f"{out} is there already; remove it, or give another folder")
    about = read_model(home)
    overrides = [] if method == DEFAULT_METHOD else [f"method={method}"]
    decode = conf_files.load_decode(DECODE, Path(), overrides)
    making = out.with_name(f".tmp.{out.name}")
    shutil.rmtree(making, ignore_errors=True)
    shutil.copytree(home / layout.BEST, making)
    try:
        files.write_text(making / DECODE, conf_files.dump(decode))
        _language_models(home, about, decode, making, method)
        dev = _fit(making, Path(about.selected["on"]), device)
        files.write_text(making / CARD, card(making, out.name, about, layout.exp_dir(home), dev))
        if onnx:
            onnx_export.export(making / "onnx", checkpoint.load(making))
        making.rename(out)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return dev


def _language_models(
    home: Path, about: ModelDescription, decode: Decode, making: Path, method: str
) -> None:
    if not decode.ranks or about.kind == "ser":
        return
    tuned = layout.tune_dir(home, method) / tuning.BEST
    if not tuned.is_file():
        raise DataError(
            f"{tuned}: not chosen yet; decode first: ./run.sh --stage 8 --method {method}"
        )
    (making / TUNED).mkdir()
    shutil.copyfile(tuned, making / TUNED / tuning.BEST)
    for order in decode.orders:
        source = layout.lm_dir(Path(about.data), order)
        target = layout.lm_dir(making, order)
        target.mkdir()
        shutil.copyfile(source / arpa.FILE_NAME, target / arpa.FILE_NAME)


def _fit(making: Path, source: Path, device: torch.device) -> DevResults:
    """Hear dev, write how confidences follow from posteriors."""
    model = Recognizer(making, device)
    cuts = list(manifest.load(source))
    turns = model.hear([dataset.load_audio(cut) for cut in cuts])
    words: list[tuple[float, bool]] = []
    emotions: list[tuple[float, bool]] = []
    for cut, turn in zip(cuts, turns, strict=True):
        supervision = cut.supervisions[0]
        if supervision.text is not None:
            (alignment,) = metrics.align([supervision.text], [turn.text])
            right = [ref == hyp for ref, hyp in alignment if hyp is not None]
            words += zip((word.confidence for word in turn.words), right, strict=True)
        if turn.posteriors and supervision.custom.get("emotion"):
            best = max(turn.posteriors, key=lambda name: turn.posteriors[name])
            emotions.append((turn.posteriors[best], best == supervision.custom["emotion"]))
    fitted = ConfidenceCalibration(emotion=_calibration(emotions))
    if not model.decoder.conf.ranks:  # whose posteriors are calibrated already, by tuning
        fitted = fitted._replace(words=_calibration(words))
    recognizer.write_certainty(making, fitted)
    sure = [right for posterior, right in emotions if fitted.emotion(posterior) >= UNSURE]
    return DevResults(
        len(cuts),
        len(words),
        _percent([right for _, right in words]),
        _percent([right for _, right in emotions]),
        len(sure),
        _percent(sure),
    )


def _calibration(pairs: list[tuple[float, bool]]) -> calibration.Calibration:
    return calibration.fit([value for value, _ in pairs], [right for _, right in pairs])


def _percent(right: list[bool]) -> float:
    return 100 * sum(right) / max(1, len(right))


def card(folder: Path, name: str, about: ModelDescription, exp: Path, dev: DevResults) -> str:
    """The model card in Markdown, with what exp/results.json says of the system."""
    conf = checkpoint.read_conf(folder)
    decode = recognizer.decode_options(folder, None, None)
    cells = [
        cell
        for cell in results.read(exp / "results.json")
        if (cell["system"], cell["train"]) == (about.system, about.train)
    ]
    wanted = decode.method if decode.ranks else DEFAULT_METHOD
    cells = [cell for cell in cells if cell["method"] == wanted]
    heads = ["test", *(["word errors"] if conf.has_ctc else [])]
    heads += ["emotions right, weighted", "unweighted"] if conf.has_emotion else []
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(TEMPLATE).render(
        about=about,
        condition="noise" if about.train == "noisy" else about.train,
        dev=dev,
        folds=cells[0]["folds"] if cells else [],
        heads=heads,
        heard=_heard(conf, dev),
        name=name,
        parts=_parts(folder, conf, decode),
        rows=[_row(cell, conf) for cell in cells],
        task=TASKS[conf.has_ctc, conf.has_emotion],
        version=jointasr.__version__,
    )


TASKS = {
    (True, True): "what is said and how it is felt",
    (True, False): "what is said",
    (False, True): "how speech is felt",
}


def _parts(folder: Path, conf: Config, decode: Decode) -> list[str]:
    parts = []
    if conf.has_ctc:
        units = Units.load(folder / "lang")
        parts.append(f"Words: {units.kind}, {units.size} units; search: {decode.method}")
        if decode.ranks:
            weight = tuning.read_scales(folder / TUNED).language
            parts[-1] += f", with an n-gram model of the training text, weight {weight:g}"
    if conf.has_emotion:
        parts.append(f"Emotions: {', '.join(read_labels(folder / 'lang'))}")
    text = f"; text: {conf.bert.model}" if conf.uses_bert else ""
    return [*parts, results.strip_absolute_paths(f"Encoder: {conf.encoder.model}{text}")]


def _heard(conf: Config, dev: DevResults) -> list[str]:
    found = []
    if conf.has_ctc:
        found.append(f"{dev.word_right:.1f} % of {dev.words} recognised words are right")
    if conf.has_emotion:
        found.append(
            f"{dev.emotion_right:.1f} % of the emotions are right, {dev.sure_right:.1f} % of the "
            f"{dev.sure} that the model is sure of"
        )
    return found


def _row(cell: dict[str, Any], conf: Config) -> list[str]:
    """A line of the card's table: what the system has; - where no reference was known."""
    values = [(cell["wer"] or {}).get("value")] if conf.has_ctc else []
    values += [(cell["acc"] or {}).get(key) for key in ("wa", "ua")] if conf.has_emotion else []
    return [cell["test"], *("-" if value is None else f"{value:.1f}" for value in values)]


def push(folder: Path, repo: str) -> str:
    """Put a packed model on the hub, in a repository that is made private if there is none; its
    address. Raises DataError where the hub does not take it."""
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        api.create_repo(repo, private=True, exist_ok=True)
        return str(api.upload_folder(repo_id=repo, folder_path=folder))
    except Exception as error:  # of the HTTP library, which is another on each stack, too
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{repo}: the hub does not take it ({reason}); hf auth login?") from None
