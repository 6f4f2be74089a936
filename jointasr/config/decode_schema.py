"""``conf/decode.yaml``: keys, types, defaults and meaning."""

from typing import Annotated, Literal

from pydantic import Field

from jointasr.config.fields import Fraction, Positive, Section

Method = Literal["one_best", "greedy", "nbest", "hlg", "hlg_rescore", "beam"]


class LanguageModel(Section):
    """Word n-gram models, which are estimated from the training text of each fold."""

    order: Annotated[int, Field(ge=1, le=9)] = 3
    """order of the model used in search"""
    rescore_order: Annotated[int, Field(ge=1, le=9)] = 4
    """order of the model used by hlg_rescore to rescore the lattice"""
    text: list[str] = []
    """additional text files, one sentence per line"""
    scale: Literal["auto"] | Positive = "auto"
    """weight of the model's log-probabilities; auto: the value in ``scales`` with the lowest WER
    on the dev set"""
    scales: Annotated[list[Positive], Field(min_length=1)] = [0.2, 0.4, 0.6, 0.8, 1.0, 1.4]
    word_penalty: Literal["auto"] | float = "auto"
    """subtracted from the score for each word; auto: the value in ``word_penalties`` with the
    lowest WER on the dev set"""
    word_penalties: Annotated[list[float], Field(min_length=1)] = [-1.0, -0.5, 0.0, 0.5, 1.0]
    beam_size: Annotated[int, Field(gt=0)] = 100
    """beam size of method beam"""


class Decode(Section):
    """Options of decoding."""

    method: Method = "one_best"
    """greedy: best unit of each frame; one_best: shortest path through the lattice on the CTC
    topology (engine torch: prefix-beam search); nbest: the best ``paths`` of that lattice ranked
    with an n-gram model; hlg: the same with the lattice on H o L o G; hlg_rescore: hlg with the
    lattice rescored by a larger n-gram model; beam: prefix-beam search with lexicon and n-gram
    model, without k2"""
    search_beam: Positive = 20.0
    """beam of the search; this and the next three are parameters of k2.intersect_dense_pruned"""
    output_beam: Positive = 8.0
    """beam of the output lattice; paths that score lower than the best by more are removed"""
    min_active_states: Annotated[int, Field(gt=0)] = 30
    """minimum number of states per frame"""
    max_active_states: Annotated[int, Field(gt=0)] = 10000
    """maximum number of states per frame"""
    lattice_prune: Fraction = 1e-3
    """arcs with a smaller posterior are removed from the lattice before paths are listed"""
    modified_topology: bool = False
    """nbest, hlg, hlg_rescore: use k2's smaller H, in which a repeated label without a blank in
    between counts as two labels"""
    paths: Annotated[int, Field(gt=0)] = 50
    """number of candidates to rank: length of the n-best list"""
    lm: LanguageModel = LanguageModel()
    max_duration: Positive = 100.0
    """seconds of audio in a batch, including padding"""

    @property
    def ranks(self) -> bool:
        """Whether the method ranks candidates with an n-gram model."""
        return self.method not in ("greedy", "one_best")

    def options(self) -> dict[str, object]:
        """Return the keys that can change the result of the method, with their values."""
        unused = {"max_duration"}
        if not self.ranks:
            unused |= {"lattice_prune", "modified_topology", "paths", "lm"}
        return self.model_dump(exclude=unused)

    @property
    def orders(self) -> list[int]:
        """Orders of the n-gram models needed."""
        if not self.ranks:
            return []
        return [self.lm.order, *([self.lm.rescore_order] if self.method == "hlg_rescore" else [])]
