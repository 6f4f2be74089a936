"""The n best label sequences of a lattice, and what a list of hypotheses says of each word."""

import heapq
import math
from collections.abc import Mapping, Sequence

from jointasr import metrics

END = -1  # label of the arcs into the last state


Arc = tuple[int, int, float]
"""label (1 and up, or END), state that it leads to, score"""
Acceptor = Sequence[Sequence[Arc]]
"""An acyclic acceptor without epsilons: the arcs that leave each state; state 0 begins, the last
one ends"""
Labels = tuple[int, ...]


def n_best(acceptor: Acceptor, n: int) -> list[tuple[Labels, float]]:
    """The n sequences of labels whose best paths score highest, best first; fewer if there are not
    as many. Equal scores are sorted by labels.

    Best-first search over prefixes, each with the best score of every state that it leads to: that
    is determinizing as far as needed. What is ahead of a state is known exactly, so each sequence
    is found once, in its turn, with its score (Soong and Huang 1991 search like this over paths).
    """
    if not any(acceptor):
        return []
    ahead = _ahead(acceptor)
    heap: list[tuple[float, Labels, dict[int, float]]] = [(-ahead[0], (), {0: 0.0})]
    found: list[tuple[Labels, float]] = []
    while heap and len(found) < n:
        cost, labels, reached = heapq.heappop(heap)
        if labels[-1:] == (END,):
            found.append((labels[:-1], -cost))
            continue
        for label, states in _follow(acceptor, reached).items():
            best = max(score + ahead[state] for state, score in states.items())
            heapq.heappush(heap, (-best, (*labels, label), states))
    return found


def _follow(acceptor: Acceptor, reached: Mapping[int, float]) -> dict[int, dict[int, float]]:
    """Labels that may follow, each with the states it leads to and the best scores there."""
    found: dict[int, dict[int, float]] = {}
    for state, before in reached.items():
        for label, target, score in acceptor[state]:
            states = found.setdefault(label, {})
            total = before + score
            if total > states.get(target, -math.inf):
                states[target] = total
    return found


def _ahead(acceptor: Acceptor) -> list[float]:
    """Best score from each state to the end."""
    ahead = [-math.inf] * len(acceptor)
    ahead[-1] = 0.0
    for state in _last_first(acceptor):
        for _, target, score in acceptor[state]:
            ahead[state] = max(ahead[state], score + ahead[target])
    return ahead


def _last_first(acceptor: Acceptor) -> list[int]:
    """States that can be reached, each after all that its arcs lead to."""
    order: list[int] = []
    seen = {0}
    path = [(0, iter(acceptor[0]))]
    while path:
        state, arcs = path[-1]
        target = next((t for _, t, _ in arcs if t not in seen), None)
        if target is None:
            order.append(state)
            path.pop()
        else:
            seen.add(target)
            path.append((target, iter(acceptor[target])))
    return order


def posteriors(scores: Sequence[float]) -> list[float]:
    """Scores of hypotheses, natural logarithms, as probabilities that sum to one."""
    highest = max(scores)
    if highest == -math.inf:  # none is possible: each as likely
        return [1 / len(scores)] * len(scores)
    weights = [math.exp(score - highest) for score in scores]
    return [weight / math.fsum(weights) for weight in weights]


def word_posteriors(text: str, others: Sequence[str], weights: Sequence[float]) -> list[float]:
    """Probability of each word of ``text``: the weight of the hypotheses that have it in its place
    when aligned with ``text`` at least edit distance."""
    found = [0.0] * len(text.split())
    alignments = metrics.align([text] * len(others), list(others))
    for alignment, weight in zip(alignments, weights, strict=True):
        own = [(mine, theirs) for mine, theirs in alignment if mine is not None]
        for place, (mine, theirs) in enumerate(own):
            found[place] += weight * (mine == theirs)
    return [min(1.0, value) for value in found]
