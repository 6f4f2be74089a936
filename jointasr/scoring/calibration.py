"""Posteriors that are right as often as they say."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

NEAREST = 1e-4
"""posteriors are kept so far from 0 and 1: a list of candidates is never all there is"""
PRIOR = 0.01
"""weight of the wish to leave posteriors as they are; matters where there are few words"""


class Calibration(NamedTuple):
    """p -> sigmoid(slope * logit(p) + offset) (Platt 1999, on the logit)."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, posterior: float) -> float:
        return 1 / (1 + math.exp(-(self.slope * logit(posterior) + self.offset)))


def logit(posterior: float) -> float:
    """log(p / (1 - p)), of a posterior kept away from 0 and 1."""
    inside = min(max(posterior, NEAREST), 1 - NEAREST)
    return math.log(inside / (1 - inside))


def fit(posteriors: Sequence[float], right: Sequence[bool]) -> Calibration:
    """The calibration under which ``right`` is most probable, but for a weak pull towards leaving
    the posteriors as they are; slopes are not negative."""
    if not posteriors:
        return Calibration()
    logits, truth = np.array([logit(p) for p in posteriors]), np.array(right, dtype=float)

    def cost(parameters: np.ndarray) -> float:
        scores = parameters[0] * logits + parameters[1]
        loss = np.logaddexp(0, scores) - truth * scores
        pull = (parameters[0] - 1) ** 2 + parameters[1] ** 2
        return float(loss.sum() + PRIOR * pull)

    found = minimize(cost, x0=np.array([1.0, 0.0]), bounds=[(0, 10), (-10, 10)], method="L-BFGS-B")
    return Calibration(float(found.x[0]), float(found.x[1]))
