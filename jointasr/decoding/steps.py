"""Options and inputs of decoding and alignment, as recorded in their ``.done`` files.

Does not import torch, so that ``jointasr.bin.jobs`` finds out quickly which jobs are finished.
"""

from pathlib import Path
from typing import NamedTuple

from jointasr.config import conf_files, decode_schema, layout
from jointasr.config.model_description import HAS_WORDS, ModelDescription, read_model
from jointasr.utils import done, provenance

DECODE, ALIGN = "jointasr.bin.decode", "jointasr.bin.align"


class Decoding(NamedTuple):
    """Decoding of a test set with a trained model: decoding method, engine and features."""

    model_dir: Path
    model: ModelDescription
    conf: decode_schema.Decode
    method: str
    engine: str
    feats: str
    """wav or conv"""

    @property
    def ngrams(self) -> dict[int, Path]:
        """Folders of the fold's n-gram models by order; {} if the method uses none."""
        orders = self.conf.orders if self.model.kind in HAS_WORDS else []
        return {order: layout.lm_dir(Path(self.model.data), order) for order in orders}

    @property
    def tune_dir(self) -> Path:
        """Folder of the scales tuned on dev."""
        return layout.tune_dir(self.model_dir, self.method)

    @property
    def _options(self) -> dict[str, object]:
        return {**self.conf.options(), "ctc": self.engine, "stack": provenance.stack()}

    def data_dir(self, test: str) -> Path:
        """Return the fold's data dir of a test scenario."""
        return layout.test_dir(Path(self.model.data), test)

    def tuning(self) -> done.Step | None:
        """Return the step that tunes the scales; None without n-gram models.

        Its last input is the dev dir on which the model was selected.
        """
        if not self.ngrams:
            return None
        dev = Path(self.model.selected["on"])
        inputs = [self.model_dir, *self.ngrams.values(), dev]
        return done.Step(self.tune_dir, DECODE, self._options, inputs)

    def scenario(self, test: str, conv: Path | None = None) -> done.Step:
        """Return the step that decodes a test scenario; ``conv``: folder of its features."""
        method = self.method
        if self.feats == "conv":
            method = "conv" if method == layout.DEFAULT_METHOD else f"{method}_conv"
        inputs = [self.model_dir, *self.ngrams.values()]
        if self.ngrams:
            inputs.append(self.tune_dir)
        inputs += [self.data_dir(test), *([conv] if conv else [])]
        out = layout.decode_dir(self.model_dir, test, method)
        return done.Step(out, DECODE, {**self._options, "feats": self.feats}, inputs)


def decoding(
    model_dir: Path, conf: str, method: str, engine: str | None = None, feats: str = "wav"
) -> Decoding:
    """Return the decoding with a trained model by ``method``, with options of the file ``conf``.

    ``engine``: k2 or torch; default: that of training. ``feats``: wav or conv. Raises DataError for
    a folder without a trained model and for an unknown method.
    """
    overrides = [] if method == layout.DEFAULT_METHOD else [f"method={method}"]
    settings = conf_files.load_decode(conf, Path(), overrides)
    model = read_model(model_dir)
    return Decoding(model_dir, model, settings, method, engine or model.engine, feats)


def alignment(
    model_dir: Path, model: ModelDescription, test: str, texts: str, method: str, engine: str
) -> done.Step:
    """Return the step that aligns the references (``texts`` "ref") or hypotheses ("hyp") of a test.

    Its inputs are the model, the data dir and, for hypotheses, the decode folder.
    """
    inputs = [model_dir, layout.test_dir(Path(model.data), test)]
    if texts == "hyp":
        inputs.append(layout.decode_dir(model_dir, test, method))
    options = {"of": texts, "ctc": engine, "stack": provenance.stack()}
    return done.Step(layout.align_dir(model_dir, test, texts, method), ALIGN, options, inputs)
