"""Prefix-beam search by flashlight-text, without k2; with a lexicon and n-grams if wanted."""

import math
from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from jointasr.ctc.loss import BLANK, check_finite, frame_counts
from jointasr.lm.lexicon import Lexicon
from jointasr.lm.ngram import BEGIN, END, NgramModel
from jointasr.utils.errors import DataError

WIDTH = 16  # prefixes kept without a lexicon
NEAR = 10.0  # how far a prefix may be below the best, without a lexicon
TIE = 4e-6  # share by which equal scores are told apart, else by where they are in memory
ABSENT = -1  # what flashlight takes for "no such token" or word
NOWHERE = -1e4  # log-posterior of what must not be
Found = list[tuple[list[int], float]]
"""sequences of labels, best first, with their scores"""


def require_flashlight() -> ModuleType:
    """The decoder's module. Raises DataError, with the remedy, where it is missing."""
    try:
        from flashlight.lib.text import decoder
    except ImportError as error:
        raise DataError(
            f"flashlight-text cannot be loaded ({error}): it has wheels for Python 3.10 to 3.12, "
            "and utils/setup_env.sh installs it; or decode with --method greedy, or with k2"
        ) from None
    return decoder


def units(log_probs: Tensor, frames: Tensor, width: int = WIDTH, near: float = NEAR) -> list[Found]:
    """Sequences of units (Hannun et al. 2014, without language model) of each row, the scores the
    log-probabilities of all their alignments in the beam.

    Keeps ``width`` prefixes per frame and those within ``near`` of the best.
    """
    decoder = require_flashlight()
    options = decoder.LexiconFreeDecoderOptions(
        beam_size=width,
        beam_size_token=log_probs.shape[2],
        beam_threshold=min(near, 1e30),
        lm_weight=0.0,
        sil_score=0.0,
        log_add=True,
        criterion_type=decoder.CriterionType.CTC,
    )
    search = decoder.LexiconFreeDecoder(options, decoder.ZeroLM(), ABSENT, BLANK, [])
    found = []
    for row in _rows(log_probs, frames):
        results = _decode(search, row)
        found.append(_merged((_collapse(result.tokens), result.score) for result in results))
    return found


class Words:
    """Search for words of a lexicon under an n-gram model; of use for many batches.

    Scores are flashlight's, which lets a label doubled without blank pass for two and separators
    be anywhere between words: rank what is found by :func:`jointasr.ctc.loss.ctc_loss`.

    A label can be held for several frames only within a word, and between words flashlight always
    reads a silence. So each word ends in the separator, which is that silence; where there is none
    a word may end in its last label twice, and the silence is a column that nothing goes through.
    """

    def __init__(
        self, lexicon: Lexicon, model: NgramModel, scale: float, width: int, near: float = 50.0
    ) -> None:
        decoder = require_flashlight()
        self._lexicon = lexicon
        self._trie = decoder.Trie(lexicon.units + 1, BLANK)
        for index, word in enumerate(lexicon.words):
            ids = lexicon.spellings[word]
            if lexicon.separator is not None:
                self._trie.insert([*ids, lexicon.separator], index, 0.0)
            else:
                self._trie.insert([*ids], index, 0.0)
                self._trie.insert([*ids, ids[-1]], index, 0.0)
        silence = lexicon.units if lexicon.separator is None else lexicon.separator
        self._trie.smear(decoder.SmearingMode.NONE)
        options = decoder.LexiconDecoderOptions(
            beam_size=width,
            beam_size_token=lexicon.units + 1,
            beam_threshold=near,
            lm_weight=scale,
            word_score=0.0,
            unk_score=-math.inf,
            sil_score=0.0,
            log_add=True,
            criterion_type=decoder.CriterionType.CTC,
        )
        self._model = _language_model(decoder, lexicon, model)  # the decoder does not own it
        self._search = decoder.LexiconDecoder(
            options, self._trie, self._model, silence, BLANK, ABSENT, [], False
        )

    def __call__(self, log_probs: Tensor, frames: Tensor) -> list[Found]:
        """Sequences of word ids (from 1) of each row."""
        found = []
        for row in _rows(log_probs, frames):
            if self._lexicon.separator is not None and len(row):
                last = torch.full((1, row.shape[1]), NOWHERE)  # behind the last word one is free
                last[0, [BLANK, self._lexicon.separator]] = 0.0
                row = torch.cat([row, last])
            row = torch.cat([row, torch.full((len(row), 1), NOWHERE)], dim=1)
            results = _decode(self._search, row)
            words = (([w + 1 for w in r.words if w >= 0], r.score) for r in results)
            found.append(_merged(words))
        return found


def _language_model(decoder: ModuleType, lexicon: Lexicon, model: NgramModel) -> Any:
    """Our n-gram model as flashlight asks for it: a state for each history."""

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
            after = state.child(word)
            line = (*history, text)
            self.histories.setdefault(after, line[max(0, len(line) - model.order + 1) :])
            return after, self.log_prob(history, text)

        def finish(self, state: Any) -> tuple[Any, float]:
            return state, self.log_prob(self.histories[state], END)

        def log_prob(self, history: tuple[str, ...], word: str) -> float:
            key = (history, word)
            if key not in self.scores:
                self.scores[key] = math.log(model.prob(word, history))
            return self.scores[key]

    return NGrams()


def _rows(log_probs: Tensor, frames: Tensor) -> list[Tensor]:
    lengths = frame_counts(log_probs, frames)
    check_finite(log_probs, lengths)
    scores = log_probs.detach().float().cpu()
    places = torch.arange(scores.shape[1] * scores.shape[2], dtype=torch.float64)
    golden = (places * (5**0.5 - 1) / 2) % 1 - 0.5  # no pattern, the same for every row
    # by frames from each row's start, so that its neighbours do not matter
    scores = (scores.double() * (1 + TIE * golden).view(scores.shape[1:])).float()
    return [row[:n] for row, n in zip(scores, lengths, strict=True)]


def _decode(search: Any, row: Tensor) -> Any:
    row = row.contiguous()
    return search.decode(row.data_ptr(), *row.shape)


def _merged(found: Any) -> Found:
    """The same labels once, their probabilities summed."""
    totals: dict[tuple[int, ...], float] = {}
    for labels, score in found:
        key = tuple(labels)
        old = totals.get(key, -math.inf)
        high, low = max(old, score), min(old, score)
        totals[key] = high + math.log1p(math.exp(low - high)) if high > -math.inf else high
    ranked = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return [(list(labels), score) for labels, score in ranked]


def _collapse(tokens: Sequence[int]) -> list[int]:
    """Labels of flashlight's path, which has a place more at either end."""
    path = [BLANK, *tokens[1:-1]]
    return [unit for before, unit in pairwise(path) if unit not in (BLANK, before)]
