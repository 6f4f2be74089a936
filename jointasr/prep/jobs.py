"""Systems x conditions x folds: the trainings of an experiment."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jointasr.config import conf_files, layout
from jointasr.prep import folds
from jointasr.utils.errors import DataError


class TrainingJob(NamedTuple):
    """One model: a system on a training condition and a fold."""

    conf: str
    kind: str
    engine: str
    name: str
    seed: int
    condition: str
    fold: str
    data: Path
    auto: bool
    """whether batch.max_duration is to be found"""

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
) -> Iterator[TrainingJob]:
    """Every system of every seed on every condition and fold.

    Raises DataError for names that collide.
    """
    seen: dict[str, str] = {}
    for path, seed in itertools.product(confs, seeds):
        conf = conf_files.load(path, Path(), overrides)
        name = Path(path).stem + (f"-s{seed}" if seed else "")
        if seen.setdefault(name, path) != path:
            raise DataError(f"{path} and {seen[name]} would both be called {name}: rename one")
        auto = conf.batch.max_duration == "auto"
        data = Path(conf_files.data_name(conf, path, Path()))
        scheme = layout.scheme_dir(data, conf.data.scheme)
        for condition in conditions:
            for fold in folds.names(scheme, wanted):
                places = (condition, fold, scheme / fold)
                yield TrainingJob(path, conf.system, conf.ctc, name, seed, *places, auto)
