"""Faults inside a training or a decoding: what the user is told, and what goes on."""

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
from jointasr.training import losses, trainer
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack


def test_one_bad_batch_is_skipped(
    recipe: Path,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A loss that is not finite in one step of each epoch moves nothing and ends nothing."""
    small = ["batch.max_duration=2", "train.max_skipped=3"]
    model = initial_model(models, "joint.yaml", "train.epochs=2", *small)
    one = trainer.Trainer(model, *fold_cuts(), tmp_path, 0)
    bad = next(iter(fold_cuts()[0])).id
    own = losses.asr_loss

    def asr(conf: Any, heard: Any, batch: Batch) -> Any:
        if bad in batch.ids:
            raise FloatingPointError("posteriors are not finite")
        return own(conf, heard, batch)

    moved: list[bool] = []
    step = one.step

    def watch(group: list[Batch], epoch: int, first: int) -> Any:
        before = [p.detach().clone() for p in one.optimisers.parameters]
        done = step(group, epoch, first)
        same = all(map(torch.equal, before, one.optimisers.parameters))
        assert same == (bad in group[0].ids) == bool(done.nonfinite)
        moved.append(not same)
        return done

    monkeypatch.setattr(losses, "asr_loss", asr)
    one.step = watch
    with caplog.at_level(logging.WARNING):
        one.fit()
    assert moved.count(False) == 2 and moved.count(True) > 4
    assert caplog.text.count(f"not finite (batch of {bad}") + caplog.text.count(f" {bad}") >= 2
    assert "epoch 1: 1 steps were skipped: their loss or gradient is not finite" in caplog.text
    assert "epoch 2: 1 steps were skipped" in caplog.text
    assert not list(tmp_path.glob("bad_batch*"))


def test_gradients_that_are_never_finite_stop_training(
    recipe: Path, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = initial_model(models, "asr.yaml", "train.epochs=1", "train.max_skipped=3")
    one = trainer.Trainer(model, *fold_cuts(), tmp_path, 0)
    next(iter(one.system.head.parameters())).register_hook(lambda grad: grad * float("inf"))
    with pytest.raises(DataError, match="3 steps in a row: their loss or gradient is not"):
        one.fit()
    assert one.state.steps == 2 and (tmp_path / "bad_batch.safetensors").is_file()


@pytest.mark.parametrize("text", ["CUDA out of memory", "[enforce fail] can't allocate memory"])
def test_largest_batches_are_tried_first(
    recipe: Path, models: Path, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Want of memory shows before the first step, with the knobs to turn."""
    one = trainer.Trainer(initial_model(models, "asr.yaml"), *fold_cuts(), tmp_path, 0)
    seen: list[tuple[int, ...]] = []
    kind = torch.cuda.OutOfMemoryError if text.startswith("CUDA") else RuntimeError

    def forward(waves: torch.Tensor, lengths: torch.Tensor) -> Any:
        seen.append(tuple(waves.shape))
        raise kind(text)

    one.system.encoder.forward = forward
    words = r"out of memory on a batch of \d+ x \d+ samples .*batch.max_duration \(now 6 s"
    with pytest.raises(DataError, match=words) as told:
        one.fit()
    for knob in ("batch.accumulate", "encoder.gradient_checkpointing=true"):
        assert knob in str(told.value)
    assert one.state.steps == 0 and not (tmp_path / "resume").exists()
    shapes = [(len(cuts), max(c.num_samples for c in cuts)) for cuts in order(one)]
    assert seen[0][0] * seen[0][1] == max(n * samples for n, samples in shapes)


def order(one: trainer.Trainer) -> list[CutSet]:
    return [one.sampler.batch(0, places) for places in one.sampler.epoch(0)]


def test_largest(recipe: Path, models: Path, tmp_path: Path) -> None:
    one = trainer.Trainer(initial_model(models, "asr.yaml"), *fold_cuts(), tmp_path, 0)
    batches = order(one)
    chosen = sampler.largest_batches(batches)
    longest = max(cut.num_samples for cuts in batches for cut in cuts)
    assert 1 <= len(chosen) <= 2
    assert any(cut.num_samples == longest for cuts in chosen for cut in cuts)


def test_trying_changes_nothing(recipe: Path, models: Path, tmp_path: Path) -> None:
    """Weights, gradients and counts are as before."""
    model = initial_model(models, "joint.yaml", "encoder.dropout=0.1", "emotion.transcript=oracle")
    one = trainer.Trainer(model, *fold_cuts(), tmp_path, 0)
    before = {name: value.clone() for name, value in one.system.state_dict().items()}
    one.try_largest_batches(0)
    assert all(torch.equal(value, before[k]) for k, value in one.system.state_dict().items())
    assert all(p.grad is None for p in one.optimisers.parameters)
    assert one.state.steps == 0 and not one.optimisers.skipped


def test_other_errors_pass(recipe: Path) -> None:
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
        trainer.Trainer(model, *fold_cuts(), tmp_path, 0).fit()
    assert "dev: every hypothesis is empty: the CTC head outputs only blanks" in caplog.text
    caplog.clear()
    failures.warn_if_all_empty(ref_words=0, nonempty=0, where="dev")  # nothing was said
    failures.warn_if_all_empty(ref_words=5, nonempty=1, where="dev")
    assert not caplog.text


class Dying(dataset.SpeechDataset):
    """Its worker process is killed at the first batch, as by the system for want of memory."""

    def __getitem__(self, batch: CutSet) -> Batch:
        os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(batch)


def test_killed_worker(recipe: Path, models: Path, tmp_path: Path) -> None:
    model = initial_model(models, "asr.yaml", "batch.workers=1")
    one = trainer.Trainer(model, *fold_cuts(), tmp_path, 0)
    one.try_largest_batches = lambda epoch: None  # it reads in this process
    one.data = Dying(model.units, model.labels)
    with pytest.raises(DataError, match=r"^DataLoader worker .*fewer batch.workers") as told:
        one.fit()
    assert "\n" not in str(told.value)


def test_reader_killed_while_a_state_is_saved(recipe: Path, models: Path, tmp_path: Path) -> None:
    """torch raises it wherever the process is just then."""

    def save(*args: object) -> None:
        (reader,) = multiprocessing.active_children()
        reader.kill()
        time.sleep(60)

    one = trainer.Trainer(
        initial_model(models, "asr.yaml", "batch.workers=1"), *fold_cuts(), tmp_path, 0
    )
    one.saver.save_if_due = save
    with pytest.raises(DataError, match=r"^DataLoader worker .*fewer batch.workers"):
        one.fit()
