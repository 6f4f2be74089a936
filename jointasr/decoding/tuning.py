"""Tuning of language model weight and word penalty on the dev set.

``scales.tsv`` has the word errors of each pair of scales, ``scales.json`` the pair with the fewest
errors and the calibration of the word posteriors.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from lhotse import CutSet
from torch import Tensor

from jointasr.config.decode_schema import LanguageModel
from jointasr.decoding import decode
from jointasr.decoding.decoder import Candidate, Decoder, Scales, best_candidate, best_transcript
from jointasr.models import failures
from jointasr.scoring import calibration, metrics
from jointasr.scoring.metrics import WordCounts
from jointasr.utils import files
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)
TRIALS, SCALES = "scales.tsv", "scales.json"
HEADER = "scale\tword_penalty\tsub\tdel\tins\twords\twer"
IMPROVISED = "improvised"
CandidateLists = Mapping[str, list[Candidate]]
"""candidates by utterance"""


class ScaleTrial(NamedTuple):
    """Word errors on dev with one pair of scales."""

    language: float
    word_penalty: float
    counts: WordCounts

    def __str__(self) -> str:
        c = self.counts
        values = (self.language, self.word_penalty, c.sub, c.dele, c.ins, c.ref_words)
        return "\t".join([*map(repr, values), f"{c.wer:.2f}"])

    @classmethod
    def parse(cls, line: str) -> "ScaleTrial":
        """Parse a line written by ``str``."""
        language, penalty, *counts, _ = line.split("\t")
        return cls(float(language), float(penalty), WordCounts(*map(int, counts)))


class DevPosteriors:
    """CTC posteriors of the improvised utterances of dev, or of all if none is improvised.

    Scripted sentences also occur in the training text, so that tuning on them would overestimate
    the weight of its language model.
    """

    def __init__(self, decoder: Decoder, cuts: CutSet) -> None:
        """Run the model on the cuts of dev. Raises DataError if it has no words to tune on."""
        cuts = cuts.filter(lambda cut: cut.supervisions[0].text is not None).to_eager()
        selected = [
            cut for cut in cuts if (cut.supervisions[0].custom or {}).get("style") == IMPROVISED
        ]
        if not any(cut.supervisions[0].text for cut in selected):
            selected = []
        self.subset = IMPROVISED if selected else "all"
        self.references = {cut.id: str(cut.supervisions[0].text) for cut in selected or cuts}
        lm = decoder.conf.lm
        if not any(self.references.values()) and "auto" in (lm.scale, lm.word_penalty):
            raise DataError("dev has no words to tune scales on: set lm.scale and lm.word_penalty")
        self._decoder = decoder
        self._outputs: list[tuple[list[str], Tensor, Tensor]] = []
        with torch.no_grad():
            for ids, _, output in decode.model_outputs(decoder, CutSet.from_cuts(selected or cuts)):
                assert output.log_probs is not None
                self._outputs.append((ids, output.log_probs.cpu(), output.frames))
        log.info("%d utterances of dev (%s)", len(self.references), self.subset)

    def candidates(self, scale: float) -> CandidateLists:
        """Return the candidates found with language model weight ``scale``."""
        candidates: dict[str, list[Candidate]] = {}
        for ids, log_probs, frames in self._outputs:
            with failures.explain_divergence(ids):
                batch = self._decoder.candidates(log_probs.to(self._decoder.device), frames, scale)
            candidates.update(zip(ids, batch, strict=True))
        return candidates

    def word_errors(self, candidates: CandidateLists, scales: Scales) -> WordCounts:
        """Count the word errors of the best candidates."""
        hypotheses = [best_candidate(group, scales).text for group in candidates.values()]
        alignments = metrics.align([self.references[utt] for utt in candidates], hypotheses)
        return sum(map(metrics.count, alignments), WordCounts())

    def calibration(self, candidates: CandidateLists, scales: Scales) -> calibration.Calibration:
        """Fit a calibration of word posteriors on the words of the best candidates."""
        posteriors: list[float] = []
        correct: list[bool] = []
        for utt, group in candidates.items():
            text, word_posteriors = best_transcript(group, scales)
            (alignment,) = metrics.align([self.references[utt]], [text])
            correct += [ref == hyp for ref, hyp in alignment if hyp is not None]
            posteriors += word_posteriors or []
        return calibration.fit(posteriors, correct)


def tune(dev: DevPosteriors, lm: LanguageModel, out: Path, digest: str) -> None:
    """Write ``out``/scales.tsv, after each scale, and ``out``/scales.json.

    Trials in an existing table with the same ``digest`` of model and options are not repeated.
    """
    scales = lm.scales if lm.scale == "auto" else [lm.scale]
    penalties = lm.word_penalties if lm.word_penalty == "auto" else [lm.word_penalty]
    head = f"# {digest}\n{HEADER}\n"
    trials = _read_trials(out / TRIALS, head)
    for scale in scales:
        if [trial.word_penalty for trial in trials if trial.language == scale] != penalties:
            candidates = dev.candidates(scale)
            trials += [
                ScaleTrial(scale, penalty, dev.word_errors(candidates, Scales(scale, penalty)))
                for penalty in penalties
            ]
            files.write_text(out / TRIALS, head + "".join(f"{trial}\n" for trial in trials))
        rates = [f"{trial.counts.wer:.2f}" for trial in trials if trial.language == scale]
        log.info("scale %g: WER %s", scale, " ".join(rates))
    best = best_trial(trials)
    candidates = dev.candidates(best.language) if any(dev.references.values()) else {}
    fitted = dev.calibration(candidates, Scales(best.language, best.word_penalty))
    files.write_json(
        out / SCALES,
        {
            "language": best.language,
            "word_penalty": best.word_penalty,
            "calibration": fitted._asdict(),
            "part": dev.subset,
            "utterances": len(dev.references),
            "wer": best.counts.wer,
        },
    )


def best_trial(trials: Sequence[ScaleTrial]) -> ScaleTrial:
    """Return the trial with the fewest word errors.

    Ties are resolved by the median scale, then by the median word penalty, which are furthest from
    worse trials.
    """
    fewest = min(trial.counts.errors for trial in trials)
    ties = [trial for trial in trials if trial.counts.errors == fewest]
    scales = sorted({trial.language for trial in ties})
    scale = scales[len(scales) // 2]
    ties = sorted((t for t in ties if t.language == scale), key=lambda t: t.word_penalty)
    return ties[len(ties) // 2]


def read_scales(folder: Path) -> Scales:
    """Return the scales that :func:`tune` wrote to ``folder``."""
    values = json.loads(files.read_text(folder / SCALES))
    fitted = calibration.Calibration(**values["calibration"])
    return Scales(values["language"], values["word_penalty"], fitted)


def _read_trials(table: Path, head: str) -> list[ScaleTrial]:
    """Return the trials of a table that begins with ``head``, [] for any other table."""
    text = files.read_text(table) if table.is_file() else ""
    if head not in text:
        return []
    return [ScaleTrial.parse(line) for line in text[len(head) :].splitlines()]
