"""Find batch.max_duration for this machine: the smallest value that trains as fast as any other.

All systems get the same value, so that they train with the same number of updates.
"""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from jointasr.config import conf_files, layout, schema
from jointasr.prep.jobs import training_jobs
from jointasr.utils import files, provenance
from jointasr.utils.errors import run

if TYPE_CHECKING:
    from lhotse import CutSet

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    conf_files.add_options(parser)
    parser.add_argument("--out", type=Path, default=layout.MAX_DURATION, help="file to write")
    args = parser.parse_args()

    from jointasr.bench import batch_size, bench
    from jointasr.utils.progress import start_log

    start_log()
    overrides = conf_files.split_overrides(args.set)
    rates = {
        path: batch_size.training_rates(conf, *training_data(conf, path, overrides))
        for path, conf in conf_files.load_all(args.confs, args.set).items()
        if conf.batch.max_duration == "auto"
    }
    chosen = min(map(batch_size.choose, rates.values()))
    result = {"max_duration": chosen, "device": bench.machine(), "commit": provenance.commit()}
    files.write_json(args.out, {**result, "rates": rates})
    log.info("%s: batch.max_duration %d for all systems", args.out, chosen)


def training_data(
    conf: schema.Config, path: str, overrides: list[str]
) -> "tuple[CutSet, list[str]]":
    """Return the training cuts of the first fold of the conf, and the emotion labels."""
    from jointasr.data import manifest
    from jointasr.text.lang import read_labels

    job = next(training_jobs([path], ["clean"], [], [0], overrides))
    lang = layout.lang_dir(job.data, conf.units.type, conf.units.size)
    return manifest.load(layout.set_dir(job.data, "train", "clean")), read_labels(lang)


if __name__ == "__main__":
    run(main)
