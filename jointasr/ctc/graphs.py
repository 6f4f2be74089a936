"""Decoding graphs of k2: H, the CTC topology, o L, the lexicon, o G, the n-gram model."""

import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jointasr.ctc.loss import require_k2
from jointasr.lm import lexicon
from jointasr.lm.lexicon import Lexicon
from jointasr.lm.ngram import BEGIN, END
from jointasr.utils.errors import DataError


class Graph(NamedTuple):
    """A decoding graph whose output labels are words."""

    fsa: Any
    """attribute ``lm_scores``: the language model's, natural logarithms"""
    lexicon: Lexicon

    def scaled(self, scale: float) -> Any:
        """The graph with language scores times ``scale`` (in place)."""
        self.fsa.scores = scale * self.fsa.lm_scores
        return self.fsa


@lru_cache(maxsize=4)
def topology(classes: int, device: str, modified: bool = False) -> Any:
    """k2's CTC topology of ``classes`` units, blank included: about classes ** 2 arcs; modified: 4
    times classes, but a label doubled without blank is accepted as two."""
    return require_k2(device).ctc_topo(classes - 1, modified=modified, device=device)


def grammar(arpa: Path, words: Lexicon) -> Any:
    """G of an ARPA file, backing off by #0.

    Words of the file that the lexicon has not, <unk> among them, are left out.
    """
    k2 = require_k2()
    try:
        import kaldilm
    except ImportError as error:
        raise DataError(
            f"kaldilm cannot be loaded ({error}): utils/setup_env.sh installs it"
        ) from None
    symbols = ["<eps>", *words.words, "#0", BEGIN, END]
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as table:
        table.writelines(f"{symbol} {index}\n" for index, symbol in enumerate(symbols))
        table.flush()
        text = kaldilm.arpa2fst(
            input_arpa=str(arpa),
            disambig_symbol="#0",
            read_symbol_table=table.name,
            max_arpa_warnings=0,
        )
    return k2.arc_sort(k2.Fsa.from_openfst(text, acceptor=False))


def lexicon_and_grammar(words: Lexicon, grammar: Any) -> Any:
    """L o G, determinized, without epsilons and disambiguation symbols."""
    k2 = require_k2()
    spelling = k2.arc_sort(k2.Fsa.from_str(lexicon.transducer(words), num_aux_labels=1))
    both = k2.connect(k2.compose(spelling, grammar))
    if not both.num_arcs:
        raise DataError("no sentence of the language model can be written in the units")
    both = k2.connect(k2.determinize(both))
    labels = both.labels.clone()
    labels[labels >= words.units] = lexicon.EPSILON
    both.labels = labels
    both = k2.connect(k2.remove_epsilon(both))
    both.aux_labels = both.aux_labels.remove_values_eq(lexicon.EPSILON)
    return k2.arc_sort(both)


def decoding_graph(arpa: Path, words: Lexicon, device: str, modified: bool = False) -> Graph:
    """H o L o G on ``device``; it is made on the CPU."""
    k2 = require_k2(device)
    inner = lexicon_and_grammar(words, grammar(arpa, words))
    outer = k2.arc_sort(topology(words.units, "cpu", modified))
    fsa = k2.arc_sort(k2.connect(k2.compose(outer, inner, inner_labels="tokens"))).to(device)
    fsa.lm_scores = fsa.scores.clone()
    return Graph(fsa, words)


def rescorer(arpa: Path, words: Lexicon, scale: float) -> Callable[[Any], Any]:
    """What puts another n-gram model, usually of higher order, into lattices of words (see
    :func:`jointasr.ctc.lattice.of_labels`) in place of that of their graph, ``scaled(scale)``."""
    k2 = require_k2()
    model = grammar(arpa, words)
    labels = model.labels.clone()
    labels[labels == words.backoff] = lexicon.EPSILON
    acceptor = k2.Fsa(model.arcs)
    acceptor.labels, acceptor.scores = labels, scale * model.scores
    acceptor = k2.arc_sort(acceptor)

    def rescore(words: Any) -> Any:
        words = k2.connect(k2.remove_epsilon(words))
        if words.num_arcs < 2:  # the empty sentence alone; k2 cannot compose a single arc
            return words
        words.scores = words.scores - scale * words.lm_scores
        del words.lm_scores
        words.aux_labels = words.labels.clone()
        return k2.connect(k2.remove_epsilon(k2.connect(k2.compose(words, acceptor))))

    return rescore
