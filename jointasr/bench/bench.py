"""Measure time and memory of training and decoding on this machine, and the parts of a step."""

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

TRAIN_HOURS = HOURS * 0.9 * 0.9
"""nine of ten speakers, 90 % of their dialogues"""
DEV_HOURS = HOURS * 0.9 * 0.1
NUM_MODELS = 20
"""models of each system in Table 1: ten folds, two training conditions"""
NUM_SCENARIOS = 7
WARM_UP_STEPS = 2
PARTS = ("data", "augmentation", "encoder", "head", "ctc", "emotion", "backward", "optimiser")


class Measurements(NamedTuple):
    """Speed and memory of one system on this machine."""

    kind: str
    rate: float
    """seconds of audio per second in training, without padding"""
    step: float
    """seconds per training step"""
    parts: dict[str, float]
    """shares of the time of a step; the device is synchronised after each part"""
    padding: float
    """share of padding in the audio of an epoch"""
    utilisation: float
    """model FLOP/s, without padding, divided by the FLOP/s of the fastest matrix product"""
    memory: float
    """peak in training in GiB: of the GPU, else of the process"""
    decoding: float
    """seconds of audio per second, fp32"""
    loss: dict[str, float]
    """time of the CTC loss and its gradient by available engine, as a share of a step"""
    waits: int | None
    """synchronisations of host and GPU per step that torch detects, without those of k2 and of the
    copy of the CTC output; None on a CPU"""

    def hours(self, epochs: int) -> float:
        """Return the estimated hours of all trainings and decodings of this system in Table 1."""
        training = NUM_MODELS * epochs * TRAIN_HOURS / self.rate
        decoding = (NUM_MODELS * epochs * DEV_HOURS + NUM_SCENARIOS * 2 * HOURS) / self.decoding
        return training + decoding


class TrainingBench:
    """Measures training and decoding of a system with random weights.

    The bias of the blank is set so that the hypotheses, which are the input of BERT, are as long as
    the references.
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
        self.trainer.logger.start(self.trainer.system, cuts, cuts, 0)  # its scalars are in the time
        self.run(WARM_UP_STEPS)

    def close(self) -> None:
        """Close the files of the training's log."""
        self.trainer.logger.close()

    def measure(self, steps: int) -> Measurements:
        """Return all measurements, each over ``steps`` training steps."""
        seconds, audio_seconds = self.run(steps)
        rate, memory = audio_seconds / seconds, peak_memory()
        trainer = self.trainer
        peak_flops = flops.peak(trainer.device, trainer.train_step.dtype or torch.float32)
        return Measurements(
            kind=trainer.conf.system,
            rate=rate,
            step=seconds / steps,
            parts=self.parts(steps),
            padding=self.padding(),
            utilisation=self.operations() * rate / peak_flops,
            memory=memory,
            decoding=self.decoding(4 * steps),
            loss={engine: time * steps / seconds for engine, time in self.loss().items()},
            waits=self.synchronizations(),
        )

    def run(self, steps: int) -> tuple[float, float]:
        """Train ``steps`` steps; return the seconds taken and the seconds of audio."""
        self.trainer.system.train()
        synchronize()
        start, audio_seconds = time.perf_counter(), 0.0
        for position in range(steps):
            with self.trainer.train_step.timer("data"):
                batch = next(self.batches)
            self.trainer.step([batch], 0, position)
            audio_seconds += batch.seconds
        synchronize()
        return time.perf_counter() - start, audio_seconds

    def parts(self, steps: int) -> dict[str, float]:
        """Return the share of each part in the time of a step, measured over ``steps`` steps."""
        timer = self.trainer.train_step.timer
        timer.seconds.clear()
        timer.enabled = True
        seconds, _ = self.run(steps)
        timer.enabled = False
        shares = {part: timer.seconds[part] / seconds for part in PARTS}
        return {**shares, "other": 1 - sum(shares.values())}

    def padding(self) -> float:
        """Return the share of padding in the audio of the first epoch."""
        sampler = self.trainer.sampler
        durations = [cut.duration / sampler.speed(cut.id, 0) for cut in sampler.cuts]
        return padding_share(durations, sampler.epoch(0))

    def operations(self) -> float:
        """Return the floating-point operations of a training step per second of audio."""
        batch = next(self.batches)
        with flops.counting(self.trainer.system) as count:
            self.trainer.train_step.forward_backward(batch, 0, 0, batch.global_size)
        self.trainer.optimisers.zero_grad()
        return (count.forward + count.backward) / (batch.waves.numel() / encoder.RATE)

    def decoding(self, utterances: int) -> float:
        """Return the speed of decoding without a language model, seconds of audio per second."""
        conf = conf_files.load_decode("decode.yaml", Path(), ["method=one_best"])
        decoder = Decoder(self.trainer.model, conf, self.trainer.device)
        for count in (4, utterances):  # the first is a warm-up
            subset = CutSet.from_cuts(islice(self.cuts, count))
            synchronize()
            start = time.perf_counter()
            decode.decode(decoder, subset)
            seconds = time.perf_counter() - start
        return sum(cut.duration for cut in subset) / seconds

    def loss(self, repetitions: int = 3) -> dict[str, float]:
        """Return the seconds of the CTC loss of a batch and its gradient, by engine; {} for ser."""
        trainer = self.trainer
        if not trainer.conf.has_ctc:
            return {}
        batch = to_device(next(self.batches), trainer.device)
        with torch.no_grad():
            output = systems.forward(trainer.system, batch.waves, batch.lengths, batch.texts)
        assert output.log_probs is not None
        seconds: dict[str, list[float]] = {}
        for engine in loss.available_engines(trainer.device):
            for _ in range(repetitions + 1):  # the first is a warm-up
                leaf = output.log_probs.detach().requires_grad_()
                synchronize()
                start = time.perf_counter()
                loss.ctc_loss(leaf, output.frames, batch.targets, engine).sum().backward()
                synchronize()
                seconds.setdefault(engine, []).append(time.perf_counter() - start)
        return {engine: min(times[1:]) for engine, times in seconds.items()}

    def synchronizations(self) -> int | None:
        """Count the synchronisations of host and GPU that torch detects in a step; None on CPU."""
        if self.trainer.device.type != "cuda":
            return None
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.run(1)
        torch.cuda.set_sync_debug_mode("default")
        return sum("synchronizing" in str(warning.message) for warning in caught)

    def _set_blank_bias(self) -> None:
        """Set the bias of the blank by :func:`blank_bias` on eight utterances."""
        trainer = self.trainer
        system = trainer.system.eval()
        assert isinstance(system, systems.Asr | systems.Joint)
        last = system.head[-1]
        assert isinstance(last, nn.Linear)
        batch = to_device(trainer.data[CutSet.from_cuts(islice(self.cuts, 8))], trainer.device)
        with torch.no_grad():
            output = systems.forward(system, batch.waves, batch.lengths, batch.texts)
            assert output.log_probs is not None
            last.bias[0] += blank_bias(output.log_probs, output.frames, batch)


def blank_bias(log_probs: torch.Tensor, frames: torch.Tensor, batch: Batch) -> float:
    """Return the bias of the blank for which greedy hypotheses are as long as the targets.

    ``log_probs``: (N, T, C); ``frames``: (N,). Uses bisection.
    """
    target_length = sum(map(len, batch.targets))
    low, high = -50.0, 50.0
    while high - low > 1e-3:
        shifted = log_probs.clone()
        shifted[..., 0] += (low + high) / 2
        longer = sum(map(len, search.greedy(shifted, frames))) > target_length
        low, high = ((low + high) / 2, high) if longer else (low, (low + high) / 2)
    return high


def reset_peak_memory() -> None:
    """Reset the peak that :func:`peak_memory` returns."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> float:
    """Return the peak memory in GiB: of the GPU, or of this process if there is none."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 2**20


def total_memory() -> float:
    """Return the total memory in GiB: of the GPU, or of this machine if there is none."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(device()).total_memory / 2**30
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def machine() -> str:
    """Describe this machine: GPU or CPU, threads, torch."""
    where = device()
    name = torch.cuda.get_device_name(where) if where.type == "cuda" else "CPU"
    return f"{name}, {torch.get_num_threads()} threads, torch {torch.__version__}"
