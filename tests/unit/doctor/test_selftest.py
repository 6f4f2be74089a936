"""The self-test passes on a working machine within seconds, and detects wrong results."""

import time

import pytest
import torch

from jointasr.doctor import selftest

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("engine", ["k2", "torch"])
def test_working_machine(engine: str) -> None:
    if engine == "k2":
        pytest.importorskip("k2")
    start = time.monotonic()
    results = selftest.run("cpu", "k2" if engine == "k2" else "torch")
    assert len(results) >= 2
    assert all(passed for _, passed, _ in results), results
    assert all(detail for _, _, detail in results)
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("engine", ["k2", "torch"])
def test_wrong_loss_is_detected(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine == "k2":
        pytest.importorskip("k2")
    original = selftest.ctc_loss

    def wrong(scores: torch.Tensor, *rest: object) -> torch.Tensor:
        loss = original(scores, *rest)
        return loss * 1.001 if rest[-1] == engine else loss

    monkeypatch.setattr(selftest, "ctc_loss", wrong)
    results = selftest.run("cpu", "k2" if engine == "k2" else "torch")
    failed = [name for name, passed, _ in results if not passed]
    assert failed == [
        {"k2": "k2 CTC = torch CTC", "torch": "torch CTC = sum over alignments"}[engine]
    ]


def test_wrong_gradient_is_detected(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("k2")
    original = selftest.ctc_loss

    def wrong(scores: torch.Tensor, *rest: object) -> torch.Tensor:
        loss = original(scores, *rest)
        return loss + 0.001 * (loss - loss.detach()) if rest[-1] == "k2" else loss

    monkeypatch.setattr(selftest, "ctc_loss", wrong)
    failed = [name for name, passed, _ in selftest.run("cpu", "k2") if not passed]
    assert failed == ["k2 CTC = torch CTC"]


def test_a_crash_is_one_failed_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object) -> None:
        raise RuntimeError("CUDA error: no kernel image\nmore")

    monkeypatch.setattr(selftest, "greedy", crash)
    results = {name: (ok, text) for name, ok, text in selftest.run("cpu", "torch")}
    ok, text = results["greedy and prefix-beam search"]
    assert not ok
    assert text == "RuntimeError: CUDA error: no kernel image (crash)"


def test_missing_k2_is_reported_with_the_fix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "k2", None)
    results = selftest.run("cpu", "k2")
    assert [ok for _, ok, _ in results] == [True, False, False, False]
    assert all("--ctc torch" in text for _, ok, text in results if not ok)
