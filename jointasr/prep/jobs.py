"""Systems x conditions x folds: the trainings of an experiment."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jointasr.config import conf_files, layout, schema
from jointasr.data import datadir
from jointasr.prep import folds
from jointasr.utils.errors import DataError


class TrainingJob(NamedTuple):
    """One model: a system on a training condition and a fold."""

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
    wanted: list[str],
    seeds: list[int],
    overrides: list[str],
    cards: int = 1,
) -> Iterator[TrainingJob]:
    """Yield every system of every seed on every condition and fold.

    ``cards`` share the batches of a training whose batch.max_duration is auto; it stays auto until
    it has been measured. Raises DataError for names that collide.
    """
    seen: dict[str, str] = {}
    for path, seed in itertools.product(confs, seeds):
        name = Path(path).stem + (f"-s{seed}" if seed else "")
        if seen.setdefault(name, path) != path:
            raise DataError(f"{path} and {seen[name]} would both be called {name}: rename one")
        given = overrides
        conf = conf_files.load(path, Path(), given)
        if conf.batch.max_duration == "auto" and layout.MAX_DURATION.is_file():
            seconds = cards * datadir.read_json(layout.MAX_DURATION)["max_duration"]
            given = [*given, f"batch.max_duration={seconds}"]
            conf = conf_files.load(path, Path(), given)
        data = Path(conf_files.data_name(conf, path, Path()))
        scheme = layout.scheme_dir(data, conf.data.scheme)
        for condition, fold in itertools.product(conditions, folds.names(scheme, wanted)):
            yield TrainingJob(path, conf, given, name, seed, condition, fold, scheme / fold)
