"""The scores of a model on dev, without augmentation."""

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


@torch.no_grad()
def evaluate(
    model: TrainedModel,
    cuts: CutSet,
    data: dataset.SpeechDataset,
    world: ProcessGroup = SINGLE_PROCESS,
) -> DevScores:
    """Scores of ``model`` on ``cuts``; each process of ``world`` takes its share of each batch.

    Raises DataError naming a batch whose posteriors are not finite.
    """
    conf, system = model.conf, model.system.eval()
    loss = 0.0
    references: list[str | None] = []
    hypotheses: list[str] = []
    emotions: list[tuple[int, int]] = []
    batches = dataset.evaluation_batches(cuts, data, conf.batch.seconds, conf.batch.workers)
    for batch in batches:
        if not batch.ids:
            continue  # fewer utterances than processes
        batch = to_device(batch, device(world))
        with (
            failures.explain_divergence(batch.ids),
            failures.explain_out_of_memory(batch, conf.batch.seconds),
        ):
            output = systems.forward(system, batch.waves, batch.lengths, batch.texts)
            loss += losses.value(losses.losses(conf, output, batch))
        references += batch.texts
        if output.log_probs is not None:
            found = search.greedy(output.log_probs, output.frames)
            hypotheses += map(model.units.decode, found)
        if output.emotion_logits is not None:
            guesses = output.emotion_logits.argmax(-1).tolist()
            emotions += zip(batch.emotions.tolist(), guesses, strict=True)
    seen, loss = world.all_reduce([len(references), loss])
    assert seen == len(cuts), (seen, len(cuts))
    wer = _wer(references, hypotheses, world) if conf.has_ctc else None
    wa = _accuracy(emotions, world) if conf.has_emotion else None
    return DevScores(loss / seen, wer, wa)


def _accuracy(emotions: list[tuple[int, int]], world: ProcessGroup) -> float | None:
    """Per cent of those whose emotion is known; None where there is none."""
    right = [truth == guess for truth, guess in emotions if truth != UNKNOWN_EMOTION]
    correct, known = world.all_reduce([sum(right), len(right)])
    return 100.0 * correct / known if known else None


def _wer(references: list[str | None], hypotheses: list[str], world: ProcessGroup) -> float | None:
    """Per cent of those whose transcript is known; None where they have no words."""
    pairs = zip(references, hypotheses, strict=True)
    known = [(ref, hyp) for ref, hyp in pairs if ref is not None]
    texts = [ref for ref, _ in known], [hyp for _, hyp in known]
    own = sum(map(metrics.count, metrics.align(*texts)), metrics.WordCounts())
    sums = world.all_reduce([own.sub, own.dele, own.ins, own.ref_words, sum(map(bool, hypotheses))])
    *counts, written = map(int, sums)
    total = metrics.WordCounts(*counts)
    failures.warn_if_all_empty(total.ref_words, written, "dev")
    return total.wer if total.ref_words else None
