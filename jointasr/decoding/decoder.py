"""Search: from CTC log-posteriors to transcripts, by the methods of conf/decode.yaml.

greedy and one_best use the CTC posteriors only. The other methods search for candidates, score each
by its CTC log-probability, summed over all alignments, and its n-gram log-probability, and return
the best one. The posteriors of its words are computed from the scores of all candidates.
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
"""candidate transcripts of each utterance of a batch"""


class Candidate(NamedTuple):
    """A possible transcript of an utterance."""

    text: str
    acoustic: float
    """CTC log-probability (natural logarithm), summed over all alignments"""
    language: float
    """n-gram log-probability (natural logarithm), including the end of the sentence"""

    @property
    def num_words(self) -> int:
        """Number of words of the text."""
        return len(self.text.split())


class Scales(NamedTuple):
    """Weights of the scores of a candidate."""

    language: float = 1.0
    """weight of the n-gram log-probability"""
    word_penalty: float = 0.0
    """subtracted for each word"""
    calibration: Calibration = Calibration()
    """calibration of the word posteriors"""

    def score(self, candidate: Candidate) -> float:
        """Return the weighted score of a candidate."""
        lm = self.language * candidate.language if self.language else 0.0
        return candidate.acoustic + lm - self.word_penalty * candidate.num_words


UNIT_SCALES = Scales()
CPU = torch.device("cpu")


class Transcript(NamedTuple):
    """The recognized words of an utterance."""

    text: str
    word_posteriors: list[float] | None
    """probability that each word is correct, 0 to 1; None if the method does not estimate it"""


K2_ONLY = ("nbest", "hlg", "hlg_rescore")
"""methods that search lattices"""


class Decoder:
    """A decoding method with a trained model; graphs are built once for all test sets."""

    def __init__(
        self,
        model: TrainedModel,
        conf: Decode,
        device: torch.device = CPU,
        ngram_dirs: dict[int, Path] | None = None,
    ) -> None:
        """Load the n-gram models of a method.

        ``ngram_dirs``: folder of each n-gram model that the method requires, by order. Raises
        DataError if k2 or a model is missing.
        """
        self.conf, self.model, self.device = conf, model, device
        self._beams = lattice.Beams(**conf.model_dump(include=set(lattice.Beams._fields)))
        if not model.conf.has_ctc:
            return
        if conf.method in K2_ONLY and model.conf.ctc != "k2":
            raise DataError(
                f"--method {conf.method} needs k2 lattices: use --ctc k2 (wheels: "
                "https://k2-fsa.github.io/k2/cuda.html), or --method beam, which works without k2"
            )
        if conf.ranks:
            assert ngram_dirs is not None, f"{conf.method} needs n-gram models"
            self._arpa_files = {order: path / arpa.FILE_NAME for order, path in ngram_dirs.items()}
            self._ngrams = arpa.read(self._arpa_files[max(ngram_dirs)])
            first_pass = arpa.read(self._arpa_files[conf.lm.order])
            self._lexicon = lexicon.build(first_pass.words, model.units)
            self._graph: graphs.Graph | None = None
            self._search: tuple[float, Callable[[Tensor, Tensor], Texts]] | None = None

    def transcribe(
        self, log_probs: Tensor, frames: Tensor, scales: Scales = UNIT_SCALES
    ) -> list[Transcript]:
        """Return the transcripts of log-posteriors (N, T, C), of which ``frames`` (N,) are valid.

        Raises FloatingPointError naming the rows whose posteriors are not finite.
        """
        if not self.conf.ranks:
            return [Transcript(text, None) for text in self._ctc_search(log_probs, frames)]
        candidates = self.candidates(log_probs, frames, scales.language)
        return [best_transcript(row, scales) for row in candidates]

    def candidates(self, log_probs: Tensor, frames: Tensor, scale: float) -> list[list[Candidate]]:
        """Return the candidates of each utterance, found with language model weight ``scale``.

        If the search finds no sequence of words, the only candidate is the greedy transcript.
        """
        if self._search is None or self._search[0] != scale:
            self._search = scale, self._make_search(scale)
        texts = self._search[1](log_probs, frames)
        for row, candidates in enumerate(texts):
            if not candidates:
                (ids,) = search.greedy(log_probs[row : row + 1], frames[row : row + 1])
                texts[row] = [self.model.units.decode(ids)]
        rows = zip(texts, log_probs, frames, strict=True)
        return [self._score(candidates, row, n) for candidates, row, n in rows]

    def _score(self, texts: Sequence[str], log_probs: Tensor, frames: Tensor) -> list[Candidate]:
        """Score candidates of one utterance with log-posteriors (T, C)."""
        units = [self.model.units.encode(text) for text in texts]
        log_probs, frames = log_probs.expand(len(texts), -1, -1), frames.expand(len(texts))
        losses = ctc_loss(log_probs, frames, units, self.model.conf.ctc).tolist()
        language = [self._ngrams.log_prob(text.split()) for text in texts]
        triples = zip(texts, losses, language, strict=True)
        return [Candidate(text, -loss, score) for text, loss, score in triples]

    def _ctc_search(self, log_probs: Tensor, frames: Tensor) -> list[str]:
        """Return the transcripts of a search without a language model."""
        if self.conf.method == "greedy":
            hypotheses = search.greedy(log_probs, frames)
        else:
            hypotheses = search.one_best(log_probs, frames, self.model.conf.ctc, self._beams)
        return [self.model.units.decode(ids) for ids in hypotheses]

    def _make_search(self, scale: float) -> Callable[[Tensor, Tensor], Texts]:
        """Return the search for candidates with language model weight ``scale``."""
        words, conf = self._lexicon, self.conf
        options = (conf.paths, self._beams, conf.lattice_prune)
        if conf.method == "beam":
            beam_search = prefix_beam.WordSearch(words, self._ngrams, scale, conf.lm.beam_size)
            return lambda log_probs, frames: [
                [words.text(ids) for ids, _ in hypotheses[: conf.paths]]
                for hypotheses in beam_search(log_probs, frames)
            ]
        if conf.method == "nbest":
            graph = graphs.topology(words.num_units, str(self.device), conf.modified_topology)
            units = self.model.units
            return lambda log_probs, frames: [
                list(dict.fromkeys(map(units.decode, hypotheses)))
                for hypotheses in lattice.n_best(graph, log_probs, frames, *options)
            ]
        if self._graph is None:
            arpa_file = self._arpa_files[conf.lm.order]
            self._graph = graphs.decoding_graph(
                arpa_file, words, str(self.device), conf.modified_topology
            )
        hlg = self._graph.scaled(scale)
        rescoring_lm = None
        if conf.method == "hlg_rescore":
            rescoring_lm = graphs.rescorer(self._arpa_files[conf.lm.rescore_order], words, scale)
        return lambda log_probs, frames: [
            [words.text(ids) for ids in hypotheses]
            for hypotheses in lattice.n_best(hlg, log_probs, frames, *options, rescoring_lm)
        ]


def best_candidate(candidates: Sequence[Candidate], scales: Scales) -> Candidate:
    """Return the candidate with the highest score; the first of several."""
    return max(candidates, key=scales.score)


def best_transcript(candidates: Sequence[Candidate], scales: Scales) -> Transcript:
    """Return the best candidate with the posteriors of its words, estimated from all candidates."""
    text = best_candidate(candidates, scales).text
    weights = nbest.posteriors([scales.score(candidate) for candidate in candidates])
    raw = nbest.word_posteriors(text, [candidate.text for candidate in candidates], weights)
    return Transcript(text, [scales.calibration(value) for value in raw])
