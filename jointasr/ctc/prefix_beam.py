"""Prefix beam search by flashlight-text: over units, or over words with an n-gram model."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from jointasr.ctc.loss import BLANK, check_finite, frame_counts
from jointasr.lm.lexicon import Lexicon
from jointasr.lm.ngram import BEGIN, END, NgramModel
from jointasr.utils.errors import DataError

BEAM_SIZE = 16
"""prefixes per frame in a search over units"""
BEAM_THRESHOLD = 10.0
"""maximum difference of a prefix's score from the best one in a search over units"""
WORD_BEAM_THRESHOLD = 50.0
"""the same in a search over words"""
TIE_BREAKING = 4e-6
"""relative perturbation of scores; flashlight orders equal scores by their addresses in memory"""
NO_TOKEN = -1
"""flashlight's index of a missing token or word"""
LOG_ZERO = -1e4
"""log posterior of impossible labels"""
Hypotheses = list[tuple[list[int], float]]
"""label sequences with their scores, best first"""


def require_flashlight() -> ModuleType:
    """Return flashlight's decoder module. Raises DataError with a remedy if it is missing."""
    try:
        from flashlight.lib.text import decoder
    except ImportError as error:
        raise DataError(
            f"flashlight-text cannot be loaded ({error}): it has wheels for Python 3.10 to 3.12, "
            "and utils/setup_env.sh installs it; or decode with --method greedy, or with k2"
        ) from None
    return decoder


def search_units(
    log_probs: Tensor,
    frames: Tensor,
    beam_size: int = BEAM_SIZE,
    beam_threshold: float = BEAM_THRESHOLD,
) -> list[Hypotheses]:
    """Search each row of log posteriors (N, T, C), frames (N,), for its best unit sequences.

    Prefix beam search without a language model (Hannun et al., "First-pass large vocabulary
    continuous speech recognition using bi-directional recurrent DNNs", 2014). A score is the
    log-probability of all alignments in the beam. Each frame keeps ``beam_size`` prefixes, those
    within ``beam_threshold`` of the best.
    """
    decoder = require_flashlight()
    options = decoder.LexiconFreeDecoderOptions(
        beam_size=beam_size,
        beam_size_token=log_probs.shape[2],
        beam_threshold=min(beam_threshold, 1e30),
        lm_weight=0.0,
        sil_score=0.0,
        log_add=True,
        criterion_type=decoder.CriterionType.CTC,
    )
    search = decoder.LexiconFreeDecoder(options, decoder.ZeroLM(), NO_TOKEN, BLANK, [])
    hypotheses = []
    for scores in _split_rows(log_probs, frames):
        results = _decode(search, scores)
        hypotheses.append(_merge((_collapse(result.tokens), result.score) for result in results))
    return hypotheses


class WordSearch:
    """Prefix beam search for words of a lexicon with an n-gram model.

    The scores are those of flashlight, which accepts a label repeated without a blank as two labels
    and separators anywhere between words. Rank the hypotheses by the scores of
    :func:`jointasr.ctc.loss.ctc_loss` and the n-gram model.

    Flashlight lets a label last several frames only within a word and requires a silence between
    words. Therefore each word ends in the separator, which is the silence. Without a separator each
    word has a second spelling that repeats its last label, and the silence is an additional label
    with probability zero.
    """

    def __init__(
        self,
        lexicon: Lexicon,
        model: NgramModel,
        scale: float,
        beam_size: int,
        beam_threshold: float = WORD_BEAM_THRESHOLD,
    ) -> None:
        """``scale``: weight of the n-gram model."""
        decoder = require_flashlight()
        self._lexicon = lexicon
        self._trie = decoder.Trie(lexicon.num_units + 1, BLANK)
        for index, word in enumerate(lexicon.words):
            ids = lexicon.spellings[word]
            if lexicon.separator is not None:
                self._trie.insert([*ids, lexicon.separator], index, 0.0)
            else:
                self._trie.insert([*ids], index, 0.0)
                self._trie.insert([*ids, ids[-1]], index, 0.0)
        silence = lexicon.num_units if lexicon.separator is None else lexicon.separator
        self._trie.smear(decoder.SmearingMode.NONE)
        options = decoder.LexiconDecoderOptions(
            beam_size=beam_size,
            beam_size_token=lexicon.num_units + 1,
            beam_threshold=beam_threshold,
            lm_weight=scale,
            word_score=0.0,
            unk_score=-math.inf,
            sil_score=0.0,
            log_add=True,
            criterion_type=decoder.CriterionType.CTC,
        )
        self._model = _language_model(decoder, lexicon, model)  # not owned by the decoder
        self._search = decoder.LexiconDecoder(
            options, self._trie, self._model, silence, BLANK, NO_TOKEN, [], False
        )

    def __call__(self, log_probs: Tensor, frames: Tensor) -> list[Hypotheses]:
        """Search each row of log posteriors (N, T, C), frames (N,), for sequences of word ids (1 is
        the first word)."""
        hypotheses = []
        for scores in _split_rows(log_probs, frames):
            if self._lexicon.separator is not None and len(scores):
                last = torch.full((1, scores.shape[1]), LOG_ZERO)  # for the last word's separator
                last[0, [BLANK, self._lexicon.separator]] = 0.0
                scores = torch.cat([scores, last])
            scores = torch.cat([scores, torch.full((len(scores), 1), LOG_ZERO)], dim=1)
            results = _decode(self._search, scores)
            words = (([w + 1 for w in r.words if w >= 0], r.score) for r in results)
            hypotheses.append(_merge(words))
        return hypotheses


def _language_model(decoder: ModuleType, lexicon: Lexicon, model: NgramModel) -> Any:
    """Return an n-gram model as a flashlight LM, with a state for each history."""

    class NGrams(decoder.LM):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.histories: dict[Any, tuple[str, ...]] = {}
            self.scores: dict[tuple[tuple[str, ...], str], float] = {}

        def start(self, start_with_nothing: bool) -> Any:
            state = decoder.LMState()
            self.histories = {state: (BEGIN,)}
            return state

        def score(self, state: Any, word: int) -> tuple[Any, float]:
            history, text = self.histories[state], lexicon.words[word]
            next_state = state.child(word)
            line = (*history, text)
            self.histories.setdefault(next_state, line[max(0, len(line) - model.order + 1) :])
            return next_state, self.log_prob(history, text)

        def finish(self, state: Any) -> tuple[Any, float]:
            return state, self.log_prob(self.histories[state], END)

        def log_prob(self, history: tuple[str, ...], word: str) -> float:
            key = (history, word)
            if key not in self.scores:
                self.scores[key] = math.log(model.prob(word, history))
            return self.scores[key]

    return NGrams()


def _split_rows(log_probs: Tensor, frames: Tensor) -> list[Tensor]:
    """Return the log posteriors (frames, C) of each row on the CPU, perturbed so that no two are
    equal."""
    lengths = frame_counts(log_probs, frames)
    check_finite(log_probs, lengths)
    scores = log_probs.detach().float().cpu()
    indices = torch.arange(scores.shape[1] * scores.shape[2], dtype=torch.float64)
    # multiples of the golden ratio, equal for every row: independent of the batch
    golden = (indices * (5**0.5 - 1) / 2) % 1 - 0.5
    scores = (scores.double() * (1 + TIE_BREAKING * golden).view(scores.shape[1:])).float()
    return [row[:n] for row, n in zip(scores, lengths, strict=True)]


def _decode(search: Any, scores: Tensor) -> Any:
    scores = scores.contiguous()
    return search.decode(scores.data_ptr(), *scores.shape)


def _merge(hypotheses: Iterable[tuple[Sequence[int], float]]) -> Hypotheses:
    """Merge hypotheses with the same labels, sum their probabilities, sort them."""
    totals: dict[tuple[int, ...], float] = {}
    for labels, score in hypotheses:
        key = tuple(labels)
        old = totals.get(key, -math.inf)
        high, low = max(old, score), min(old, score)
        totals[key] = high + math.log1p(math.exp(low - high)) if high > -math.inf else high
    ranked = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return [(list(labels), score) for labels, score in ranked]


def _collapse(tokens: Sequence[int]) -> list[int]:
    """Return the labels of flashlight's path, which has an extra token at either end."""
    path = [BLANK, *tokens[1:-1]]
    return [label for previous, label in pairwise(path) if label not in (BLANK, previous)]
