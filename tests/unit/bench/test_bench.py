"""Benchmarks: FLOP counts against closed forms and torch, consistency of the measurements."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny
import torch
from lhotse import CutSet
from torch import nn

from jointasr.bench import batch_size, bench, corpus, flops
from jointasr.bin import bench as command
from jointasr.ctc import search
from jointasr.data.batch import to_device
from jointasr.utils.errors import DataError
from jointasr.utils.project import ROOT

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> CutSet:
    return corpus.write(tmp_path_factory.mktemp("corpus"), 120)


@pytest.fixture
def training_bench(models: Path, cuts: CutSet, tmp_path: Path) -> bench.TrainingBench:
    conf = tiny.conf(models, "joint.yaml")
    return bench.TrainingBench(conf, cuts, tiny.LABELS, tmp_path)


def test_durations_of_iemocap() -> None:
    drawn = corpus.durations(50000)
    assert len(drawn) == 50000 and drawn.min() > 0.585 and drawn.max() < 34.14
    assert drawn.mean() == pytest.approx(4.55, rel=0.03)
    for size, padded in ((4, 0.76), (8, 1.21), (16, 1.69)):
        groups = drawn[: len(drawn) // size * size].reshape(-1, size)
        assert size * groups.max(1).sum() / groups.sum() - 1 == pytest.approx(padded, abs=0.06)


def test_the_corpus(cuts: CutSet) -> None:
    """Archive and wav files have the same samples; cuts load; words per second as in IEMOCAP."""
    words = sum(len(cut.supervisions[0].text.split()) for cut in cuts)
    assert words / sum(cut.duration for cut in cuts) == pytest.approx(2.54, rel=0.1)
    cut = next(iter(cuts))
    source = Path(cut.recording.sources[0].source.rpartition(":")[0])
    wave, _ = soundfile.read(source.parent / "wavs" / f"{cut.id}.wav", dtype="float32")
    np.testing.assert_array_equal(cut.load_audio()[0], wave)


def test_operations_of_layers() -> None:
    """Two per multiply-add; three times as many in training, for trained layers."""
    model = nn.Sequential(nn.Conv1d(6, 8, 5, stride=2, groups=2), nn.Linear(10, 3))
    model[0].requires_grad_(False)
    with flops.counting(model) as count:
        model(torch.zeros(4, 6, 23))  # -> (4, 8, 10) -> (4, 8, 3)
    convolution, linear = 2 * 4 * 8 * 10 * (6 // 2) * 5, 2 * 4 * 8 * 3 * 10
    assert count.forward == convolution + linear and count.backward == 2 * linear
    model(torch.zeros(4, 6, 23))
    assert count.forward == convolution + linear  # not counted outside


@pytest.mark.skipif(find_spec("torch.utils.flop_counter") is None, reason="torch 2.1 or newer")
def test_operations_of_a_system_agree_with_torch(training_bench: bench.TrainingBench) -> None:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    system = training_bench.trainer.system.eval()
    batch = to_device(next(training_bench.batches), training_bench.trainer.device)
    counter = FlopCounterMode(display=False)  # it counts the matrix products of this backend
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), flops.counting(system) as ours, counter:
        bench.systems.forward(system, batch.waves, batch.lengths, batch.texts)
    assert ours.forward == pytest.approx(counter.get_total_flops(), rel=0.02)


def test_peak_is_a_rate() -> None:
    found = flops.peak(torch.device("cpu"), torch.float32, size=256, seconds=0.2)
    assert 1e8 < found < 1e13


def test_measurements_are_consistent(training_bench: bench.TrainingBench) -> None:
    found = training_bench.measure(steps=2)
    assert sum(found.parts.values()) == pytest.approx(1)
    assert all(-0.01 <= share < 1 for share in found.parts.values()), found.parts
    assert found.parts["encoder"] > 0 and found.parts["backward"] > 0
    assert 0 < found.padding < 0.2 and 0 < found.utilisation < 1 and found.memory > 0
    assert found.loss.keys() == ({"torch", "k2"} if find_spec("k2") else {"torch"})
    assert found.waits is None or found.waits > 0
    assert found.hours(epochs=2) > found.hours(epochs=1) > 0
    assert "model FLOPs utilisation" in command.text(found)


def test_hypotheses_become_as_long_as_references(training_bench: bench.TrainingBench) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = next(training_bench.batches)
    frames = training_bench.trainer.system.encoder.frames(batch.lengths)
    scores = torch.randn(len(batch.ids), int(frames.max()), 29, generator=generator).log_softmax(-1)
    scores[..., 0] += bench.blank_bias(scores, frames, batch)
    found = sum(map(len, search.greedy(scores, frames)))
    assert found == pytest.approx(sum(map(len, batch.targets)), rel=0.02)


def test_joint_compared_with_asr_and_ser() -> None:
    rows = [
        {"kind": kind, "seconds": 100.0, "rate": rate, "decoding": rate}
        for kind, rate in (("asr", 10.0), ("ser", 10.0), ("joint", 8.0))
    ]
    words = command.compare_joint(rows)
    assert "takes 0.62 of the time of asr's and ser's together" in words
    assert "joint training 1.25 of asr's" in words
    assert command.compare_joint(rows[:2]) == ""


@pytest.mark.parametrize(
    ("rates", "chosen"),
    [({25: 10.0, 50: 19.0, 100: 20.0, 200: 20.4}, 100), ({25: 3.0}, 25), ({25: 9.0, 50: 8.0}, 25)],
)
def test_the_smallest_batch_that_is_as_fast(rates: dict[int, float], chosen: int) -> None:
    assert batch_size.choose(rates) == chosen


def test_batches_that_do_not_fit(
    models: Path, cuts: CutSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search ends at the first; if that is the smallest, the error names options to change."""
    limit = 60.0

    def run(self: bench.TrainingBench, steps: int) -> tuple[float, float]:
        seconds = self.trainer.conf.batch.seconds
        if seconds > limit:
            raise DataError("out of memory on a batch")
        return 1.0, seconds

    monkeypatch.setattr(bench.TrainingBench, "run", run)
    monkeypatch.setattr(bench, "total_memory", lambda: 1e6)
    conf = tiny.conf(models, "ser.yaml", "batch.max_duration=auto")
    many = CutSet.from_cuts(cut.with_id(f"{cut.id}-{i}") for i in range(9) for cut in cuts)
    assert batch_size.training_rates(conf, many, tiny.LABELS) == {25: 25.0, 50: 50.0}
    limit = 1.0
    with pytest.raises(DataError, match=r"not even batches of 25 s fit: set encoder\.gradient"):
        batch_size.training_rates(conf, many, tiny.LABELS)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments,
        cwd=ROOT,
        env={**os.environ, "JOINTASR_VENV": sys.prefix, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.mark.slow
def test_bench_from_the_command_line(tmp_path: Path) -> None:
    engine = "k2" if find_spec("k2") else "torch"
    done = run(
        *("utils/bench.sh", "--conf", "conf/asr.yaml", "--shape", "tiny", "--seconds", "10"),
        *("--steps", "1", "--set", f"ctc={engine}", "--json", str(tmp_path / "figures.json")),
    )
    assert done.returncode == 0, done.stderr
    for words in ("per cent of a step: data", "CTC loss and its gradient", "Table 1 with these"):
        assert words in done.stdout
    assert (tmp_path / "figures.json").is_file()


@pytest.mark.slow
def test_bench_of_the_data() -> None:
    done = run(sys.executable, "-m", "jointasr.bin.bench_data", "--minutes", "1")
    assert done.returncode == 0, done.stderr
    for words in ("reading an utterance", "x real time on one core", "twice the corpus:"):
        assert words in done.stdout
