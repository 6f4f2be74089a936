"""The training jobs of an experiment: systems x seeds x conditions x folds."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jointasr.config import conf_files, layout, schema
from jointasr.prep import folds
from jointasr.utils import files
from jointasr.utils.errors import DataError


class TrainingJob(NamedTuple):
    """The training of one model: a system and seed on a training condition and a fold."""

    conf: str
    """name of the conf file"""
    config: schema.Config
    """the conf with ``overrides``"""
    overrides: list[str]
    name: str
    """name of the conf, with -s<seed> unless the seed is 0"""
    seed: int
    condition: str
    """clean or noisy"""
    fold: str
    data: Path
    """fold folder"""

    @property
    def system(self) -> str:
        """Name and condition, e.g. joint_noisy."""
        return layout.system_name(self.name, self.condition)

    @property
    def id(self) -> str:
        """Id of the job in job tables, e.g. joint_noisy.Ses01F."""
        return f"{self.system}.{self.fold}"

    @property
    def out(self) -> Path:
        """Model folder."""
        return layout.model_dir(layout.EXP / self.system, self.fold)


def training_jobs(
    confs: list[str],
    conditions: list[str],
    requested_folds: list[str],
    seeds: list[int],
    overrides: list[str],
    num_gpus: int = 1,
) -> Iterator[TrainingJob]:
    """Yield the jobs of all systems, seeds, conditions and requested folds (all if empty).

    Where batch.max_duration is auto, it becomes the duration measured for one GPU times
    ``num_gpus``, the number of GPUs of a training; it stays auto if none was measured. Raises
    DataError if two confs give systems of the same name.
    """
    paths: dict[str, str] = {}
    for path, seed in itertools.product(confs, seeds):
        name = Path(path).stem + (f"-s{seed}" if seed else "")
        if paths.setdefault(name, path) != path:
            raise DataError(f"{path} and {paths[name]} would both be called {name}: rename one")
        settings = overrides
        conf = conf_files.load(path, Path(), settings)
        if conf.batch.max_duration == "auto" and layout.MAX_DURATION.is_file():
            seconds = num_gpus * files.read_json(layout.MAX_DURATION)["max_duration"]
            settings = [*settings, f"batch.max_duration={seconds}"]
            conf = conf_files.load(path, Path(), settings)
        data = Path(conf_files.data_name(conf, path, Path()))
        scheme = layout.scheme_dir(data, conf.data.scheme)
        for condition, fold in itertools.product(conditions, folds.select(scheme, requested_folds)):
            yield TrainingJob(path, conf, settings, name, seed, condition, fold, scheme / fold)
