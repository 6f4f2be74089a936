"""The training jobs of an experiment: systems x seeds x conditions x folds."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jointasr.config import conf_files, layout, schema
from jointasr.data import datadir
from jointasr.prep import folds
from jointasr.utils.errors import DataError


class TrainingJob(NamedTuple):
    """The training of one model: a system and seed on a training condition and a fold."""

    conf: str
    """name of the conf file"""
    config: schema.Config
    """the conf with ``overrides``"""
    overrides: list[str]
    name: str
    seed: int
    condition: str
    fold: str
    data: Path
    """folder of the fold"""

    @property
    def system(self) -> str:
        return layout.system_name(self.name, self.condition)

    @property
    def id(self) -> str:
        return f"{self.system}.{self.fold}"

    @property
    def out(self) -> Path:
        return layout.model_dir(layout.EXP / self.system, self.fold)


def training_jobs(
    confs: list[str],
    conditions: list[str],
    requested_folds: list[str],
    seeds: list[int],
    overrides: list[str],
    cards: int = 1,
) -> Iterator[TrainingJob]:
    """Yield the jobs of all systems, seeds, conditions and requested folds (all if empty).

    ``cards`` share the batches of a training whose batch.max_duration is auto; it stays auto until
    it has been measured. Raises DataError if two confs give systems of the same name.
    """
    paths: dict[str, str] = {}
    for path, seed in itertools.product(confs, seeds):
        name = Path(path).stem + (f"-s{seed}" if seed else "")
        if paths.setdefault(name, path) != path:
            raise DataError(f"{path} and {paths[name]} would both be called {name}: rename one")
        settings = overrides
        conf = conf_files.load(path, Path(), settings)
        if conf.batch.max_duration == "auto" and layout.MAX_DURATION.is_file():
            seconds = cards * datadir.read_json(layout.MAX_DURATION)["max_duration"]
            settings = [*settings, f"batch.max_duration={seconds}"]
            conf = conf_files.load(path, Path(), settings)
        data = Path(conf_files.data_name(conf, path, Path()))
        scheme = layout.scheme_dir(data, conf.data.scheme)
        for condition, fold in itertools.product(conditions, folds.select(scheme, requested_folds)):
            yield TrainingJob(path, conf, settings, name, seed, condition, fold, scheme / fold)
