"""What a training step and a decoding cost on this machine, and where the time goes."""

import os
import time
import warnings
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from lhotse import CutSet
from torch import nn

from jointasr.bench import flops
from jointasr.bench.corpus import HOURS
from jointasr.config import conf_files, schema
from jointasr.ctc import loss, search
from jointasr.data.batch import Batch, to_device
from jointasr.data.sampler import padding_share
from jointasr.decoding import decode
from jointasr.decoding.decoder import Decoder
from jointasr.models import checkpoint, encoder, systems
from jointasr.text.lang import Units
from jointasr.training.trainer import Trainer
from jointasr.utils.distributed import device
from jointasr.utils.timer import synchronize

TRAINED = HOURS * 0.9 * 0.9  # hours: nine of ten speakers, nine tenths of their dialogues
DEV = HOURS * 0.9 * 0.1
MODELS = 20  # of a system in Table 1: ten folds, two conditions
TESTS = 7
WARM_UP = 2  # steps
PARTS = ("data", "augmentation", "encoder", "head", "ctc", "emotion", "backward", "optimiser")


class Measurements(NamedTuple):
    """Of one system on this machine."""

    kind: str
    rate: float
    """seconds of audio a second in training, padding not counted"""
    step: float
    """seconds"""
    parts: dict[str, float]
    """share of a step's time, the device finishing each part before the next begins"""
    padding: float
    """share of the computed audio, over an epoch"""
    utilisation: float
    """FLOPs that the audio needs, padding not counted, over those of the best matrix product"""
    memory: float
    """peak in training, GiB: of the card, else of the process"""
    decoding: float
    """seconds of audio a second, fp32"""
    loss: dict[str, float]
    """of each engine at hand, forward and backward: its time over that of a step"""
    waits: int | None
    """times that the host waits for the card in a step, as torch notes them: k2's and the one for
    the transcript are not among them; None on a CPU"""

    def hours(self, epochs: int) -> float:
        """Projected for this system's trainings and decodings in Table 1."""
        trained = MODELS * epochs * TRAINED / self.rate
        scored = (MODELS * epochs * DEV + TESTS * 2 * HOURS) / self.decoding
        return trained + scored


class Bench:
    """A system in training on some cuts, to be timed.

    Random weights transcribe noise, or nothing: the blank's bias is set so that hypotheses are as
    long as references, which is what BERT then reads.
    """

    def __init__(self, conf: schema.Config, cuts: CutSet, labels: list[str], out: Path) -> None:
        torch.manual_seed(0)
        model = checkpoint.initial(conf, Units.char(), labels)
        self.cuts, self.trainer = cuts, Trainer(model, cuts, cuts, out, seed=0)
        self.trainer.optimisers.scale_rates(0.0)  # the weights do not change
        if conf.has_ctc:
            self._set_blank_bias()
        self.batches = self.trainer.batches(range(1 << 20))
        reset_peak_memory()
        self.trainer.try_largest_batches(0)
        self.run(WARM_UP)

    def figures(self, steps: int) -> Measurements:
        """All of them, over so many steps for each timing."""
        seconds, spoken = self.run(steps)
        rate, memory = spoken / seconds, peak_memory()
        one = self.trainer
        best = flops.peak(one.device, one.train_step.dtype or torch.float32)
        return Measurements(
            one.conf.system,
            rate,
            seconds / steps,
            self.parts(steps),
            self.padding(),
            self.operations() * rate / best,
            memory,
            self.decoding(4 * steps),
            {engine: took * steps / seconds for engine, took in self.loss().items()},
            self.waits(),
        )

    def run(self, steps: int) -> tuple[float, float]:
        """Train so many steps: seconds that they take, seconds of audio in them."""
        one = self.trainer
        one.system.train()
        synchronize()
        start, spoken = time.perf_counter(), 0.0
        for place in range(steps):
            with one.train_step.timer("data"):
                batch = next(self.batches)
            one.step([batch], 0, place)
            spoken += batch.seconds
        synchronize()
        return time.perf_counter() - start, spoken

    def parts(self, steps: int) -> dict[str, float]:
        """Share of each part of a step in its time."""
        timer = self.trainer.train_step.timer
        timer.seconds.clear()
        timer.on = True
        seconds, _ = self.run(steps)
        timer.on = False
        shares = {part: timer.seconds[part] / seconds for part in PARTS}
        return {**shares, "other": 1 - sum(shares.values())}

    def padding(self) -> float:
        """Share of the first epoch's computed audio."""
        sampler = self.trainer.sampler
        durations = [cut.duration / sampler.speed(cut.id, 0) for cut in sampler.cuts]
        return padding_share(durations, sampler.epoch(0))

    def operations(self) -> float:
        """Floating-point operations of a training step for each second of audio."""
        batch = next(self.batches)
        with flops.counting(self.trainer.system) as count:
            self.trainer.train_step.forward_backward(batch, 0, 0, batch.global_size)
        self.trainer.optimisers.zero_grad()
        return (count.forward + count.backward) / (batch.waves.numel() / encoder.RATE)

    def decoding(self, utterances: int) -> float:
        """Seconds of audio a second, searched without a language model: there is none here."""
        conf = conf_files.load_decode("decode.yaml", Path(), ["method=one_best"])
        decoder = Decoder(self.trainer.model, conf, self.trainer.device)
        for count in (4, utterances):  # the first warms up
            some = CutSet.from_cuts(islice(self.cuts, count))
            synchronize()
            start = time.perf_counter()
            decode.decode(decoder, some)
            seconds = time.perf_counter() - start
        return sum(cut.duration for cut in some) / seconds

    def loss(self, times: int = 3) -> dict[str, float]:
        """Seconds of the CTC loss of a batch and its gradient, by engine; {} for ser."""
        one = self.trainer
        if not one.conf.has_ctc:
            return {}
        batch = to_device(next(self.batches), one.device)
        with torch.no_grad():
            output = systems.forward(one.system, batch.waves, batch.lengths, batch.texts)
        assert output.log_probs is not None
        found: dict[str, list[float]] = {}
        for engine in loss.available_engines(one.device):
            for _ in range(times + 1):  # the first does not count
                leaf = output.log_probs.detach().requires_grad_()
                synchronize()
                start = time.perf_counter()
                loss.ctc_loss(leaf, output.frames, batch.targets, engine).sum().backward()
                synchronize()
                found.setdefault(engine, []).append(time.perf_counter() - start)
        return {engine: min(took[1:]) for engine, took in found.items()}

    def waits(self) -> int | None:
        """How often torch waits for the card in a step."""
        if self.trainer.device.type != "cuda":
            return None
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as noted:
            warnings.simplefilter("always")
            self.run(1)
        torch.cuda.set_sync_debug_mode("default")
        return sum("synchronizing" in str(note.message) for note in noted)

    def _set_blank_bias(self) -> None:
        one = self.trainer
        system = one.system.eval()
        assert isinstance(system, systems.Asr | systems.Joint)
        last = system.head[-1]
        assert isinstance(last, nn.Linear)
        batch = to_device(one.data[CutSet.from_cuts(islice(self.cuts, 8))], one.device)
        with torch.no_grad():
            output = systems.forward(system, batch.waves, batch.lengths, batch.texts)
            assert output.log_probs is not None
            last.bias[0] += blank_bias(output.log_probs, output.frames, batch)


def blank_bias(log_probs: torch.Tensor, frames: torch.Tensor, batch: Batch) -> float:
    """What to add to the blank's scores for greedy hypotheses as long as the batch's targets."""
    wanted = sum(map(len, batch.targets))
    low, high = -50.0, 50.0
    while high - low > 1e-3:
        shifted = log_probs.clone()
        shifted[..., 0] += (low + high) / 2
        longer = sum(map(len, search.greedy(shifted, frames))) > wanted
        low, high = ((low + high) / 2, high) if longer else (low, (low + high) / 2)
    return high


def reset_peak_memory() -> None:
    """Let :func:`peak_memory` begin anew."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> float:
    """GiB: of the card, or of this process where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 2**20


def memory() -> float:
    """GiB that there are: of the card, or of this machine where there is none."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(device()).total_memory / 2**30
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def machine() -> str:
    """What this is: card or CPU, threads, torch."""
    where = device()
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "CPU"
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"
