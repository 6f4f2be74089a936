"""Training losses against closed forms; independence of the grouping into batches."""

import math
from pathlib import Path

import pytest
import tiny
import torch

from jointasr.data.batch import UNKNOWN_EMOTION, Batch
from jointasr.models.systems import Output
from jointasr.training import losses

pytestmark = pytest.mark.stack

FRAMES, UNITS = [9, 6, 4], 5
TARGETS = [[1, 2, 3], [4], []]


def output_and_batch(seed: int = 0) -> tuple[Output, Batch]:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(3, 9, UNITS, generator=generator).log_softmax(-1)
    logits = torch.randn(3, 4, generator=generator)
    output = Output(torch.tensor(FRAMES), scores.requires_grad_(), logits.requires_grad_())
    waves = torch.zeros(3, 1)
    emotions = torch.tensor([0, 3, 2])
    lengths = torch.tensor([1, 1, 1])
    batch = Batch(["a", "b", "c"], waves, lengths, [""] * 3, TARGETS, emotions, 3)
    return output, batch


def rows(output: Output, batch: Batch, index: list[int]) -> tuple[Output, Batch]:
    """Select rows of both."""
    assert output.log_probs is not None and output.emotion_logits is not None
    return (
        Output(output.frames[index], output.log_probs[index], output.emotion_logits[index]),
        batch._replace(
            ids=[batch.ids[i] for i in index],
            texts=[batch.texts[i] for i in index],
            targets=[batch.targets[i] for i in index],
            emotions=batch.emotions[index],
        ),
    )


def logits_rows(
    output: Output, batch: Batch, index: list[int]
) -> tuple[torch.Tensor | None, Batch]:
    selected, part = rows(output, batch, index)
    return selected.emotion_logits, part


def ctc(scores: torch.Tensor, target: list[int]) -> float:
    """CTC loss by the forward algorithm in plain Python."""
    labels = [0] + [x for unit in target for x in (unit, 0)]
    alpha = [0.0] * len(labels)
    probs = scores.double().exp().tolist()
    for t, frame in enumerate(probs):
        before = alpha[:]
        for s, unit in enumerate(labels):
            total = float(s < 2) if t == 0 else before[s] + (before[s - 1] if s else 0)
            if t and s > 1 and unit and unit != labels[s - 2]:
                total += before[s - 2]
            alpha[s] = total * frame[unit]
    return -math.log(sum(alpha[-2:]))


def number(loss: torch.Tensor | None) -> float:
    assert loss is not None and loss.dtype == torch.float64
    return losses.finite_value(loss)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0])
def test_equation_1(models: Path, alpha: float) -> None:
    output, batch = output_and_batch()
    assert output.log_probs is not None and output.emotion_logits is not None
    conf = tiny.conf(models, "joint.yaml", f"alpha={alpha}")
    pairs = zip(output.log_probs.detach(), FRAMES, TARGETS, strict=True)
    asr = sum(ctc(row[:n], target) / max(1, len(target)) for row, n, target in pairs)
    shares = output.emotion_logits.detach().double().softmax(-1)
    ser = -sum(math.log(shares[row, label]) for row, label in enumerate([0, 3, 2]))
    assert number(losses.asr_loss(conf, output, batch)) == pytest.approx(asr, rel=1e-6)
    assert number(losses.ser_loss(output.emotion_logits, batch)) == pytest.approx(ser, rel=1e-6)
    found = number(losses.total_loss(conf, output, batch))
    assert found == pytest.approx(alpha * ser + (1 - alpha) * asr, rel=1e-6)


def test_systems_have_their_own_loss_only(models: Path) -> None:
    output, batch = output_and_batch()
    conf = tiny.conf(models, "asr.yaml")
    asr, ser = losses.asr_loss(conf, output, batch), losses.ser_loss(output.emotion_logits, batch)
    assert losses.total_loss(conf, output._replace(emotion_logits=None), batch) == asr
    assert losses.total_loss(conf, output._replace(log_probs=None), batch) == ser


@pytest.mark.parametrize("groups", [[[0, 1, 2]], [[0], [1, 2]], [[2], [0], [1]]])
def test_sums_do_not_depend_on_grouping(models: Path, groups: list[list[int]]) -> None:
    conf = tiny.conf(models, "joint.yaml")
    output, batch = output_and_batch()
    full = number(losses.total_loss(conf, output, batch))
    found = [number(losses.total_loss(conf, *rows(output, batch, group))) for group in groups]
    assert sum(found) == pytest.approx(full, rel=1e-6)


def test_unlabelled_utterances_add_nothing(models: Path) -> None:
    """One utterance has no transcript, another no emotion: loss and gradient are those of the known
    labels."""
    conf = tiny.conf(models, "joint.yaml", "alpha=0.3")
    output, batch = output_and_batch()
    emotions = torch.tensor([0, UNKNOWN_EMOTION, 2])
    found = losses.total_loss(conf, output, batch._replace(texts=[None, "", ""], emotions=emotions))
    asr = losses.asr_loss(conf, *rows(output, batch, [1, 2]))
    ser = losses.ser_loss(*logits_rows(output, batch, [0, 2]))
    assert asr is not None and ser is not None
    assert number(found) == pytest.approx(0.3 * number(ser) + 0.7 * number(asr), rel=1e-6)
    assert output.log_probs is not None and output.emotion_logits is not None
    gradients = torch.autograd.grad(found, [output.log_probs, output.emotion_logits])
    assert gradients[0][0].abs().sum() == 0 == gradients[1][1].abs().sum()
    assert all(g.isfinite().all() and g.abs().sum() > 0 for g in gradients)


def test_infeasible_transcripts_are_counted_and_add_nothing(models: Path) -> None:
    conf = tiny.conf(models, "joint.yaml", "alpha=0")
    output, batch = output_and_batch()
    long = batch._replace(targets=[[1] * 9, *TARGETS[1:]])
    found = losses.total_loss(conf, output, long)
    rest = losses.total_loss(conf, *rows(output, batch, [1, 2]))
    assert losses.count_infeasible(output, long) == 1 and number(found) == pytest.approx(
        number(rest)
    )
    found.backward()
    assert output.log_probs is not None and output.log_probs.grad is not None
    assert output.log_probs.grad[0].abs().sum() == 0 and output.log_probs.grad.isfinite().all()
    none = batch._replace(targets=[[1] * 9, [2] * 6, [3] * 4])
    loss = losses.total_loss(conf, output, none)
    assert losses.count_infeasible(output, none) == 3 and number(loss) == 0.0
    loss.backward()


def test_divergence_is_an_error(models: Path) -> None:
    output, batch = output_and_batch()
    assert output.log_probs is not None and output.emotion_logits is not None
    scores = output.log_probs.detach().clone()
    scores[1, 2, 0] = math.nan
    with pytest.raises(FloatingPointError, match=r"rows \[1\]"):
        losses.total_loss(tiny.conf(models), output._replace(log_probs=scores), batch)
    logits = output.emotion_logits.detach().clone()
    logits[0, 0] = math.nan
    loss = losses.total_loss(
        tiny.conf(models, "ser.yaml"), Output(output.frames, None, logits), batch
    )
    with pytest.raises(FloatingPointError, match="the loss is not finite"):
        losses.finite_value(loss)
