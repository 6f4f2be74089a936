"""Training batches of utterances of similar length, in random order.

The limit of a batch is its padded duration: number of utterances times the longest. Utterances are
sorted by their duration after speed perturbation, with a small random jitter that changes the
batches in each epoch, and cut into batches. lhotse's sorting samplers do not limit the padded
duration, and its bucketing samplers leave many batches half full when a batch holds minutes of
audio (see docs/performance.md).
"""

from collections.abc import Callable, Sequence

import numpy as np
from lhotse import CutSet, MonoCut

from jointasr.config import schema
from jointasr.utils import rng

JITTER = 0.05
"""width of the relative random change of durations before sorting"""


class TrainingSampler:
    """Training batches of each epoch, a function of seed, epoch and utterances only."""

    def __init__(
        self, cuts: CutSet, conf: schema.Batch, speed: Callable[[str, int], float], seed: int
    ) -> None:
        """``speed(utterance, epoch)`` returns the speed factor."""
        self.cuts = list(cuts)
        self.conf, self.speed, self.seed = conf, speed, seed
        self.cache: tuple[int, list[list[int]]] = (-1, [])
        """the last epoch requested, and its batches"""

    def epoch(self, number: int) -> list[list[int]]:
        """Return the batches of an epoch in order, each as indices into ``cuts``."""
        if self.cache[0] != number:
            self.cache = number, self._batches(number)
        return self.cache[1]

    def batch(self, epoch: int, indices: Sequence[int]) -> CutSet:
        """Return the cuts at ``indices`` with the speeds of the epoch."""
        chosen = [self.cuts[index] for index in indices]
        return CutSet.from_cuts(_at_speed(cut, self.speed(cut.id, epoch)) for cut in chosen)

    def _batches(self, epoch: int) -> list[list[int]]:
        durations = np.array([c.duration / self.speed(c.id, epoch) for c in self.cuts])
        jitter = rng.stream(self.seed, "batches", epoch).uniform(-0.5, 0.5, len(durations))
        order = np.argsort(-durations * (1 + JITTER * jitter), kind="stable")
        limits = self.conf.seconds, self.conf.max_utterances
        batches = pack_batches(durations, order.tolist(), *limits)
        permutation = rng.stream(self.seed, "order", epoch).permutation(len(batches))
        return [batches[index] for index in permutation]


def pack_batches(
    durations: Sequence[float] | np.ndarray,
    order: Sequence[int],
    seconds: float,
    utterances: int | None = None,
) -> list[list[int]]:
    """Split ``order``, indices into ``durations`` (seconds), into batches of at most ``seconds``.

    The duration of a batch includes padding: number of utterances times the longest. A single
    utterance that exceeds the limit is a batch. ``utterances`` limits the number per batch.
    """
    batches: list[list[int]] = []
    longest = 0.0
    for index in order:
        longest = max(longest, durations[index])
        last = batches[-1] if batches else []
        full = (len(last) + 1) * longest > seconds or len(last) == utterances
        if not last or full:
            batches.append([])
            longest = durations[index]
        batches[-1].append(index)
    return batches


def padding_share(
    durations: Sequence[float] | np.ndarray, batches: Sequence[Sequence[int]]
) -> float:
    """Return the fraction (0..1) of the computed audio that is padding."""
    computed = sum(len(batch) * max(durations[index] for index in batch) for batch in batches)
    return 1 - sum(float(durations[index]) for batch in batches for index in batch) / computed


def _at_speed(cut: MonoCut, factor: float) -> MonoCut:
    return cut if np.isclose(factor, 1.0) else cut.perturb_speed(factor, affix_id=False)


def largest_batches(batches: Sequence[CutSet]) -> list[CutSet]:
    """Return the batches that need most memory: by padded size, and by longest utterance."""
    longest = [max(cut.num_samples for cut in cuts) for cuts in batches]
    area = [len(cuts) * samples for cuts, samples in zip(batches, longest, strict=True)]
    chosen = {area.index(max(area)), longest.index(max(longest))}
    return [batches[index] for index in sorted(chosen)]
