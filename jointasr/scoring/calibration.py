"""Calibration of posteriors by logistic regression on their logits (Platt scaling)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize

EPSILON = 1e-4
"""posteriors are clipped to [EPSILON, 1 - EPSILON], since n-best lists are never complete"""
REGULARIZATION = 0.01
"""weight of the penalty for differing from the identity; matters for few samples"""


class Calibration(NamedTuple):
    """p -> sigmoid(slope * logit(p) + offset).

    Platt, "Probabilistic outputs for support vector machines", 1999, applied to logits.
    """

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, posterior: float) -> float:
        """Return the calibrated posterior, 0 to 1."""
        return 1 / (1 + math.exp(-(self.slope * logit(posterior) + self.offset)))


def logit(posterior: float) -> float:
    """Return log(p / (1 - p)) of a posterior clipped to [EPSILON, 1 - EPSILON]."""
    clipped = min(max(posterior, EPSILON), 1 - EPSILON)
    return math.log(clipped / (1 - clipped))


def fit(posteriors: Sequence[float], correct: Sequence[bool]) -> Calibration:
    """Fit a calibration to the posteriors of predictions, given which of them are ``correct``.

    Minimizes the cross-entropy plus REGULARIZATION * ((slope - 1) ** 2 + offset ** 2), with a slope
    in [0, 10] and an offset in [-10, 10]. Returns the identity without samples.
    """
    if not posteriors:
        return Calibration()
    logits, targets = np.array([logit(p) for p in posteriors]), np.array(correct, dtype=float)

    def cost(parameters: np.ndarray) -> float:
        scores = parameters[0] * logits + parameters[1]
        loss = np.logaddexp(0, scores) - targets * scores
        penalty = (parameters[0] - 1) ** 2 + parameters[1] ** 2
        return float(loss.sum() + REGULARIZATION * penalty)

    result = minimize(cost, x0=np.array([1.0, 0.0]), bounds=[(0, 10), (-10, 10)], method="L-BFGS-B")
    return Calibration(float(result.x[0]), float(result.x[1]))
