"""A checked study, and the settings of one of its cells."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from regjax.config.datasets import Data
from regjax.config.fields import Field, make_part, switched_fields
from regjax.config.problems import ConfigError, Problem, dotted, show
from regjax.config.tables import TUNE_FIRST, Design, Measure, Primary, Seeds, Task, Training
from regjax.design import Drawn, find_factor
from regjax.models import MODELS, Settings
from regjax.observers import OBSERVERS
from regjax.optimizers import OPTIMIZERS
from regjax.regularizers import REGULARIZERS, Regularizer
from regjax.regularizers.schedule import TIMES

Levels = Mapping[str, Any]  # path -> level


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
        return None if path is None else (self.base or Path()) / os.path.expanduser(path)  # noqa: PTH111 - no error


@dataclass(frozen=True)
class CellSettings:
    """What a run of one cell needs beside its seed.

    Attributes:
      data: {"name", "validation", "split", "train_size", "scale", ...}, None where nothing is said.
      model: part with the static settings of the network.
      decay_on: "matrices", "all" or patterns: which leaves penalties, decays and constraints touch.
      optimizer: part with Python numbers as hypers.
      training: how long and in what portions, with the batch size of this cell.
      regularizers: {name: {hyper: value}} of every regularizer that the study names anywhere, in order of application;
        flags are 1.0 and 0.0. A hyper that has one value per layer anywhere in the study has so here: a tuple.
      observers: the same of the stopping criteria.
    """

    data: dict[str, Any]
    model: Any
    decay_on: str | tuple[str, ...]
    optimizer: Any
    training: Training
    regularizers: dict[str, dict[str, Any]]
    observers: dict[str, dict[str, Any]]


def resolve_cell(study: Study, levels: Levels) -> CellSettings:
    """Return the settings of a cell: defaults < tables of the study < `fixed` < `levels`.

    Args:
      study: a checked study.
      levels: {path: level} of the cell, and of what is tuned.

    Raises:
      ConfigError: the levels do not fit together, e.g. rates per layer for another number of layers.
    """
    given = {**study.fixed, **levels}
    model_values = _override(study.model, "model", given)
    optimizer_values = _override(study.optimizer, "optimizer", given)
    model = make_part(study.parts.models[study.model["name"]], _without(model_values, "name", "decay_on"))
    num_hidden = model.num_hidden
    problems = find_model_problems(model)
    problems += _find_optimizer_problems(optimizer_values)
    problems += _find_layer_problems(study, given, num_hidden)
    if problems:
        raise ConfigError(problems)
    batch_size = given.get("training.batch_size", study.training.batch_size)
    same = batch_size == study.training.batch_size
    return CellSettings(
        data={
            **{name: plain(getattr(study.data, name)) for name in Data.model_fields},
            "train_size": given.get("data.train_size", study.data.train_size),
        },
        model=model,
        decay_on=model_values["decay_on"],
        optimizer=make_part(OPTIMIZERS[study.optimizer["name"]], _without(optimizer_values, "name")),
        training=study.training if same else study.training.model_copy(update={"batch_size": batch_size}),
        regularizers=_named_hypers(study, study.parts.regularizers, given, num_hidden),
        observers=_named_hypers(study, OBSERVERS, given, num_hidden),
    )


def find_model_problems(model: Settings, shape: tuple[int, ...] | None = None) -> list[Problem]:
    """Return what is wrong with a model's settings, on inputs [batch, *shape] where `shape` is given."""
    return [Problem(f"model.{key}", got, expected) for key, got, expected in model.find_misfits(shape)]


def _override(table: dict[str, Any], name: str, given: Levels) -> dict[str, Any]:
    """Return a copy of the table with the given values of paths that begin with its name."""
    values = {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}
    for path, value in given.items():
        group, _, rest = path.partition(".")
        if group == name:
            *outer, key = rest.split(".")
            target = values[outer[0]] if outer else values
            target[key] = value
    return values


def _without(table: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def _find_optimizer_problems(values: dict[str, Any]) -> list[Problem]:
    problems = []
    schedule = values["schedule"]
    if schedule["name"] == "step" and schedule["every"] < 1:
        problems.append(Problem("optimizer.schedule.every", show(schedule["every"]), 'an integer >= 1 for "step"'))
    if values.get("nesterov") and not values["momentum"]:
        problems.append(Problem("optimizer.momentum", "0", "a number in (0, 1) for nesterov = true"))
    return problems


def _find_layer_problems(study: Study, given: Levels, num_hidden: int) -> list[Problem]:
    """Return the lists of values per layer whose length is not the number of hidden layers."""
    return [
        Problem(_place(study, path), f"{len(value)} values", f"{num_hidden}, one per hidden layer of the model")
        for path, value in given.items()
        if isinstance(value, tuple) and not path.startswith("model.") and len(value) != num_hidden
    ]


def _place(study: Study, path: str) -> str:
    tables = {"factors": study.factors, "tune": study.tune.factors if study.tune else {}, "fixed": study.fixed}
    return dotted(next(name for name, table in tables.items() if path in table or name == "fixed"), path)


def _named_hypers(study: Study, parts: Mapping[str, type], given: Levels, num_hidden: int) -> dict[str, dict[str, Any]]:
    levels = {path: (value,) for path, value in study.fixed.items()} | study.factors
    levels |= study.tune.factors if study.tune else {}
    named = {path.partition(".")[0] for path in levels}
    timed = {path.partition(".")[0] for path in levels if path.partition(".")[2] in TIMES}

    def resolve(name: str, key: str, field: Field) -> Any:
        value = given.get(f"{name}.{key}", field.default)
        per_layer = any(isinstance(v, tuple) for v in levels.get(f"{name}.{key}", ()))
        return _number(value, num_hidden if per_layer else None) if field.hyper else value

    return {
        name: {
            key: resolve(name, key, field)
            for key, field in switched_fields(part_class).items()
            if name in timed or key not in TIMES
        }
        for name, part_class in parts.items()
        if name in named
    }


def _number(value: Any, repeat: int | None) -> float | tuple[float, ...]:
    """Return a level as a float, or as one float per layer: runs of one program need hypers of one shape."""
    if isinstance(value, tuple):
        return value
    return float(value) if repeat is None else (float(value),) * repeat


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
