"""Streams depend on their keys only, are uncorrelated, and give pinned numbers."""

import itertools

import numpy as np
import pytest

from jointasr.utils import rng

pytestmark = pytest.mark.stack

PINNED = [0.825014050906, 0.912385206113, 865, 550, 296]


def test_numbers_are_pinned_across_stacks() -> None:
    generator = rng.stream(0, "mix", "train_noisy", "Ses01F-Ses01F_impro01_F000")
    drawn = [round(float(x), 12) for x in generator.random(2)]
    drawn += [int(x) for x in generator.integers(1000, size=3)]
    assert drawn == PINNED
    assert rng.derive(0, "speed", "a", 1) == 2469315046055126381


def test_order_of_use_does_not_matter() -> None:
    names = ["a", "b", "c"]
    first = {name: rng.stream(3, name).random(4).tolist() for name in names}
    again = {name: rng.stream(3, name).random(4).tolist() for name in reversed(names)}
    assert first == again


def test_keys_that_look_alike_differ() -> None:
    keys = [(0, "a", "b"), (0, "ab"), (0, "a", "b", ""), (0, "a1"), (0, "a", 1), (0, "a", "1")]
    keys += [(1, "a", "b"), (0, "b", "a"), (0,), (0, ""), (-1, "a"), (2**80, "a")]
    seeds = [rng.derive(*key) for key in keys]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_neighbouring_streams_are_uncorrelated() -> None:
    draws = np.array([rng.stream(0, "x", i).random(1000) for i in range(20)])
    for a, b in itertools.combinations(range(20), 2):
        assert abs(np.corrcoef(draws[a], draws[b])[0, 1]) < 0.15
    assert abs(draws.mean() - 0.5) < 0.01
