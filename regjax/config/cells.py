"""The settings of one cell of a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regjax.config.datasets import Data
from regjax.config.fields import Field, make_part, switched_fields
from regjax.config.problems import ConfigError, Problem, dotted, show
from regjax.config.study import Study, plain
from regjax.config.tables import Training
from regjax.models import Settings
from regjax.observers import OBSERVERS
from regjax.optimizers import OPTIMIZERS
from regjax.regularizers.schedule import TIMES

Levels = Mapping[str, Any]  # path -> level


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
