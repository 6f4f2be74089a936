"""Scales of decoding with a language model, chosen on dev: a table, a row for each pair tried."""

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from lhotse import CutSet
from torch import Tensor

from jointasr.config.decode_schema import LanguageModel
from jointasr.decoding import decode
from jointasr.decoding.decoder import Candidate, Decoder, Scales, best, ranked
from jointasr.models import failures
from jointasr.scoring import calibration, metrics
from jointasr.scoring.metrics import WordCounts
from jointasr.utils import files
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)
TABLE, CHOSEN = "scales.tsv", "scales.json"
HEADER = "scale\tword_penalty\tsub\tdel\tins\twords\twer"
Found = Mapping[str, list[Candidate]]
"""candidates by utterance"""


class ScaleTrial(NamedTuple):
    """Errors on dev at one pair of scales."""

    language: float
    word_penalty: float
    counts: WordCounts

    def __str__(self) -> str:
        c = self.counts
        values = (self.language, self.word_penalty, c.sub, c.dele, c.ins, c.ref_words)
        return "\t".join([*map(repr, values), f"{c.wer:.2f}"])

    @classmethod
    def parse(cls, line: str) -> "ScaleTrial":
        """What ``str`` wrote."""
        language, penalty, *counts, _ = line.split("\t")
        return cls(float(language), float(penalty), WordCounts(*map(int, counts)))


class DevCandidates:
    """What a model hears of the improvised part of dev, or of all where none is improvised.

    Scripted sentences recur in training: by them a model of its text would seem worth more.
    """

    def __init__(self, decoder: Decoder, cuts: CutSet) -> None:
        cuts = cuts.filter(lambda cut: cut.supervisions[0].text is not None).to_eager()
        free = [cut for cut in cuts if (cut.supervisions[0].custom or {}).get("style") == FREE]
        if not any(cut.supervisions[0].text for cut in free):
            free = []
        self.part = FREE if free else "all"
        self.references = {cut.id: str(cut.supervisions[0].text) for cut in free or cuts}
        lm = decoder.conf.lm
        if not any(self.references.values()) and "auto" in (lm.scale, lm.word_penalty):
            raise DataError(
                "dev has no words to choose scales by: set lm.scale and lm.word_penalty"
            )
        self._decoder = decoder
        self._heard: list[tuple[list[str], Tensor, Tensor]] = []
        with torch.no_grad():
            for ids, _, output in decode.outputs(decoder, CutSet.from_cuts(free or cuts)):
                assert output.log_probs is not None
                self._heard.append((ids, output.log_probs.cpu(), output.frames))
        log.info("%d utterances of dev (%s)", len(self.references), self.part)

    def candidates(self, scale: float) -> Found:
        """Candidates found with the language model weighed by ``scale``."""
        found: dict[str, list[Candidate]] = {}
        for ids, log_probs, frames in self._heard:
            with failures.explain_divergence(ids):
                some = self._decoder.candidates(log_probs.to(self._decoder.device), frames, scale)
            found.update(zip(ids, some, strict=True))
        return found

    def errors(self, found: Found, scales: Scales) -> WordCounts:
        """Word errors of the best candidates."""
        hypotheses = [best(some, scales).text for some in found.values()]
        each = metrics.align([self.references[name] for name in found], hypotheses)
        return sum(map(metrics.count, each), WordCounts())

    def calibration(self, found: Found, scales: Scales) -> calibration.Calibration:
        """Fitted on the words of the best candidates."""
        posteriors: list[float] = []
        right: list[bool] = []
        for name, some in found.items():
            text, values = ranked(some, scales)
            (alignment,) = metrics.align([self.references[name]], [text])
            right += [ref == hyp for ref, hyp in alignment if hyp is not None]
            posteriors += values or []
        return calibration.fit(posteriors, right)


FREE = "improvised"


def tune(dev: DevCandidates, lm: LanguageModel, out: Path, origin: str) -> None:
    """Write ``out``/scales.tsv, row by row, and scales.json, what has the fewest errors.

    Rows that are there already, of the same ``origin``, are not made again.
    """
    scales = lm.scales if lm.scale == "auto" else [lm.scale]
    penalties = lm.word_penalties if lm.word_penalty == "auto" else [lm.word_penalty]
    head = f"# {origin}\n{HEADER}\n"
    rows = _rows(out / TABLE, head)
    for scale in scales:
        if [row.word_penalty for row in rows if row.language == scale] != penalties:
            found = dev.candidates(scale)
            rows += [ScaleTrial(scale, p, dev.errors(found, Scales(scale, p))) for p in penalties]
            files.write_text(out / TABLE, head + "".join(f"{row}\n" for row in rows))
        rates = [f"{row.counts.wer:.2f}" for row in rows if row.language == scale]
        log.info("scale %g: WER %s", scale, " ".join(rates))
    chosen = choose(rows)
    weights = Scales(chosen.language, chosen.word_penalty)
    known = dev.candidates(chosen.language) if any(dev.references.values()) else {}
    fitted = dev.calibration(known, weights)
    files.write_json(
        out / CHOSEN,
        {
            "language": chosen.language,
            "word_penalty": chosen.word_penalty,
            "calibration": fitted._asdict(),
            "part": dev.part,
            "utterances": len(dev.references),
            "wer": chosen.counts.wer,
        },
    )


def choose(rows: Iterable[ScaleTrial]) -> ScaleTrial:
    """The row with the fewest errors; of several the middle scale, and of its rows the middle
    penalty: it is furthest from what is worse."""
    rows = list(rows)
    fewest = min(row.counts.errors for row in rows)
    equal = [row for row in rows if row.counts.errors == fewest]
    scales = sorted({row.language for row in equal})
    scale = scales[len(scales) // 2]
    found = sorted((r for r in equal if r.language == scale), key=lambda row: row.word_penalty)
    return found[len(found) // 2]


def read(out: Path) -> Scales:
    """What ``tune`` chose."""
    found = json.loads(files.read_text(out / CHOSEN))
    fitted = calibration.Calibration(**found["calibration"])
    return Scales(found["language"], found["word_penalty"], fitted)


def _rows(table: Path, head: str) -> list[ScaleTrial]:
    """Those of a table that begins like this, else none."""
    text = files.read_text(table) if table.is_file() else ""
    return (
        [ScaleTrial.parse(line) for line in text[len(head) :].splitlines()] if head in text else []
    )
