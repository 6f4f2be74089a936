"""The training state: what it holds, and that a new trainer continues from it."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from toy_training import fold_cuts, initial_model

from jointasr.training.epoch import BestEpoch, DevScores, EpochStats
from jointasr.training.trainer import Trainer

pytestmark = pytest.mark.stack

KEYS = "place done best history newbob system optimisers scaler"
"""of states on disk: states of older versions must stay loadable"""


@pytest.fixture
def trainer(recipe: Path, models: Path, tmp_path: Path) -> Trainer:
    return Trainer(initial_model(models, "asr.yaml"), *fold_cuts(), tmp_path, 0)


def test_keys_of_saved_states(trainer: Trainer) -> None:
    state = trainer.state.state_dict()
    assert " ".join(state) == KEYS
    assert state["optimisers"].keys() == {"parts", "base", "left_out"}
    assert state["place"] == [0, 0, 0] and len(state["done"]) == 6


def test_a_new_trainer_continues_from_a_saved_state(
    trainer: Trainer, models: Path, tmp_path: Path
) -> None:
    state = trainer.state
    trainer.step([next(trainer.batches(range(1)))], 0, 0)
    state.epoch, state.epoch_steps = 1, 3
    state.epoch_stats = EpochStats(7, 1.5, infeasible=2)
    state.best = BestEpoch(1, DevScores(2.0, 50.0, None))
    state.history.append("1\t5")
    trainer.newbob.should_anneal(0.7)
    trainer.optimisers.anneal()
    trainer.saver.last_save = -1e9
    trainer.saver.save_if_due()
    other = Trainer(initial_model(models, "asr.yaml"), *fold_cuts(), tmp_path, 0)
    other.saver.restore()
    copy = other.state
    assert (copy.epoch, copy.epoch_steps, copy.steps) == (1, 3, 1)
    assert (copy.epoch_stats, copy.best) == (state.epoch_stats, state.best)
    assert copy.history == state.history and other.newbob.last_loss == 0.7
    assert other.optimisers.base_rates == trainer.optimisers.base_rates
    weights = trainer.system.state_dict()
    assert all(torch.equal(v, weights[name]) for name, v in other.system.state_dict().items())


def test_state_is_saved_when_due_or_requested(trainer: Trainer) -> None:
    folder = trainer.saver.snapshots.folder
    trainer.saver.save_if_due()
    assert not folder.exists()
    trainer.saver.last_save = time.monotonic() - 61 * trainer.conf.train.save_minutes
    trainer.saver.save_if_due()
    assert (folder / "0.json").is_file()
    trainer.state.steps = 4
    trainer.saver.save_if_due()
    assert not (folder / "4.json").exists()
    trainer.saver.stop.requested = 15
    with pytest.raises(SystemExit) as end:
        trainer.saver.save_if_due()
    assert end.value.code == 128 + 15 and (folder / "4.json").is_file()


def test_best_weights_are_written_with_the_next_state(trainer: Trainer) -> None:
    best = trainer.out / "best"
    trainer.saver.keep_best_weights()
    expected = {name: value.clone() for name, value in trainer.saver.best_weights.items()}
    with torch.no_grad():
        next(trainer.system.parameters()).add_(1.0)
    assert not best.exists()
    trainer.saver.last_save = -1e9
    trainer.saver.save_if_due()
    written = load_file(best / "model.safetensors")
    assert all(torch.equal(value, expected[name]) for name, value in written.items())


def test_gradients_of_a_step_are_the_sum_over_its_batches(trainer: Trainer) -> None:
    """Each batch's loss is divided by the utterances of the step."""
    step, system = trainer.train_step, trainer.system.train()
    first, second = list(trainer.batches(range(1)))[:2]
    size = len(first.ids) + len(second.ids)

    def gradients(*batches: Any) -> list[torch.Tensor]:
        trainer.optimisers.zero_grad()
        stats = [step.forward_backward(batch, 0, i, size) for batch, i in batches]
        assert [s.utterances for s in stats] == [len(batch.ids) for batch, _ in batches]
        return [p.grad.clone() for p in system.parameters() if p.grad is not None]

    both = gradients((first, 0), (second, 1))
    for total, a, b in zip(both, gradients((first, 0)), gradients((second, 1)), strict=True):
        torch.testing.assert_close(total, a + b, rtol=1e-4, atol=1e-6)
