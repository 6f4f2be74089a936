"""Scores of a model on the dev set, without augmentation."""

import logging

import torch
from lhotse import CutSet

from jointasr.ctc import search
from jointasr.data import dataset
from jointasr.data.batch import UNKNOWN_EMOTION, to_device
from jointasr.models import failures, systems
from jointasr.models.checkpoint import TrainedModel
from jointasr.scoring import metrics
from jointasr.training import losses
from jointasr.training.epoch import DevScores
from jointasr.utils.distributed import SINGLE_PROCESS, ProcessGroup, device

log = logging.getLogger(__name__)


@torch.no_grad()
def evaluate(
    model: TrainedModel,
    cuts: CutSet,
    data: dataset.SpeechDataset,
    world: ProcessGroup = SINGLE_PROCESS,
) -> DevScores:
    """Return the scores of ``model`` on ``cuts``; each process computes its share of each batch.

    Raises DataError naming a batch with non-finite posteriors.
    """
    conf, system = model.conf, model.system.eval()
    loss = 0.0
    references: list[str | None] = []
    hypotheses: list[str] = []
    emotions: list[tuple[int, int]] = []
    num_truncated = 0
    batches = dataset.evaluation_batches(cuts, data, conf.batch.seconds, conf.batch.workers)
    for batch in batches:
        if not batch.ids:
            continue  # the batch has fewer utterances than processes
        batch = to_device(batch, device(world))
        with (
            failures.explain_divergence(batch.ids),
            failures.explain_out_of_memory(batch, conf.batch.seconds),
        ):
            output = systems.forward(system, batch.waves, batch.lengths, batch.texts)
            loss += losses.finite_value(losses.total_loss(conf, output, batch))
        references += batch.texts
        num_truncated += output.truncated
        if output.log_probs is not None:
            greedy = search.greedy(output.log_probs, output.frames)
            hypotheses += map(model.units.decode, greedy)
        if output.emotion_logits is not None:
            predicted = output.emotion_logits.argmax(-1).tolist()
            emotions += zip(batch.emotions.tolist(), predicted, strict=True)
    utterances, loss, truncated = world.all_reduce([len(references), loss, num_truncated])
    assert utterances == len(cuts), (utterances, len(cuts))
    if truncated:
        log.warning("dev: %d transcripts were truncated to BERT's maximum length", truncated)
    wer = _wer(references, hypotheses, world) if conf.has_ctc else None
    wa = _accuracy(emotions, world) if conf.has_emotion else None
    return DevScores(loss / utterances, wer, wa)


def _accuracy(emotions: list[tuple[int, int]], world: ProcessGroup) -> float | None:
    """Return the accuracy over labelled utterances in per cent; None if there are none."""
    correct = [label == predicted for label, predicted in emotions if label != UNKNOWN_EMOTION]
    total_correct, total = world.all_reduce([sum(correct), len(correct)])
    return 100.0 * total_correct / total if total else None


def _wer(references: list[str | None], hypotheses: list[str], world: ProcessGroup) -> float | None:
    """Return the WER over transcribed utterances in per cent; None if they have no words."""
    pairs = zip(references, hypotheses, strict=True)
    transcribed = [(ref, hyp) for ref, hyp in pairs if ref is not None]
    texts = [ref for ref, _ in transcribed], [hyp for _, hyp in transcribed]
    local = sum(map(metrics.count, metrics.align(*texts)), metrics.WordCounts())
    nonempty = sum(map(bool, hypotheses))
    sums = world.all_reduce([local.sub, local.dele, local.ins, local.ref_words, nonempty])
    *counts, nonempty = map(int, sums)
    total = metrics.WordCounts(*counts)
    failures.warn_if_all_empty(total.ref_words, nonempty, "dev")
    return total.wer if total.ref_words else None
