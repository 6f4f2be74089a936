"""Find batch.max_duration for this machine: the smallest that is as fast as any that fits.

Larger batches make better use of a card up to a point, beyond which they only mean fewer steps of
the optimiser. All systems get the same number, so that their budgets are equal.
"""

import argparse
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr.config import conf_files, layout, schema
from jointasr.prep.jobs import training_jobs
from jointasr.utils import files, provenance
from jointasr.utils.errors import DataError, run

if TYPE_CHECKING:
    from lhotse import CutSet

log = logging.getLogger(__name__)
LADDER = (25, 50, 100, 200, 400, 800)  # seconds; 800 is 30 steps in an epoch of IEMOCAP
STEPS = 3
AS_FAST = 0.97  # of the best rate
ROOM = 0.4  # share of the memory that the next, twice as large, may make twice of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    conf_files.add_options(parser)
    parser.add_argument("--out", type=Path, default=layout.MAX_DURATION, help="file to write")
    args = parser.parse_args()

    from jointasr.bench import bench
    from jointasr.utils.progress import start_log

    start_log()
    tried = {}
    overrides = conf_files.split_overrides(args.set)
    for path, conf in conf_files.load_all(args.confs, args.set).items():
        if conf.batch.max_duration == "auto":
            tried[path] = rates(conf, *training_data(conf, path, overrides))
    chosen = min(map(choose, tried.values()))
    found = {"max_duration": chosen, "device": bench.machine(), "commit": provenance.commit()}
    files.write_json(args.out, {**found, "rates": tried})
    log.info("batch.max_duration %d, for all systems: %s", chosen, args.out)


def training_data(
    conf: schema.Config, path: str, overrides: list[str]
) -> "tuple[CutSet, list[str]]":
    """Cuts and emotions of the first fold that the conf trains on."""
    from jointasr.data import manifest
    from jointasr.text.lang import read_labels

    job = next(training_jobs([path], ["clean"], [], [0], overrides))
    lang = layout.lang_dir(job.data, conf.units.type, conf.units.size)
    return manifest.load(layout.set_dir(job.data, "train", "clean")), read_labels(lang)


def rates(conf: schema.Config, cuts: "CutSet", labels: list[str]) -> dict[int, float]:
    """Seconds of audio a second in training, by seconds of audio in a batch, as far as they fit."""
    found: dict[int, float] = {}
    for seconds in LADDER:
        batch = conf.batch.model_copy(update={"max_duration": float(seconds)})
        try:
            rate, share = trial(conf.model_copy(update={"batch": batch}), cuts, labels)
        except (DataError, RuntimeError) as error:  # torch's own from the optimiser's first step
            if "out of memory" not in str(error):
                raise
            log.info("%s: batches of %d s do not fit", conf.system, seconds)
            break
        found[seconds] = rate
        told = (conf.system, seconds, rate, 100 * share)
        log.info("%s: batches of %d s: %.1f s audio/s, %.0f %% of the memory", *told)
        if share > ROOM or sum(cut.duration for cut in cuts) < 2 * seconds:
            break
    if not found:
        raise DataError(
            f"{conf.system}: not even batches of {LADDER[0]} s fit: set "
            "encoder.gradient_checkpointing=true, or a smaller batch.max_duration"
        )
    return found


def trial(conf: schema.Config, cuts: "CutSet", labels: list[str]) -> tuple[float, float]:
    """Seconds of audio a second, and the share of the memory that was needed."""
    import gc

    import torch

    from jointasr.bench import bench

    one = None
    try:
        with tempfile.TemporaryDirectory() as folder:
            one = bench.TrainingBench(conf, cuts, labels, Path(folder))
            took, spoken = one.run(STEPS)
            return spoken / took, bench.peak_memory() / bench.total_memory()
    finally:  # the next must find the memory free
        del one
        gc.collect()
        torch.cuda.empty_cache()


def choose(rates: dict[int, float]) -> int:
    """The smallest of the batches that are as fast as the fastest, within a few per cent."""
    best = max(rates.values())
    return min(seconds for seconds, rate in rates.items() if rate >= AS_FAST * best)


if __name__ == "__main__":
    run(main)
