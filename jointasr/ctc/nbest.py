"""The n best label sequences of a lattice, and what a list of hypotheses says of each word."""

import heapq
import math
from collections.abc import Mapping, Sequence

from jointasr.scoring import metrics

END = -1  # label of the arcs into the last state


Arc = tuple[int, int, float]
"""label (1 and up, EPSILON or END), state that it leads to, score"""
Acceptor = Sequence[Sequence[Arc]]
"""An acyclic acceptor: the arcs that leave each state, which lead to later ones; state 0 begins,
the last one ends"""
Labels = tuple[int, ...]
EPSILON = 0
WORK = 2_000_000
"""arcs looked at before a search ends with what it has: some seconds"""


def n_best(acceptor: Acceptor, n: int, work: int = WORK) -> list[tuple[Labels, float]]:
    """The n sequences of labels whose best paths score highest, best first; fewer if there are not
    as many, or ``work`` arcs have been looked at (the best one is always there). Equal scores are
    sorted by labels.

    Best-first search over prefixes, each with the best score of every state that it leads to: that
    is determinizing as far as needed. What is ahead of a state is known exactly, so each sequence
    is found once, in its turn, with its score (Soong and Huang 1991 search like this over paths).
    """
    if not any(acceptor):
        return []
    ahead = _ahead(acceptor)
    heap: list[tuple[float, Labels, dict[int, float]]] = [(-ahead[0], (), {0: 0.0})]
    found: list[tuple[Labels, float]] = []
    while heap and len(found) < n and (work > 0 or not found):
        cost, labels, reached = heapq.heappop(heap)
        if labels[-1:] == (END,):
            found.append((labels[:-1], -cost))
            continue
        follows, looked = _follow(acceptor, reached)
        work -= looked
        for label, states in follows.items():
            best = max(score + ahead[state] for state, score in states.items())
            # rounded, for a sum in another order must not look better than what it is part of
            heapq.heappush(heap, (round(-best, 9), (*labels, label), states))
    return found


def _follow(
    acceptor: Acceptor, reached: Mapping[int, float]
) -> tuple[dict[int, dict[int, float]], int]:
    """Labels that may follow, behind any epsilons, each with the states it leads to and the best
    scores there; and how many arcs were looked at."""
    best = dict(reached)
    todo = list(best)
    heapq.heapify(todo)  # states in order: all that leads to one has been seen when it comes
    found: dict[int, dict[int, float]] = {}
    looked = 0
    while todo:
        state = heapq.heappop(todo)
        before = best[state]
        for label, target, score in acceptor[state]:
            total = before + score
            if label == EPSILON:
                if target not in best:
                    heapq.heappush(todo, target)
                states = best
            else:
                states = found.setdefault(label, {})
            if total > states.get(target, -math.inf):
                states[target] = total
        looked += len(acceptor[state])
    return found, looked


def in_order(arcs: Sequence[Sequence[Arc]]) -> Acceptor:
    """The acceptor with its states numbered so that arcs lead to later ones; those that cannot be
    reached are left out."""
    if not any(arcs):
        return []
    done: list[int] = []
    seen = {0}
    path = [(0, iter(arcs[0]))]
    while path:
        state, leaving = path[-1]
        target = next((target for _, target, _ in leaving if target not in seen), None)
        if target is None:
            done.append(state)
            path.pop()
        else:
            seen.add(target)
            path.append((target, iter(arcs[target])))
    end = len(arcs) - 1
    order = [state for state in reversed(done) if state != end] + [end]
    place = {state: number for number, state in enumerate(order)}
    return [[(label, place[t], score) for label, t, score in arcs[s]] for s in order]


def _ahead(acceptor: Acceptor) -> list[float]:
    """Best score from each state to the end."""
    ahead = [-math.inf] * len(acceptor)
    ahead[-1] = 0.0
    for state in reversed(range(len(acceptor) - 1)):
        ahead[state] = max(
            (score + ahead[target] for _, target, score in acceptor[state]), default=-math.inf
        )
    return ahead


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
