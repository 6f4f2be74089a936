"""CTC losses against a sum over all alignments, torch in double precision, and each other."""

import builtins
import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from jointasr.ctc import loss
from jointasr.ctc.loss import ctc_loss, min_frames
from jointasr.ctc.search import collapse_path
from jointasr.utils.errors import DataError

pytestmark = pytest.mark.stack


@pytest.fixture(params=["k2", "torch"])
def engine(request: pytest.FixtureRequest) -> loss.Engine:
    if request.param == "k2":
        pytest.importorskip("k2")
        return "k2"
    return "torch"


def posteriors(n: int, t: int, c: int, seed: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (scale * torch.randn(n, t, c, generator=generator)).log_softmax(dim=2)


def all_alignments(scores: Tensor, target: list[int]) -> float:
    """Return minus the log of the sum over the paths of ``scores`` (T, C) that collapse to
    ``target``."""
    paths = product(range(scores.shape[1]), repeat=scores.shape[0])
    alignments = [path for path in paths if collapse_path(path) == target]
    sums = [sum(float(scores[t, unit]) for t, unit in enumerate(path)) for path in alignments]
    return -float(torch.tensor(sums, dtype=torch.float64).logsumexp(0)) if sums else math.inf


TINY = [[], [1], [2, 1], [1, 1], [1, 2, 1], [2, 2, 2], [1, 2, 1, 2, 1], [1, 1, 2, 2]]


@pytest.mark.parametrize("frames", [1, 2, 4, 5])
def test_loss_is_the_sum_over_all_alignments(engine: loss.Engine, frames: int) -> None:
    scores = posteriors(len(TINY), 6, 3, seed=frames)
    lengths = torch.full((len(TINY),), frames)
    losses = ctc_loss(scores, lengths, TINY, engine)
    for row, target in enumerate(TINY):
        expected = all_alignments(scores[row, :frames].double(), target)
        assert losses[row].item() == pytest.approx(expected, rel=1e-6, abs=1e-6), target


def test_gradient_is_that_of_the_sum_over_all_alignments(engine: loss.Engine) -> None:
    """The gradient with respect to log posteriors, against finite differences."""
    scores = posteriors(1, 4, 3, seed=5)
    leaf = scores.clone().requires_grad_()
    ctc_loss(leaf, torch.tensor([4]), [[1, 2]], engine).sum().backward()
    assert leaf.grad is not None
    step = 1e-5
    for t, unit in product(range(4), range(3)):
        moved = scores[0].double().clone()
        moved[t, unit] += step
        up = all_alignments(moved, [1, 2])
        moved[t, unit] -= 2 * step
        slope = (up - all_alignments(moved, [1, 2])) / (2 * step)
        assert leaf.grad[0, t, unit].item() == pytest.approx(slope, abs=2e-6)


def reference(scores: Tensor, frames: Tensor, targets: list[list[int]]) -> Tensor:
    """Return torch's CTC loss of float64 copies of the posteriors."""
    return torch.nn.functional.ctc_loss(
        scores.double().transpose(0, 1),
        torch.tensor([label for target in targets for label in target], dtype=torch.long),
        frames,
        torch.tensor([len(target) for target in targets]),
        reduction="none",
        zero_infinity=False,
    )


def random_cases(batches: int, size: int) -> Iterator[tuple[Tensor, Tensor, list[list[int]]]]:
    """Yield logits, frames and targets: flat and peaked posteriors, repeats, empty and infeasible
    targets, single frames."""
    generator = torch.Generator().manual_seed(1)

    def number(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (1,), generator=generator))

    for batch in range(batches):
        classes = (2, 5, 29, 29, 100)[batch % 5]
        longest = (3, 20, 60, 150, 200)[number(0, 4)]
        scale = (0.1, 1.0, 5.0, 20.0)[batch % 4]
        logits = scale * torch.randn(size, longest, classes, generator=generator)
        frames = torch.tensor([number(1, longest) for _ in range(size)])
        labels = min(classes - 1, (4, 100)[batch % 2])  # few: many repeats
        targets = [
            [number(1, labels) for _ in range(number(0, 1 + int(n) * 2 // 3))] for n in frames
        ]
        yield logits, frames, targets


def test_k2_equals_torch_in_a_thousand_random_cases() -> None:
    pytest.importorskip("k2")
    worst_loss = worst_slope = 0.0
    cases = infeasible = 0
    for logits, frames, targets in random_cases(batches=100, size=10):
        mine, theirs = (logits.clone().requires_grad_() for _ in range(2))
        losses = ctc_loss(mine.log_softmax(2), frames, targets, "k2")
        expected = reference(theirs.log_softmax(2), frames, targets)
        fits = torch.tensor(
            [int(n) >= min_frames(target) for n, target in zip(frames, targets, strict=True)]
        )
        assert torch.equal(losses.isfinite(), fits) and torch.equal(expected.isfinite(), fits)
        losses[fits].sum().backward()
        expected[fits].sum().backward()
        assert mine.grad is not None and theirs.grad is not None
        assert not mine.grad[~fits].any()
        difference = (losses - expected)[fits].abs() / expected[fits].abs().clamp(min=1)
        worst_loss = max([worst_loss, *difference.tolist()])
        worst_slope = max(worst_slope, float((mine.grad - theirs.grad)[fits].abs().max()))
        cases, infeasible = cases + len(targets), infeasible + int((~fits).sum())
    print(f"{cases} cases: loss {worst_loss:.1e}, gradient {worst_slope:.1e}")
    assert cases == 1000 and 20 < infeasible < 500
    assert worst_loss <= 1e-6
    assert worst_slope <= 1e-5  # no case has more than 200 frames


def test_k2_equals_torch_on_long_utterances() -> None:
    pytest.importorskip("k2")
    logits = torch.randn(2, 1000, 29, generator=torch.Generator().manual_seed(2))
    frames, targets = torch.tensor([700, 1000]), [[1, 2, 2, 3] * 30, [5, 6, 7] * 50]
    slopes = []
    for which in ("torch", "k2"):
        leaf = logits.clone().requires_grad_()
        losses = ctc_loss(leaf.log_softmax(2), frames, targets, "k2" if which == "k2" else "torch")
        losses.sum().backward()
        slopes.append((losses.detach(), leaf.grad))
    assert slopes[0][1] is not None and slopes[1][1] is not None
    assert ((slopes[0][0] - slopes[1][0]).abs() <= 1e-6 * slopes[0][0]).all()
    assert (slopes[0][1] - slopes[1][1]).abs().max() <= 5e-5


def test_torch_engine_is_torch() -> None:
    for logits, frames, targets in random_cases(batches=8, size=5):
        mine, theirs = (logits.clone().requires_grad_() for _ in range(2))
        losses = ctc_loss(mine.log_softmax(2), frames, targets, "torch")
        expected = reference(theirs.log_softmax(2), frames, targets)
        torch.testing.assert_close(losses, expected, rtol=1e-12, atol=1e-12)
        losses[losses.isfinite()].sum().backward()
        expected[expected.isfinite()].sum().backward()
        assert mine.grad is not None and theirs.grad is not None
        fits = losses.isfinite()  # torch's own gradient is NaN elsewhere
        torch.testing.assert_close(mine.grad[fits], theirs.grad[fits], rtol=1e-5, atol=2e-6)


def test_edge_cases(engine: loss.Engine) -> None:
    #          no frames, empty  no frames  empty  one frame  too long  needs a blank  fits exactly
    frames = torch.tensor([0, 0, 7, 1, 2, 3, 4])
    targets = [[], [1], [], [2], [1, 2, 3], [1, 2, 2], [1, 2, 2]]
    leaf = posteriors(7, 7, 5, seed=3).requires_grad_()
    losses = ctc_loss(leaf, frames, targets, engine)
    assert losses.dtype == torch.float64 and losses.shape == (7,)
    assert losses.isinf().tolist() == [False, True, False, False, True, True, False]
    assert losses[0] == 0
    assert losses[2].item() == pytest.approx(-leaf[2, :, 0].sum().item(), rel=1e-6)
    assert losses[3].item() == pytest.approx(-leaf[3, 0, 2].item(), rel=1e-6)
    path = leaf[6, 0, 1] + leaf[6, 1, 2] + leaf[6, 2, 0] + leaf[6, 3, 2]
    assert losses[6].item() == pytest.approx(-path.item(), rel=1e-6)
    losses.sum().backward()  # the sum is infinite, the gradients are finite
    assert leaf.grad is not None and leaf.grad.isfinite().all()
    touched = leaf.grad.abs().sum(dim=2) > 0
    assert touched.sum(dim=1).tolist() == [0, 0, 7, 1, 0, 0, 4]


def test_only_infeasible_targets(engine: loss.Engine) -> None:
    leaf = posteriors(2, 3, 4, seed=4).requires_grad_()
    losses = ctc_loss(leaf, torch.tensor([1, 0]), [[1, 2], [3]], engine)
    assert losses.isinf().all()
    losses[losses.isfinite()].sum().backward()
    assert leaf.grad is not None and not leaf.grad.any()


def test_all_targets_empty(engine: loss.Engine) -> None:
    scores = posteriors(2, 3, 4, seed=4)
    losses = ctc_loss(scores, torch.tensor([3, 2]), [[], []], engine)
    expected = [-scores[0, :, 0].sum().item(), -scores[1, :2, 0].sum().item()]
    assert losses.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nonfinite_posteriors_are_named(engine: loss.Engine, value: float) -> None:
    scores = posteriors(4, 6, 5, seed=6)
    scores[2, 3, 1] = value
    scores[1, 5] = value  # padding
    frames, targets = torch.tensor([6, 5, 6, 6]), [[1], [2], [3], [1]]
    with pytest.raises(FloatingPointError, match=r"rows \[2\] .*from frame 3"):
        ctc_loss(scores, frames, targets, engine)
    scores[2, 3, 1] = -1.0
    assert ctc_loss(scores, frames, targets, engine).isfinite().all()


def test_padding_and_neighbours_do_not_matter(engine: loss.Engine) -> None:
    scores = posteriors(4, 40, 9, seed=7)
    frames, targets = torch.tensor([11, 40, 3, 25]), [[1, 1, 2], [3] * 9, [4], []]
    together = ctc_loss(scores, frames, targets, engine)
    for row in range(4):
        n = int(frames[row])
        alone = ctc_loss(scores[row : row + 1, :n], frames[row : row + 1], [targets[row]], engine)
        assert together[row].item() == pytest.approx(alone.item(), rel=1e-6)


@pytest.mark.parametrize("label", [0, -1, 5])
def test_label_out_of_range(engine: loss.Engine, label: int) -> None:
    with pytest.raises(ValueError, match=f"row 1: label {label}"):
        ctc_loss(posteriors(2, 6, 5, seed=0), torch.tensor([6, 6]), [[1], [1, label]], engine)


def test_frames_out_of_range(engine: loss.Engine) -> None:
    with pytest.raises(ValueError, match="row 1: 7 frames"):
        ctc_loss(posteriors(2, 6, 5, seed=0), torch.tensor([6, 7]), [[1], [1]], engine)


def test_half_precision_is_converted(engine: loss.Engine) -> None:
    scores = posteriors(1, 6, 5, seed=8).to(torch.bfloat16)
    frames = torch.tensor([6])
    half = ctc_loss(scores, frames, [[1, 2]], engine)
    assert half.item() == ctc_loss(scores.float(), frames, [[1, 2]], engine).item()


def test_large_lattices_are_computed_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("k2")
    logits, frames, targets = next(random_cases(1, 10))
    expected = ctc_loss(logits.log_softmax(2), frames, targets, "k2")
    monkeypatch.setattr(loss, "MAX_STATES", 1)
    assert torch.equal(expected, ctc_loss(logits.log_softmax(2), frames, targets, "k2"))


def test_default_beam_of_k2_is_too_narrow() -> None:
    """The output beam is wider than k2's default, which loses paths of an untrained model."""
    pytest.importorskip("k2")
    scores = posteriors(1, 200, 29, seed=9)
    frames, targets = torch.tensor([200]), [[1, 2, 3, 4] * 10]
    exact = ctc_loss(scores, frames, targets, "torch")
    assert ctc_loss(scores, frames, targets, "k2", beam=10) - exact > 1e-3
    assert (ctc_loss(scores, frames, targets, "k2") - exact).abs() <= 1e-6 * exact


def test_missing_k2_is_a_user_error_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "k2":
            raise ImportError("No module named 'k2'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(DataError, match=r"k2-fsa.*--ctc torch"):
        ctc_loss(posteriors(1, 3, 4, seed=0), torch.tensor([3]), [[1]], "k2")
