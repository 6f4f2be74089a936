"""Results of an epoch: sums over its training steps, scores on dev, the best epoch so far."""

from typing import NamedTuple

from jointasr.utils.distributed import ProcessGroup


class DevScores(NamedTuple):
    """Scores on the dev set."""

    loss: float
    """training loss, mean over utterances"""
    wer: float | None
    """word error rate in per cent, greedy search; None for ser"""
    wa: float | None
    """weighted accuracy of the emotions in per cent; None for asr"""

    @property
    def error(self) -> float:
        """Model selection criterion: WER plus emotion error rate, per cent, where defined."""
        return (self.wer or 0.0) + (100.0 - self.wa if self.wa is not None else 0.0)

    def is_better_than(self, other: "DevScores") -> bool:
        """Return whether the error or, for equal errors, the loss is lower."""
        return (self.error, self.loss) < (other.error, other.loss)

    def __str__(self) -> str:
        wer = "" if self.wer is None else f", WER {self.wer:.2f}"
        wa = "" if self.wa is None else f", accuracy {self.wa:.2f}"
        return f"loss {self.loss:.4f}{wer}{wa}"


class BestEpoch(NamedTuple):
    """The epoch, counted from 1, with the best scores on dev."""

    epoch: int
    scores: DevScores


class EpochStats(NamedTuple):
    """Sums over training steps of an epoch."""

    utterances: int = 0
    loss: float = 0.0
    infeasible: int = 0
    """transcripts that need more frames than there are; they have no CTC loss"""
    undropped_chunks: int = 0
    """chunks that were not dropped, because they would zero more than half of an utterance"""
    truncated: int = 0
    """transcripts truncated to BERT's maximum length"""
    nonfinite: int = 0
    """utterances of batches with a non-finite loss; included in ``utterances`` only"""

    @property
    def mean_loss(self) -> float:
        """Mean over the utterances with a finite loss; nan if there are none."""
        count = self.utterances - self.nonfinite
        return self.loss / count if count else float("nan")

    def plus(self, other: "EpochStats") -> "EpochStats":
        """Return the element-wise sum."""
        return EpochStats._make(a + b for a, b in zip(self, other, strict=True))

    def all_reduce(self, world: ProcessGroup) -> "EpochStats":
        """Return the sums over all processes; blocks until all processes have called this."""
        sums = world.all_reduce(self)
        return EpochStats._make(type(own)(value) for own, value in zip(self, sums, strict=True))
