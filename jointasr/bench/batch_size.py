"""Search for batch.max_duration: the smallest value that trains as fast as any that fits.

Larger batches use a GPU better up to a point; beyond it, they only reduce the number of updates.
"""

import gc
import logging
import tempfile
from pathlib import Path

import torch
from lhotse import CutSet

from jointasr.bench import bench
from jointasr.config.schema import Config
from jointasr.utils.errors import DataError

log = logging.getLogger(__name__)
DURATIONS = (25, 50, 100, 200, 400, 800)
"""seconds of audio per batch to try; 800 makes 30 updates per epoch of IEMOCAP"""
STEPS = 3
"""training steps to time for each of them"""
TOLERANCE = 0.97
"""fraction of the highest rate that counts as equally fast"""
MAX_MEMORY = 0.4
"""fraction of the memory up to which twice the batch is tried"""


def training_rates(conf: Config, cuts: CutSet, labels: list[str]) -> dict[int, float]:
    """Return the seconds of audio that training processes per second, by batch duration.

    Durations that do not fit into memory are not included. Raises DataError if none fits.
    """
    rates: dict[int, float] = {}
    for duration in DURATIONS:
        batch = conf.batch.model_copy(update={"max_duration": float(duration)})
        try:
            rate, memory = _measure(conf.model_copy(update={"batch": batch}), cuts, labels)
        except (DataError, RuntimeError) as error:  # RuntimeError: in the first optimizer step
            if "out of memory" not in str(error):
                raise
            log.info("%s: batches of %d s do not fit", conf.system, duration)
            break
        rates[duration] = rate
        log.info(
            "%s: batches of %d s: %.1f s audio/s, %.0f %% of the memory",
            *(conf.system, duration, rate, 100 * memory),
        )
        if memory > MAX_MEMORY or sum(cut.duration for cut in cuts) < 2 * duration:
            break
    if not rates:
        raise DataError(
            f"{conf.system}: not even batches of {DURATIONS[0]} s fit: set "
            "encoder.gradient_checkpointing=true, or a smaller batch.max_duration"
        )
    return rates


def _measure(conf: Config, cuts: CutSet, labels: list[str]) -> tuple[float, float]:
    """Return seconds of audio per second and the used fraction of the memory."""
    training = None
    try:
        with tempfile.TemporaryDirectory() as folder:
            training = bench.TrainingBench(conf, cuts, labels, Path(folder))
            seconds, audio = training.run(STEPS)
            training.close()
            return audio / seconds, bench.peak_memory() / bench.total_memory()
    finally:  # free the memory for the next measurement
        del training
        gc.collect()
        torch.cuda.empty_cache()


def choose(rates: dict[int, float]) -> int:
    """Return the smallest batch duration that is about as fast as the fastest."""
    best = max(rates.values())
    return min(duration for duration, rate in rates.items() if rate >= TOLERANCE * best)
