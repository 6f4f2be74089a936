"""Self-test of the CTC engine on the device in use; takes a few seconds.

Both engines: torch's CTC loss against a sum over all alignments. Engine k2: loss and gradient
against torch's, best path against greedy search, words from a tiny HLG graph. Engine torch: greedy
and prefix-beam search. ``utils/doctor.sh`` runs it.
"""

import itertools
import math
import traceback
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from jointasr.ctc.lattice import best_paths
from jointasr.ctc.loss import Engine, ctc_loss, require_k2
from jointasr.ctc.search import collapse_path, greedy, one_best
from jointasr.utils.errors import DataError

Test = Callable[[str], str]
"""takes a device, returns the measured values, and raises an exception if the test fails"""


def run(device: str, engine: Engine) -> list[tuple[str, bool, str]]:
    """Run all tests on ``device`` ("cpu", "cuda:1"); return (name, passed, detail) of each test."""
    tests: dict[str, Test] = {"torch CTC = sum over alignments": _brute_force}
    if engine == "k2":
        tests |= {
            "k2 CTC = torch CTC": _losses,
            "k2 1-best = greedy": _one_best,
            "k2 tiny HLG": _hlg,
        }
    else:
        tests |= {"greedy and prefix-beam search": _searches}
    return [(name, *_passes(test, device)) for name, test in tests.items()]


def _passes(test: Test, device: str) -> tuple[bool, str]:
    """Run a test; return whether it passed, and details. Any exception is a failure."""
    try:
        return True, test(device)
    except (AssertionError, DataError) as error:
        return False, str(error)
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        text = (str(error).strip() or "no message").splitlines()[0]
        return False, f"{type(error).__name__}: {text} ({frame.name})"


def _require(condition: bool, message: str) -> str:
    """Return ``message``; raise AssertionError with it unless ``condition`` is true."""
    if not condition:
        raise AssertionError(message)
    return message


def _logits(n: int, t: int, c: int) -> Tensor:
    """Return random logits (N, T, C), the same in each run."""
    return torch.randn(n, t, c, generator=torch.Generator().manual_seed(0))


def _brute_force(device: str) -> str:
    """Compare the CTC loss with the sum over all alignments."""
    scores = _logits(3, 5, 3).log_softmax(2)
    targets: list[list[int]] = [[1, 2], [1, 1], []]
    losses = ctc_loss(scores.to(device), torch.tensor([5, 4, 3]), targets, "torch").tolist()
    worst = 0.0
    for row, (target, frames) in enumerate(zip(targets, (5, 4, 3), strict=True)):
        total = sum(
            math.exp(sum(float(scores[row, t, unit]) for t, unit in enumerate(path)))
            for path in itertools.product(range(3), repeat=frames)
            if collapse_path(path) == target
        )
        worst = max(worst, abs(losses[row] + math.log(total)))
    return _require(worst < 1e-5, f"largest difference {worst:.1e}")


def _losses(device: str) -> str:
    """Compare loss and gradient of both engines."""
    logits, frames = _logits(4, 150, 29), torch.tensor([150, 90, 40, 2])
    targets = [
        [1, 2, 2, 3] * 15,
        [4, 5, 6] * 12,
        [],
        [7, 7],
    ]  # the last one is too long for its frames
    results: dict[str, tuple[Tensor, Tensor]] = {}
    engines: tuple[Engine, Engine] = ("k2", "torch")
    for engine in engines:
        leaf = logits.clone().to(device).requires_grad_()
        losses = ctc_loss(leaf.log_softmax(2), frames, targets, engine)
        losses[losses.isfinite()].sum().backward()
        assert leaf.grad is not None
        results[engine] = losses.detach().cpu(), leaf.grad.cpu()
    (loss_k2, grad_k2), (loss_torch, grad_torch) = results["k2"], results["torch"]
    both_infinite = bool(loss_k2[3].isinf() and loss_torch[3].isinf())
    _require(both_infinite, "the loss of a target that is too long must be infinite")
    error = ((loss_k2 - loss_torch)[:3].abs() / loss_torch[:3].abs().clamp(min=1)).max()
    loss = float(error)
    gradient = float((grad_k2 - grad_torch).abs().max())
    text = f"relative difference of losses {loss:.1e}, of gradients {gradient:.1e}"
    return _require(loss <= 1e-6 and gradient <= 1e-5, text)


def _one_best(device: str) -> str:
    """Compare the best path of k2 with greedy search."""
    scores = (3 * _logits(8, 100, 29)).log_softmax(2).to(device)
    frames = torch.tensor([100, 73, 50, 20, 5, 1, 0, 100])
    best, expected = one_best(scores, frames, "k2"), greedy(scores, frames)
    agreed = sum(a == b for a, b in zip(best, expected, strict=True))
    return _require(agreed == len(expected), f"{agreed} of {len(expected)} utterances agree")


def _searches(device: str) -> str:
    """Compare greedy and prefix-beam search with known label sequences."""
    scores = torch.zeros(2, 6, 4)
    for row, path in enumerate(([1, 1, 0, 1, 2, 0], [3, 0, 0, 3, 3, 3])):
        scores[row, range(6), path] = 6.0
    scores, frames = scores.log_softmax(2).to(device), torch.tensor([6, 4])
    best, expected = greedy(scores, frames), [[1, 1, 2], [3, 3]]
    beam = one_best(scores, frames, "torch")
    return _require(best == beam == expected, f"greedy {best}, prefix beam {beam}")


# Units of the tiny lexicon: N = 1, O = 2, W = 3. Words: NO = 1, NOW = 2. NO is a prefix of NOW:
# determinization needs the disambiguation symbol #1 (4) after NO.
LEXICON = """\
0 1 1 1 0
0 3 1 2 0
0 5 -1 -1 0
1 2 2 0 0
2 0 4 0 0
3 4 2 0 0
4 0 3 0 0
5"""
GRAMMAR = """\
0 1 1 {no}
0 1 2 {now}
1 2 -1 0
2"""


def tiny_hlg(device: str, no: float) -> Any:
    """Return the k2 Fsa H o L o G of one word: NO, with probability ``no``, or NOW."""
    k2 = require_k2(device)
    lexicon = k2.Fsa.from_str(LEXICON, num_aux_labels=1)
    grammar = k2.Fsa.from_str(GRAMMAR.format(no=math.log(no), now=math.log(1 - no)), acceptor=True)
    lg = k2.connect(k2.compose(k2.arc_sort(lexicon), k2.arc_sort(grammar)))
    lg = k2.connect(k2.determinize(lg))
    labels = lg.labels.clone()
    labels[labels == 4] = 0  # #1 is no longer needed
    lg.labels = labels
    lg = k2.arc_sort(k2.connect(k2.remove_epsilon(lg)))
    topology = k2.arc_sort(k2.ctc_topo(3, modified=False))
    return k2.arc_sort(k2.connect(k2.compose(topology, lg, inner_labels="tokens"))).to(device)


def _hlg(device: str) -> str:
    """Decode with two grammars: the third utterance is ambiguous without one."""
    scores = torch.full((3, 5, 4), -4.0)
    paths = ([1, 1, 2, 0, 0], [1, 2, 2, 0, 3])
    for row, path in enumerate(paths):
        scores[row, range(5), path] = 4.0
    scores[2] = scores[0]
    # In the last frame, W is slightly more probable than blank: the grammar decides.
    scores[2, 4, 0], scores[2, 4, 3] = 3.5, 4.0
    scores, frames = scores.log_softmax(2).to(device), torch.tensor([5, 5, 5])
    words = [best_paths(tiny_hlg(device, no), scores, frames) for no in (0.9, 0.1)]
    expected = [[[1], [2], [1]], [[1], [2], [2]]]
    return _require(words == expected, f"words {words}, expected {expected}")
