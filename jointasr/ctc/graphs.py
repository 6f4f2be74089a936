"""Decoding graphs of k2: H (CTC topology), L (lexicon), G (n-gram model) and their composition."""

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
    """k2 Fsa; its attribute ``lm_scores`` holds the language model scores, natural logarithms"""
    lexicon: Lexicon

    def scaled(self, scale: float) -> Any:
        """Set the scores to ``scale`` times the language model scores, in place; return the FSA."""
        self.fsa.scores = scale * self.fsa.lm_scores
        return self.fsa


@lru_cache(maxsize=4)
def topology(classes: int, device: str, modified: bool = False) -> Any:
    """Return k2's CTC topology for ``classes`` units including blank.

    It has about classes ** 2 arcs. The ``modified`` one has about 4 * classes arcs, but accepts a
    label repeated without a blank as two labels.
    """
    return require_k2(device).ctc_topo(classes - 1, modified=modified, device=device)


def grammar(arpa: Path, words: Lexicon) -> Any:
    """Return G of an ARPA file, with backoff arcs labelled #0.

    Words that are not in the lexicon, such as <unk>, are removed. Raises DataError if k2 or kaldilm
    is missing.
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
    """Return L o G, determinized, without epsilons and disambiguation symbols.

    Raises DataError if no sentence is left.
    """
    k2 = require_k2()
    lexicon_fst = k2.arc_sort(k2.Fsa.from_str(lexicon.fst_text(words), num_aux_labels=1))
    lg = k2.connect(k2.compose(lexicon_fst, grammar))
    if not lg.num_arcs:
        raise DataError("no sentence of the language model can be written in the units")
    lg = k2.connect(k2.determinize(lg))
    labels = lg.labels.clone()
    labels[labels >= words.num_units] = lexicon.EPSILON
    lg.labels = labels
    lg = k2.connect(k2.remove_epsilon(lg))
    lg.aux_labels = lg.aux_labels.remove_values_eq(lexicon.EPSILON)
    return k2.arc_sort(lg)


def decoding_graph(arpa: Path, words: Lexicon, device: str, modified: bool = False) -> Graph:
    """Return H o L o G on ``device``; it is composed on the CPU."""
    k2 = require_k2(device)
    lg = lexicon_and_grammar(words, grammar(arpa, words))
    h = k2.arc_sort(topology(words.num_units, "cpu", modified))
    fsa = k2.arc_sort(k2.connect(k2.compose(h, lg, inner_labels="tokens"))).to(device)
    fsa.lm_scores = fsa.scores.clone()
    return Graph(fsa, words)


def rescorer(arpa: Path, words: Lexicon, scale: float) -> Callable[[Any], Any]:
    """Return a function that replaces the n-gram scores of word lattices by those of ``arpa``.

    Its argument is a result of :func:`jointasr.ctc.lattice.label_acceptors` for a graph that is
    ``scaled(scale)``; the model in ``arpa`` usually has a higher order.
    """
    k2 = require_k2()
    model = grammar(arpa, words)
    labels = model.labels.clone()
    labels[labels == words.backoff_id] = lexicon.EPSILON
    acceptor = k2.Fsa(model.arcs)
    acceptor.labels, acceptor.scores = labels, scale * model.scores
    acceptor = k2.arc_sort(acceptor)

    def rescore(lattice: Any) -> Any:
        lattice = k2.connect(k2.remove_epsilon(lattice))
        if lattice.num_arcs < 2:  # only the empty sentence; k2 cannot compose a single arc
            return lattice
        lattice.scores = lattice.scores - scale * lattice.lm_scores
        del lattice.lm_scores
        lattice.aux_labels = lattice.labels.clone()
        return k2.connect(k2.remove_epsilon(k2.connect(k2.compose(lattice, acceptor))))

    return rescore
