"""Failures in a training step or a data loader: messages, and whether training continues."""

import logging
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from lhotse import CutSet
from toy_training import fold_cuts, initial_model

from jointasr.data import dataset, sampler
from jointasr.data.batch import Batch
from jointasr.models import failures
from jointasr.training import losses
from jointasr.training.trainer import Trainer
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack


def test_one_bad_batch_is_skipped(
    recipe: Path,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A non-finite loss in one step of each epoch skips the step only."""
    small = ["batch.max_duration=2", "train.max_skipped=3"]
    model = initial_model(models, "joint.yaml", "train.epochs=2", *small)
    trainer = Trainer(model, *fold_cuts(), tmp_path, 0)
    bad = next(iter(fold_cuts()[0])).id
    original = losses.asr_loss

    def asr_loss(conf: Any, output: Any, batch: Batch) -> Any:
        if bad in batch.ids:
            raise FloatingPointError("posteriors are not finite")
        return original(conf, output, batch)

    updated: list[bool] = []
    step = trainer.step

    def watch(group: list[Batch], epoch: int, first: int) -> Any:
        before = [p.detach().clone() for p in trainer.optimisers.parameters]
        stats = step(group, epoch, first)
        same = all(map(torch.equal, before, trainer.optimisers.parameters))
        assert same == (bad in group[0].ids) == bool(stats.nonfinite)
        updated.append(not same)
        return stats

    monkeypatch.setattr(losses, "asr_loss", asr_loss)
    trainer.step = watch
    with caplog.at_level(logging.WARNING):
        trainer.fit()
    assert updated.count(False) == 2 and updated.count(True) > 4
    assert caplog.text.count(f"not finite (batch of {bad}") + caplog.text.count(f" {bad}") >= 2
    assert "epoch 1: 1 steps were skipped: their loss or gradient is not finite" in caplog.text
    assert "epoch 2: 1 steps were skipped" in caplog.text
    assert not list(tmp_path.glob("bad_batch*"))


def test_gradients_that_are_never_finite_stop_training(
    recipe: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = initial_model(models, "asr.yaml", "train.epochs=1", "train.max_skipped=3")
    trainer = Trainer(model, *fold_cuts(), tmp_path, 0)
    next(iter(trainer.system.head.parameters())).register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(DataError, match="3 steps in a row because their loss or gradient is not"):
        trainer.fit()
    assert trainer.state.steps == 2 and (tmp_path / "bad_batch.safetensors").is_file()


@pytest.mark.parametrize("text", ["CUDA out of memory", "[enforce fail] can't allocate memory"])
def test_largest_batches_are_tried_first(
    recipe: Path, models: Path, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lack of memory is found before the first step; the message names the options to change."""
    trainer = Trainer(initial_model(models, "asr.yaml"), *fold_cuts(), tmp_path, 0)
    seen: list[tuple[int, ...]] = []
    kind = torch.cuda.OutOfMemoryError if text.startswith("CUDA") else RuntimeError

    def forward(waves: torch.Tensor, lengths: torch.Tensor) -> Any:
        seen.append(tuple(waves.shape))
        raise kind(text)

    trainer.system.encoder.forward = forward
    message = r"out of memory on a batch of \d+ x \d+ samples .*batch.max_duration \(now 6 s"
    with pytest.raises(DataError, match=message) as error:
        trainer.fit()
    for option in ("batch.accumulate", "encoder.gradient_checkpointing=true"):
        assert option in str(error.value)
    assert trainer.state.steps == 0 and not (tmp_path / "resume").exists()
    shapes = [(len(cuts), max(c.num_samples for c in cuts)) for cuts in first_epoch(trainer)]
    assert seen[0][0] * seen[0][1] == max(n * samples for n, samples in shapes)


def first_epoch(trainer: Trainer) -> list[CutSet]:
    return [trainer.sampler.batch(0, indices) for indices in trainer.sampler.epoch(0)]


def test_largest_batches_have_most_samples_or_the_longest_utterance(
    recipe: Path, models: Path, tmp_path: Path
) -> None:
    trainer = Trainer(initial_model(models, "asr.yaml"), *fold_cuts(), tmp_path, 0)
    batches = first_epoch(trainer)
    chosen = sampler.largest_batches(batches)
    longest = max(cut.num_samples for cuts in batches for cut in cuts)
    assert 1 <= len(chosen) <= 2
    assert any(cut.num_samples == longest for cuts in chosen for cut in cuts)


def test_trying_batches_does_not_change_the_model(
    recipe: Path, models: Path, tmp_path: Path
) -> None:
    """Weights, gradients and counts stay as they are."""
    model = initial_model(models, "joint.yaml", "encoder.dropout=0.1", "emotion.transcript=oracle")
    trainer = Trainer(model, *fold_cuts(), tmp_path, 0)
    before = {name: value.clone() for name, value in trainer.system.state_dict().items()}
    trainer.try_largest_batches(0)
    assert all(torch.equal(value, before[k]) for k, value in trainer.system.state_dict().items())
    assert all(p.grad is None for p in trainer.optimisers.parameters)
    assert trainer.state.steps == 0 and not trainer.optimisers.skipped


def test_other_errors_are_not_changed(recipe: Path) -> None:
    batch = Batch(["a"], torch.zeros(1, 1), torch.ones(1), [""], [[]], torch.zeros(1), 1)
    with pytest.raises(RuntimeError, match="shapes"), failures.explain_out_of_memory(batch, 1.0):
        raise RuntimeError("shapes cannot be multiplied")
    with (
        pytest.raises(DataError, match="out of memory"),
        failures.explain_out_of_memory(batch, 1.0),
    ):
        raise MemoryError


def test_all_blank_is_reported(
    recipe: Path, models: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = initial_model(
        models, "asr.yaml", "train.epochs=1", "head.init=fresh", "head.blank_bias=50"
    )
    with caplog.at_level(logging.WARNING):
        Trainer(model, *fold_cuts(), tmp_path, 0).fit()
    assert "dev: every hypothesis is empty: the CTC head outputs only blanks" in caplog.text
    caplog.clear()
    failures.warn_if_all_empty(ref_words=0, nonempty=0, where="dev")  # no reference words
    failures.warn_if_all_empty(ref_words=5, nonempty=1, where="dev")
    assert not caplog.text


class KilledWorker(dataset.SpeechDataset):
    """Kills its worker process at the first batch, like the kernel's out-of-memory killer."""

    def __getitem__(self, batch: CutSet) -> Batch:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(batch)


def test_killed_worker(recipe: Path, models: Path, tmp_path: Path) -> None:
    model = initial_model(models, "asr.yaml", "batch.workers=1")
    trainer = Trainer(model, *fold_cuts(), tmp_path, 0)
    trainer.try_largest_batches = lambda epoch: None  # reads in this process
    trainer.data = KilledWorker(model.units, model.labels)
    with pytest.raises(DataError, match=r"^DataLoader worker .*fewer batch.workers") as error:
        trainer.fit()
    assert "\n" not in str(error.value)


def test_worker_killed_while_a_state_is_saved(recipe: Path, models: Path, tmp_path: Path) -> None:
    """torch raises the error wherever the main process is at that time."""

    def save(*args: object) -> None:
        (worker,) = multiprocessing.active_children()
        worker.kill()
        time.sleep(60)

    trainer = Trainer(
        initial_model(models, "asr.yaml", "batch.workers=1"), *fold_cuts(), tmp_path, 0
    )
    trainer.saver.save_if_due = save
    with pytest.raises(DataError, match=r"^DataLoader worker .*fewer batch.workers"):
        trainer.fit()
