"""From log-posteriors to transcripts by the methods of conf/decode.yaml.

greedy and one_best choose units by the acoustics alone. The others make a list of candidates, give
each the logarithm of its probability by CTC, all alignments summed, and by the n-gram model, and
rank them; the ranking's weights also say how certain each word is.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from jointasr.config.decode_schema import Decode
from jointasr.ctc import graphs, lattice, nbest, prefix_beam, search
from jointasr.ctc.loss import ctc_loss
from jointasr.lm import arpa, lexicon
from jointasr.models.checkpoint import TrainedModel
from jointasr.scoring.calibration import Calibration
from jointasr.utils.errors import DataError

Texts = list[list[str]]
"""candidates of each utterance of a batch"""


class Candidate(NamedTuple):
    """A possible transcript of an utterance."""

    text: str
    acoustic: float
    """natural logarithm of its probability by CTC"""
    language: float
    """and by the n-gram model, its end included"""

    @property
    def words(self) -> int:
        return len(self.text.split())


class Scales(NamedTuple):
    """How acoustic and language scores are weighed against each other."""

    language: float = 1.0
    word_penalty: float = 0.0
    """taken off for each word"""
    calibration: Calibration = Calibration()
    """of word posteriors"""

    def total(self, candidate: Candidate) -> float:
        """Score that candidates are ranked by."""
        lm = self.language * candidate.language if self.language else 0.0
        return candidate.acoustic + lm - self.word_penalty * candidate.words


EQUAL = Scales()
CPU = torch.device("cpu")


class Transcript(NamedTuple):
    """What an utterance is taken to say."""

    text: str
    posteriors: list[float] | None
    """of each word to be right, 0 to 1; None where the method does not know"""


class Decoder:
    """One method for one model; made once for all test sets.

    ``models``: folder of the n-gram model of each order that the method needs. Raises DataError
    where a library or a model is missing.
    """

    def __init__(
        self,
        model: TrainedModel,
        conf: Decode,
        device: torch.device = CPU,
        models: dict[int, Path] | None = None,
    ) -> None:
        self.conf, self.model, self.device = conf, model, device
        self._beams = lattice.Beams(**conf.model_dump(include=set(lattice.Beams._fields)))
        if not model.conf.has_ctc:
            return
        if conf.method in K2_ONLY and model.conf.ctc != "k2":
            raise DataError(
                f"--method {conf.method} searches lattices of k2: decode with --ctc k2 (wheels: "
                "https://k2-fsa.github.io/k2/cuda.html), or with --method beam, which needs none"
            )
        if conf.ranks:
            assert models is not None, f"{conf.method} needs n-gram models"
            self._paths = {order: path / arpa.FILE_NAME for order, path in models.items()}
            self._ngrams = arpa.read(self._paths[max(models)])
            first = arpa.read(self._paths[conf.lm.order])
            self._lexicon = lexicon.build(first.words, model.units)
            self._graph: graphs.Graph | None = None
            self._search: tuple[float, Callable[[Tensor, Tensor], Texts]] | None = None

    def transcripts(
        self, log_probs: Tensor, frames: Tensor, scales: Scales = EQUAL
    ) -> list[Transcript]:
        """Of posteriors (N, T, C) with ``frames`` (N,) valid ones."""
        if not self.conf.ranks:
            return [Transcript(text, None) for text in self._simple(log_probs, frames)]
        each = self.candidates(log_probs, frames, scales.language)
        return [ranked(candidates, scales) for candidates in each]

    def candidates(self, log_probs: Tensor, frames: Tensor, scale: float) -> list[list[Candidate]]:
        """Candidates of each utterance, found with the language model weighed by ``scale``."""
        if self._search is None or self._search[0] != scale:
            self._search = scale, self._searcher(scale)
        texts = self._search[1](log_probs, frames)
        # a search through words that finds no sentence leaves what the acoustics say
        lost = [row for row, some in enumerate(texts) if not some]
        for row in lost:
            (text,) = search.greedy(log_probs[row : row + 1], frames[row : row + 1])
            texts[row] = [self.model.units.decode(text)]
        rows = zip(texts, log_probs, frames, strict=True)
        return [self._scored(some, row, n) for some, row, n in rows]

    def _scored(self, texts: Sequence[str], log_probs: Tensor, frames: Tensor) -> list[Candidate]:
        many = len(texts)
        units = [self.model.units.encode(text) for text in texts]
        log_probs, frames = log_probs.expand(many, -1, -1), frames.expand(many)
        losses = ctc_loss(log_probs, frames, units, self.model.conf.ctc).tolist()
        language = [self._ngrams.log_prob(text.split()) for text in texts]
        triples = zip(texts, losses, language, strict=True)
        return [Candidate(text, -loss, score) for text, loss, score in triples]

    def _simple(self, log_probs: Tensor, frames: Tensor) -> list[str]:
        if self.conf.method == "greedy":
            found = search.greedy(log_probs, frames)
        else:
            found = search.one_best(log_probs, frames, self.model.conf.ctc, self._beams)
        return [self.model.units.decode(ids) for ids in found]

    def _searcher(self, scale: float) -> Callable[[Tensor, Tensor], Texts]:
        """The search for candidates at one scale of the language model."""
        words, conf = self._lexicon, self.conf
        listed = (conf.paths, self._beams, conf.lattice_prune)
        if conf.method == "beam":
            width = conf.lm.beam_size
            by_beam = prefix_beam.WordSearch(words, self._ngrams, scale, width)
            return lambda log_probs, frames: [
                [words.text(ids) for ids, _ in found[: conf.paths]]
                for found in by_beam(log_probs, frames)
            ]
        if conf.method == "nbest":
            graph = graphs.topology(words.num_units, str(self.device), conf.modified_topology)
            units = self.model.units
            return lambda log_probs, frames: [
                list(dict.fromkeys(map(units.decode, found)))
                for found in lattice.n_best(graph, log_probs, frames, *listed)
            ]
        if self._graph is None:
            path = self._paths[conf.lm.order]
            modified = conf.modified_topology
            self._graph = graphs.decoding_graph(path, words, str(self.device), modified)
        hlg = self._graph.scaled(scale)
        larger = None
        if conf.method == "hlg_rescore":
            larger = graphs.rescorer(self._paths[conf.lm.rescore_order], words, scale)
        return lambda log_probs, frames: [
            [words.text(ids) for ids in found]
            for found in lattice.n_best(hlg, log_probs, frames, *listed, larger)
        ]


K2_ONLY = ("nbest", "hlg", "hlg_rescore")


def best(candidates: Sequence[Candidate], scales: Scales) -> Candidate:
    """The candidate of the highest score, the first of several."""
    return max(candidates, key=scales.total)


def ranked(candidates: Sequence[Candidate], scales: Scales) -> Transcript:
    """The best candidate, its words' posteriors from all of them."""
    text = best(candidates, scales).text
    weights = nbest.posteriors([scales.total(candidate) for candidate in candidates])
    raw = nbest.word_posteriors(text, [candidate.text for candidate in candidates], weights)
    return Transcript(text, [scales.calibration(value) for value in raw])
