"""n-best label sequences of a lattice; posteriors of hypotheses and of their words."""

import heapq
import math
from collections.abc import Mapping, Sequence

from jointasr.scoring import metrics

EPSILON = 0
FINAL = -1
"""label of arcs to the final state, as in k2"""
Arc = tuple[int, int, float]
"""label (1 and up, EPSILON or FINAL), target state, score"""
Acceptor = Sequence[Sequence[Arc]]
"""Acyclic acceptor: the arcs that leave each state, whose targets have higher numbers. State 0 is
the start state, the last state is final."""
Labels = tuple[int, ...]
MAX_ARCS = 2_000_000
"""maximum number of arcs that a search expands, which takes a few seconds"""


def n_best(acceptor: Acceptor, n: int, max_arcs: int = MAX_ARCS) -> list[tuple[Labels, float]]:
    """Return the n label sequences with the highest best-path scores, best first.

    Fewer are returned if there are fewer, or when the search has expanded ``max_arcs`` arcs; the
    best one is always returned. Equal scores are sorted by labels.

    A* search over label prefixes with the exact score of the best completion of each state as
    heuristic. A prefix keeps its best score in every state that it reaches, which determinizes the
    acceptor only where needed, so each sequence is found once, in order. Soong and Huang (1991), "A
    tree-trellis based fast search for finding the n best sentence hypotheses in continuous speech
    recognition", do the same over paths.
    """
    if not any(acceptor):
        return []
    backward = _backward_scores(acceptor)
    heap: list[tuple[float, Labels, dict[int, float]]] = [(-backward[0], (), {0: 0.0})]
    results: list[tuple[Labels, float]] = []
    while heap and len(results) < n and (max_arcs > 0 or not results):
        cost, labels, forward = heapq.heappop(heap)
        if labels[-1:] == (FINAL,):
            results.append((labels[:-1], -cost))
            continue
        successors, expanded = _expand(acceptor, forward)
        max_arcs -= expanded
        for label, states in successors.items():
            best = max(score + backward[state] for state, score in states.items())
            # rounded: the order of a sum must not make a longer prefix better than its parent
            heapq.heappush(heap, (round(-best, 9), (*labels, label), states))
    return results


def _expand(
    acceptor: Acceptor, forward: Mapping[int, float]
) -> tuple[dict[int, dict[int, float]], int]:
    """Return the next labels, after any epsilons, and the number of expanded arcs.

    ``forward``: the best score of a prefix in each state that it reaches. Each next label comes
    with the same for the prefix that it extends.
    """
    best = dict(forward)
    queue = list(best)
    heapq.heapify(queue)  # states in topological order: a state's score is final when it is popped
    successors: dict[int, dict[int, float]] = {}
    expanded = 0
    while queue:
        state = heapq.heappop(queue)
        before = best[state]
        for label, target, score in acceptor[state]:
            total = before + score
            if label == EPSILON:
                if target not in best:
                    heapq.heappush(queue, target)
                states = best
            else:
                states = successors.setdefault(label, {})
            if total > states.get(target, -math.inf):
                states[target] = total
        expanded += len(acceptor[state])
    return successors, expanded


def topological_sort(arcs: Sequence[Sequence[Arc]]) -> Acceptor:
    """Renumber the states of an acyclic acceptor so that arcs lead to higher numbers; remove
    unreachable states."""
    if not any(arcs):
        return []
    finished: list[int] = []
    seen = {0}
    stack = [(0, iter(arcs[0]))]
    while stack:
        state, remaining = stack[-1]
        target = next((target for _, target, _ in remaining if target not in seen), None)
        if target is None:
            finished.append(state)
            stack.pop()
        else:
            seen.add(target)
            stack.append((target, iter(arcs[target])))
    final = len(arcs) - 1
    order = [state for state in reversed(finished) if state != final] + [final]
    index = {state: number for number, state in enumerate(order)}
    return [[(label, index[t], score) for label, t, score in arcs[s]] for s in order]


def _backward_scores(acceptor: Acceptor) -> list[float]:
    """Return the best score from each state to the final state."""
    backward = [-math.inf] * len(acceptor)
    backward[-1] = 0.0
    for state in reversed(range(len(acceptor) - 1)):
        backward[state] = max(
            (score + backward[target] for _, target, score in acceptor[state]), default=-math.inf
        )
    return backward


def posteriors(scores: Sequence[float]) -> list[float]:
    """Return the softmax of hypothesis scores (natural logarithms); uniform if all are -inf."""
    highest = max(scores)
    if highest == -math.inf:
        return [1 / len(scores)] * len(scores)
    weights = [math.exp(score - highest) for score in scores]
    return [weight / math.fsum(weights) for weight in weights]


def word_posteriors(text: str, hypotheses: Sequence[str], weights: Sequence[float]) -> list[float]:
    """Return the posterior of each word of ``text``: the sum of the ``weights`` of the hypotheses
    that have this word at its position in a minimum edit distance alignment with ``text``."""
    result = [0.0] * len(text.split())
    alignments = metrics.align([text] * len(hypotheses), list(hypotheses))
    for alignment, weight in zip(alignments, weights, strict=True):
        pairs = [(word, other) for word, other in alignment if word is not None]
        for position, (word, other) in enumerate(pairs):
            result[position] += weight * (word == other)
    return [min(1.0, value) for value in result]
