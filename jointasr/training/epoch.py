"""What training counts: sums over an epoch, scores on dev, which epoch was best."""

from typing import NamedTuple

from jointasr.utils.distributed import ProcessGroup


class DevScores(NamedTuple):
    """A pass over the dev set."""

    loss: float
    """the training loss, mean over utterances"""
    wer: float | None
    """per cent, greedy search; None for ser"""
    wa: float | None
    """accuracy in per cent; None for asr"""

    @property
    def error(self) -> float:
        """What the best model has least of: the sum of the system's own error rates."""
        return (self.wer or 0.0) + (100.0 - self.wa if self.wa is not None else 0.0)

    def better(self, other: "DevScores") -> bool:
        """Fewer errors or, of equals (a WER of 100 at the start, say), the lower loss."""
        return (self.error, self.loss) < (other.error, other.loss)

    def __str__(self) -> str:
        wer = "" if self.wer is None else f", WER {self.wer:.2f}"
        wa = "" if self.wa is None else f", accuracy {self.wa:.2f}"
        return f"loss {self.loss:.4f}{wer}{wa}"


class BestEpoch(NamedTuple):
    """The epoch (from 1) whose model is kept, and its dev scores."""

    epoch: int
    scores: DevScores


class EpochStats(NamedTuple):
    """Sums over one epoch of training."""

    utterances: int = 0
    loss: float = 0.0
    impossible: int = 0
    """transcripts longer than their frames"""
    whole: int = 0
    """chunks that were not zeroed, to leave half of a short utterance"""
    truncated: int = 0
    """transcripts longer than BERT's positions"""
    lost: int = 0
    """utterances of batches whose loss was not finite; they are in no other sum but the first"""

    @property
    def mean_loss(self) -> float:
        """Over the utterances that have one; nan where there is none."""
        counted = self.utterances - self.lost
        return self.loss / counted if counted else float("nan")

    def plus(self, other: "EpochStats") -> "EpochStats":
        """The sums over both."""
        return EpochStats._make(a + b for a, b in zip(self, other, strict=True))

    def over(self, world: ProcessGroup) -> "EpochStats":
        """The sums over all processes; returns when all have called this."""
        sums = world.all_reduce(self)
        return EpochStats._make(type(own)(value) for own, value in zip(self, sums, strict=True))


NO_STATS = EpochStats()
