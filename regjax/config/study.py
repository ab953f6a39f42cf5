"""A checked study, and what it is as plain JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from regjax.config.datasets import Data
from regjax.config.problems import show
from regjax.config.tables import TUNE_FIRST, Design, Measure, Primary, Seeds, Task, Training
from regjax.design import Drawn, find_factor
from regjax.files import expand_home
from regjax.models import MODELS, Settings
from regjax.regularizers import REGULARIZERS, Regularizer


class Tune(NamedTuple):
    """Nuisance hypers chosen per cell on validation: {path: levels}, on `num_seeds` seeds that are not reported."""

    factors: dict[str, tuple]
    num_seeds: int

    @property
    def seeds(self) -> range:
        """The seeds of tuning, apart from every seed that is reported."""
        return range(TUNE_FIRST, TUNE_FIRST + self.num_seeds)


class Contrast(NamedTuple):
    """A declared contrast: mean over the cells that match `of` less mean over those that match `against`."""

    name: str
    of: dict[str, Any]
    against: dict[str, Any]


class LevelContrast(NamedTuple):
    """A declared contrast of the best level of a factor, which is chosen by a metric.

    Attributes:
      name: of the contrast.
      of: "best_level(<factor>)".
      test: "effect" of the best level against the first, or "trend" of the best level over the strata of `by`.
      by: stratum, or None.
      choose_on: "validation" for the primary metric there, or a metric.
    """

    name: str
    of: str
    test: str
    by: str | None = None
    choose_on: str = "validation"

    @property
    def factor(self) -> str:
        """The factor whose best level is asked for."""
        return find_factor(self.of) or ""


class Marker(NamedTuple):
    """A published single number of the primary metric, for the one cell that matches `when`."""

    label: str
    when: dict[str, Any]
    value: float


class Parts(NamedTuple):
    """The parts that a study may name: those of regjax, and those given from Python.

    Attributes:
      models: {name: settings class}; "custom" where a network was given.
      regularizers: {name: class} in order of application.
    """

    models: Mapping[str, type[Settings]] = MODELS
    regularizers: Mapping[str, type[Regularizer]] = REGULARIZERS


@dataclass(frozen=True)
class Study:
    """A study file as checked and resolved: every default is filled in, but those that follow from the data.

    Attributes:
      question: what is asked, one sentence.
      primary: the confirmatory number.
      data: the examples and their parts.
      model: {"name", "decay_on", and every setting of the model's part}.
      optimizer: {"name", and every setting and hyper of the optimizer's part; "schedule" is a table of its own}.
      training: how long and in what portions; the monitor is None until the data is known.
      seeds: replicates and what they draw.
      fixed: {path: value} held equal in all cells.
      factors: {path: levels}, the baseline level first.
      design: which combinations, which contrasts are confirmatory.
      measure: what is kept beyond the records.
      task: what the network is trained for.
      tune: nuisance hypers, or None.
      contrasts: declared contrasts.
      markers: published single numbers.
      base: folder of the study file, to which its paths are relative.
      parts: what it may name.
    """

    question: str
    primary: Primary
    data: Data
    model: dict[str, Any]
    optimizer: dict[str, Any]
    training: Training
    seeds: Seeds
    fixed: dict[str, Any]
    factors: dict[str, tuple]
    design: Design
    measure: Measure
    task: Task = field(default_factory=Task)
    tune: Tune | None = None
    contrasts: tuple[Contrast | LevelContrast, ...] = ()
    markers: tuple[Marker, ...] = ()
    base: Path | None = field(default=None, compare=False)
    parts: Parts = field(default=Parts(), compare=False)

    def dataset_arguments(self) -> dict[str, Any]:
        """Return the arguments of `regjax.data.load_dataset`, paths resolved against the folder of the study file."""
        data = self.data
        keys = {key: value for key, value in (("x", data.x), ("y", data.y)) if value is not None}
        paths = {"folder": self._resolve(data.folder), "path": self._resolve(data.path)}
        return {"name": data.name, **paths, **keys, **data.settings}

    def _resolve(self, path: str | None) -> Path | None:
        return None if path is None else (self.base or Path()) / expand_home(path)


def study_json(study: Study) -> dict[str, Any]:
    """Return the study as plain JSON values, tables as in the file, defaults filled in; infinite values are "off".

    `parse_study` of it gives an equal study.
    """
    tables: dict[str, Any] = {
        name: getattr(study, name)
        for name in ("question", "primary", "data", "model", "optimizer", "training", "seeds", "fixed", "factors")
    }
    tables["factors"] = {
        path: levels.span.table() if isinstance(levels, Drawn) else levels for path, levels in study.factors.items()
    }
    tables |= {"design": study.design.tables(), "measure": study.measure.tables()}
    tables["contrasts"] = [contrast._asdict() for contrast in study.contrasts]
    tables["report"] = {"markers": [marker._asdict() for marker in study.markers]}
    if task := study.task.model_dump(exclude_defaults=True):
        tables["task"] = task
    if study.tune is not None:
        tables["tune"] = {**study.tune.factors, "seeds": study.tune.num_seeds}
    return plain(tables)


def plain(value: Any) -> Any:
    """Return a value of a study as JSON can hold it: lists for tuples, "off" for infinity, no keys without value.

    >>> plain({"max_norm.bound": (float("inf"), 3.0), "margin": None})
    {'max_norm.bound': ['off', 3.0]}
    """
    if isinstance(value, BaseModel):
        return plain(value.model_dump())
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return "off" if isinstance(value, float) and value == float("inf") else value


def show_plain(value: Any) -> str:
    """Return a value of a study as a message shows it: as its file would write it, "off" for infinity.

    >>> show_plain({"max_norm.bound": float("inf")})
    '{ "max_norm.bound" = "off" }'
    """
    return show(plain(value))
