"""Search with a lexicon and n-grams against enumeration of all sentences and alignments."""

import math
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from jointasr.ctc import graphs, lattice, nbest, prefix_beam
from jointasr.ctc.loss import ctc_loss
from jointasr.ctc.search import collapse_path
from jointasr.lm import arpa, lexicon, ngram
from jointasr.lm.lexicon import Lexicon
from jointasr.text.lang import Units

pytestmark = pytest.mark.stack

needs_k2 = pytest.mark.skipif(find_spec("k2") is None, reason="lattices are k2's")
# A is a prefix of AB, AB of ABA; units: A = 1, B = 2, C = 3, | = 4
WORDS = {"A": [1], "AB": [1, 2], "ABA": [1, 2, 1], "CC": [3, 3], "B": [2]}
TEXT = ["A AB CC", "AB A", "A", "CC A ABA", "B CC", "AB AB A", "ABA B"]
WIDE = lattice.Beams(200.0, 200.0, 0, 1_000_000)


def toy_lexicon(separator: int | None) -> Lexicon:
    return Lexicon(list(WORDS), dict(WORDS), separator, 5)


def toy_model(tmp_path: Path, order: int = 2) -> tuple[ngram.NgramModel, Path]:
    model, path = ngram.estimate([line.split() for line in TEXT], order), tmp_path / f"{order}.arpa"
    arpa.write(path, model)
    return model, path


def posteriors(n: int, t: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    scores = (1.5 * torch.randn(n, t, 5, generator=generator)).log_softmax(2)
    return scores, torch.randint(1, t + 1, (n,), generator=generator)


def sentences(longest: int) -> Iterator[list[str]]:
    for length in range(longest + 1):
        yield from (list(words) for words in product(WORDS, repeat=length))


def spelled(words: list[str], separator: int | None) -> tuple[int, ...]:
    between = [] if separator is None else [separator]
    units = [unit for word in words for unit in [*between, *WORDS[word]]]
    return tuple(units[len(between) :])


def best_by_graph(model: ngram.NgramModel, words: list[str]) -> float:
    """Return the highest log-probability of a sentence in a graph with backoff arcs, which may also
    be taken where the n-gram exists."""

    def best(word: str, history: tuple[str, ...]) -> float:
        gram = (*history, word)
        direct = math.log(model.probs[len(history)].get(gram, 0) or 1e-300)
        if not history:
            return direct
        return max(direct, math.log(model.backoffs.get(history, 1.0)) + best(word, history[1:]))

    line = ("<s>", *words, "</s>")
    order = model.order
    return sum(best(line[i], line[max(0, i - order + 1) : i]) for i in range(1, len(line)))


def every_path(scores: Tensor) -> dict[tuple[int, ...], float]:
    """Return label sequences with the scores of their best alignments, by enumeration."""
    found: dict[tuple[int, ...], float] = {}
    rows = scores.double().tolist()
    for path in product(range(5), repeat=len(rows)):
        units = tuple(collapse_path(path))
        total = sum(row[unit] for row, unit in zip(rows, path, strict=True))
        found[units] = max(total, found.get(units, -math.inf))
    return found


def exhaustive(
    scores: Tensor, model: ngram.NgramModel, separator: int | None, scale: float
) -> list[tuple[float, list[str]]]:
    """Return all sentences that fit the frames, with their scores, best first."""
    alignments = every_path(scores)
    results = [
        (alignments[units] + scale * best_by_graph(model, words), words)
        for words in sentences(len(scores))
        if (units := spelled(words, separator)) in alignments
    ]
    return sorted(results, reverse=True)


@needs_k2
@pytest.mark.parametrize("separator", [None, 4], ids=["pieces", "characters"])
@pytest.mark.parametrize("scale", [0.3, 1.0])
def test_hlg_is_exhaustive_search(tmp_path: Path, separator: int | None, scale: float) -> None:
    """The n best sentences in order, with their scores."""
    model, path = toy_model(tmp_path)
    graph = graphs.decoding_graph(path, toy_lexicon(separator), "cpu")
    scores, frames = posteriors(6, 5, seed=int(10 * scale))
    for rows, lattices in lattice.search_lattices(graph.scaled(scale), scores, frames, WIDE):
        labels = lattice.label_acceptors(lattices)
        acceptors = [lattice.arcs_by_state(labels[i]) for i in range(len(rows))]
        for row, acceptor in zip(rows, acceptors, strict=True):
            expected = exhaustive(scores[row, : int(frames[row])], model, separator, scale)[:8]
            best = nbest.n_best(acceptor, 8)
            texts = [" ".join(words) for _, words in expected]
            assert [toy_lexicon(separator).text(ids) for ids, _ in best] == texts
            assert [s for _, s in best] == pytest.approx([s for s, _ in expected], abs=1e-4)
    best_paths = lattice.best_paths(graph.scaled(scale), scores, frames, WIDE)
    one_best = lattice.n_best(graph.scaled(scale), scores, frames, 1, WIDE)
    assert best_paths == [list(hyps[0]) for hyps in one_best]


@needs_k2
def test_rescored_lattices_are_those_of_the_larger_model(tmp_path: Path) -> None:
    """Lattices of the bigram rescored by the trigram have the sentences of the trigram's graph."""
    scale = 0.7
    words = toy_lexicon(4)
    (_, small), (_, large) = toy_model(tmp_path, 2), toy_model(tmp_path, 3)
    scores, frames = posteriors(8, 6, seed=5)
    direct = graphs.decoding_graph(large, words, "cpu").scaled(scale)
    graph = graphs.decoding_graph(small, words, "cpu").scaled(scale)
    rescore = graphs.rescorer(large, words, scale)
    expected = lattice.n_best(direct, scores, frames, 6, WIDE)
    assert lattice.n_best(graph, scores, frames, 6, WIDE, rescore=rescore) == expected
    assert lattice.n_best(graph, scores, frames, 6, WIDE) != expected


@needs_k2
def test_n_best_units_of_the_topology(tmp_path: Path) -> None:
    scores, frames = posteriors(6, 5, seed=3)
    found = lattice.n_best(graphs.topology(5, "cpu"), scores, frames, 20, WIDE)
    for row, best in enumerate(found):
        alignments = every_path(scores[row, : int(frames[row])])
        assert best == sorted(alignments, key=lambda units: -alignments[units])[:20]


@pytest.mark.parametrize("separator", [None, 4], ids=["pieces", "characters"])
def test_beam_without_k2_finds_every_sentence(tmp_path: Path, separator: int | None) -> None:
    model, _ = toy_model(tmp_path)
    words = toy_lexicon(separator)
    scores, frames = posteriors(8, 5, seed=9)
    results = prefix_beam.WordSearch(words, model, scale=0.5, beam_size=10_000)(scores, frames)
    for row, hyps in enumerate(results):
        expected = exhaustive(scores[row, : int(frames[row])], model, separator, 0.5)
        assert {words.text(ids) for ids, _ in hyps} >= {" ".join(text) for _, text in expected}


def test_narrow_beam_keeps_the_best_sentence(tmp_path: Path) -> None:
    """Scored over all alignments, the best sentence is among those of a narrow beam."""
    model, _ = toy_model(tmp_path)
    words = toy_lexicon(4)
    scores, frames = posteriors(8, 6, seed=2)
    scores = (3 * scores).log_softmax(2)
    every = [" ".join(sentence) for sentence in sentences(4)]
    narrow = prefix_beam.WordSearch(words, model, scale=0.5, beam_size=30)(scores, frames)
    for row, hyps in enumerate(narrow):

        def total(text: str, row: int = row) -> float:
            units = spelled(text.split(), 4)
            (loss,) = ctc_loss(scores[row : row + 1], frames[row : row + 1], [units], "torch")
            return -float(loss) + 0.5 * model.log_prob(text.split())

        assert max((words.text(ids) for ids, _ in hyps), key=total) == max(every, key=total)


def test_disambiguation_symbols() -> None:
    spelled = {"A": [1], "AB": [1, 2], "AB2": [1, 2], "B": [2], "C": [3, 1]}
    assert lexicon.disambiguate(spelled, 7) == {
        "A": [1, 7],
        "AB": [1, 2, 7],
        "AB2": [1, 2, 8],
        "B": [2],
        "C": [3, 1],
    }


def test_word_posteriors_sum_over_hypotheses() -> None:
    """Hypotheses that have the same word at a position add their weights."""
    weights = nbest.posteriors([math.log(0.5), math.log(0.3), math.log(0.2)])
    assert weights == pytest.approx([0.5, 0.3, 0.2])
    found = nbest.word_posteriors("A B C", ["A B C", "A C", "X B D"], weights)
    assert found == pytest.approx([0.8, 0.7, 0.8])
    assert nbest.word_posteriors("", ["", "A"], [0.6, 0.4]) == []
    assert nbest.posteriors([-math.inf, -math.inf]) == [0.5, 0.5]


@needs_k2
@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_real_units_spell_what_the_graph_accepts(tmp_path: Path, kind: str) -> None:
    """Peaked posteriors of a sentence's units give the sentence."""
    text = ["I CAN'T SAY", "SAY I CAN", "CAN I SAY IT", "IT IS A CAT", "A CAT IS IT"] * 3
    units = Units.char() if kind == "char" else Units.train_pieces(text, kind, 32)
    path = tmp_path / "lm.arpa"
    arpa.write(path, model := ngram.estimate([line.split() for line in text], 3))
    words = lexicon.build(model.words, units)
    fsa = graphs.decoding_graph(path, words, "cpu").scaled(0.5)
    for sentence in ("I CAN'T SAY", "IT IS A CAT", "CAT"):
        ids = [unit for unit in units.encode(sentence) for _ in range(2)]
        frames = [x for i in range(0, len(ids), 2) for x in (ids[i], ids[i + 1], 0)]
        scores = torch.full((1, len(frames), units.size), -6.0)
        scores[0, range(len(frames)), frames] = 6.0
        best = lattice.best_paths(fsa, scores.log_softmax(2), torch.tensor([len(frames)]))
        assert best[0] is not None and words.text(best[0]) == sentence


@pytest.mark.parametrize("kind", ["char", "bpe"])
@pytest.mark.parametrize("duration", [1, 2, 3])
def test_beam_search_with_repeated_frames_and_padding(kind: str, duration: int) -> None:
    """A unit may last several frames; the padding of other rows has no effect."""
    text = ["I CAN'T SAY", "SAY I CAN", "CAN I SAY IT", "IT IS A CAT", "A CAT IS IT"] * 3
    units = Units.char() if kind == "char" else Units.train_pieces(text, kind, 32)
    model = ngram.estimate([line.split() for line in text], 3)
    words = lexicon.build(model.words, units)
    search = prefix_beam.WordSearch(words, model, scale=0.5, beam_size=100)
    for sentence in ("I CAN'T SAY", "IT IS A CAT", "CAN I SAY IT", "CAT"):
        ids = units.encode(sentence)
        frames = [x for unit in ids for x in [*[unit] * duration, 0]]
        scores = torch.full((2, len(frames) + 1, units.size), -6.0)
        scores[1, range(len(frames)), frames] = 6.0
        scores = scores.log_softmax(2)
        lengths = torch.tensor([1, len(frames)])
        _, (first, *others) = search(scores, lengths)
        assert words.text(first[0]) == sentence
        (loss,) = ctc_loss(scores[1:], lengths[1:], [ids], "torch")
        expected = -float(loss) + 0.5 * model.log_prob(sentence.split())
        assert first[1] == pytest.approx(expected, abs=0.05)
        scores[0, 1:] = 40.0
        assert search(scores, lengths)[1] == [first, *others]


def test_beam_search_breaks_ties_reproducibly() -> None:
    """Scores rounded to bfloat16 have ties: results do not depend on the batch or the run."""
    generator = torch.Generator().manual_seed(3)
    logits = 0.3 * torch.randn(8, 40, 29, generator=generator)
    scores = logits.bfloat16().float().log_softmax(2).bfloat16().float()
    frames = torch.full((8,), 40)
    together = prefix_beam.search_units(scores, frames)
    assert prefix_beam.search_units(scores, frames) == together
    for row, hyps in enumerate(together):
        assert prefix_beam.search_units(scores[row : row + 1], frames[:1]) == [hyps]


@needs_k2
def test_pruning_keeps_the_best_sentence_and_alternatives(tmp_path: Path) -> None:
    """Also on uniform posteriors."""
    _, path = toy_model(tmp_path)
    fsa = graphs.decoding_graph(path, toy_lexicon(4), "cpu").scaled(0.5)
    for spread in (0.0, 0.3, 1.0):
        generator = torch.Generator().manual_seed(int(10 * spread))
        scores = (spread * torch.randn(3, 60, 5, generator=generator)).log_softmax(2)
        frames = torch.tensor([60, 30, 45])
        best = lattice.best_paths(fsa, scores, frames)
        for prune in (1e-3, 0.5):
            listed = lattice.n_best(fsa, scores, frames, 20, prune=prune)
            assert all(tuple(ids or []) in hyps for ids, hyps in zip(best, listed, strict=True))
        full = lattice.n_best(graphs.topology(5, "cpu"), scores, frames, 20, prune=1e-3)
        assert all(len(hyps) > 1 for hyps in full)


def test_n_best_stops_after_max_arcs() -> None:
    """4 ** 14 sequences have equal scores; those that are found are correct."""
    arcs = [[(label, state + 1, -0.1) for label in (1, 2, 3, 4)] for state in range(14)]
    acceptor = nbest.topological_sort([*arcs, [(nbest.FINAL, 15, 0.0)], []])
    found = nbest.n_best(acceptor, 50, max_arcs=20_000)
    assert found and all(score == pytest.approx(-1.4) for _, score in found)
    assert found[0][0] == (1,) * 14
