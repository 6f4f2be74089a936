"""Which utterances share a batch of training: those of similar lengths, in random order.

A batch is computed as long as its longest utterance, so its limit counts that: utterances times
the longest. Utterances are sorted by the duration that is computed, after their speed was drawn,
and cut into batches; a small jitter lets others share a batch in each epoch. Of lhotse's samplers
those that sort have no limit on the padded size, and those with buckets leave many of them half
full where a batch holds minutes of audio (docs/performance.md has the figures).
"""

from collections.abc import Callable, Sequence

import numpy as np
from lhotse import CutSet, MonoCut

from jointasr.config import schema
from jointasr.utils import rng

JITTER = 0.05
"""width of the range that a duration is scaled by before sorting"""


class TrainingSampler:
    """The batches of each epoch of a training: f(seed, epoch, utterances), nothing else."""

    def __init__(
        self, cuts: CutSet, conf: schema.Batch, speed: Callable[[str, int], float], seed: int
    ) -> None:
        """``speed`` gives the factor of an utterance in an epoch."""
        self.cuts = list(cuts)
        self.conf, self.speed, self.seed = conf, speed, seed
        self.known: tuple[int, list[list[int]]] = (-1, [])

    def epoch(self, number: int) -> list[list[int]]:
        """The batches in their order, each as places in ``cuts``."""
        if self.known[0] != number:
            self.known = number, self._batches(number)
        return self.known[1]

    def batch(self, epoch: int, places: Sequence[int]) -> CutSet:
        """The cuts at these places, at their speeds in the epoch."""
        chosen = [self.cuts[place] for place in places]
        return CutSet.from_cuts(_at_speed(cut, self.speed(cut.id, epoch)) for cut in chosen)

    def _batches(self, epoch: int) -> list[list[int]]:
        durations = np.array([c.duration / self.speed(c.id, epoch) for c in self.cuts])
        jitter = rng.stream(self.seed, "batches", epoch).uniform(-0.5, 0.5, len(durations))
        order = np.argsort(-durations * (1 + JITTER * jitter), kind="stable")
        found = pack_batches(durations, order.tolist(), self.conf.seconds, self.conf.max_utterances)
        places = rng.stream(self.seed, "order", epoch).permutation(len(found))
        return [found[place] for place in places]


def pack_batches(
    durations: Sequence[float] | np.ndarray,
    order: Sequence[int],
    seconds: float,
    utterances: int | None = None,
) -> list[list[int]]:
    """Consecutive items of ``order`` in lists whose padded duration is at most ``seconds``.

    Padded duration: the number of items times the longest. An item that is longer alone is a list
    of its own. ``utterances`` limits the number of items.
    """
    found: list[list[int]] = []
    longest = 0.0
    for item in order:
        longest = max(longest, durations[item])
        last = found[-1] if found else []
        full = (len(last) + 1) * longest > seconds or len(last) == utterances
        if not last or full:
            found.append([])
            longest = durations[item]
        found[-1].append(item)
    return found


def padding_share(
    durations: Sequence[float] | np.ndarray, batches: Sequence[Sequence[int]]
) -> float:
    """Share (0..1) of the computed audio that is padding."""
    computed = sum(len(batch) * max(durations[place] for place in batch) for batch in batches)
    return 1 - sum(float(durations[place]) for batch in batches for place in batch) / computed


def _at_speed(cut: MonoCut, factor: float) -> MonoCut:
    return cut if np.isclose(factor, 1.0) else cut.perturb_speed(factor, affix_id=False)


def largest_batches(batches: Sequence[CutSet]) -> list[CutSet]:
    """The batches that need most memory: with most samples, padding included; with the longest."""
    longest = [max(cut.num_samples for cut in cuts) for cuts in batches]
    area = [len(cuts) * samples for cuts, samples in zip(batches, longest, strict=True)]
    chosen = {area.index(max(area)), longest.index(max(longest))}
    return [batches[place] for place in sorted(chosen)]
