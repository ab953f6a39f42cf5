"""The examples that a run saw, and its network as a function, for measures that look inside."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from regjax.files import StoreError
from regjax.results import Results


class Inputs(NamedTuple):
    """The examples of a run, as its network meets them; labels and values as the data set stores them.

    Attributes:
      x_train, x_validation, x_test: scaled inputs [examples, ...], float32.
      y_train, y_validation, y_test: clean labels [examples], or values [examples] or [examples, outputs].
      given: labels that were trained on [examples]: `y_train`, but for those that label noise changed.
      rows: numbers of the examples in the data set, (train, validation, test); the test's are those of predictions.
      shift, factor: of the scaling (x - shift) * factor.
      fit: the `regjax.tasks.Fit` that the task takes from the training rows.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    given: np.ndarray
    rows: tuple[np.ndarray, np.ndarray, np.ndarray]
    shift: np.ndarray
    factor: np.ndarray
    fit: Any


def run_inputs(results: Results, cell: int, seed: int) -> Inputs:
    """Return the examples of a run, split, scaled and mislabelled as they were in training.

    Args:
      results: of a study whose data can be loaded by its name.
      cell: index of the cell.
      seed: number of the seed.

    Raises:
      StoreError: the data are no longer those that were trained on.
    """
    study, dataset, run = _plan_run(results, cell, seed)
    from regjax.plan import find_rows
    from regjax.train.inputs import seed_of

    rows = find_rows(study, dataset, run)
    shared = seed_of(study, dataset, run)
    scale = shared.scale
    x = [np.asarray(scale.apply(dataset.x[part])) for part in rows]
    y = [dataset.y[part] for part in rows]
    given = _given_labels(run, y[0], rows.train)
    shift, factor = np.asarray(scale.shift), np.asarray(scale.factor)
    numbers = (rows.train, rows.validation, rows.test)
    return Inputs(x[0], y[0], x[1], y[1], x[2], y[2], given, numbers, shift, factor, shared.fit)


def load_data(results: Results) -> Any:
    """Return the `regjax.data.Dataset` of a study, with what is known of a synthetic one."""
    return _load_study(str(results.out), results.plan["data"]["digest"], tuple(results._given.items()))[1]


def find_recipe(results: Results, cell: int) -> Any:
    """Return the `regjax.recipe.Recipe` of a cell: its network, task, regularizers and optimizer."""
    return _plan_run(results, cell, results.plan["seeds"][0])[2].recipe


def find_regularizers(results: Results, cell: int) -> list[str]:
    """Return the names of the regularizers that are on in a cell."""
    from regjax.observers import OBSERVERS

    run = _plan_run(results, cell, results.plan["seeds"][0])[2]
    return [name for name, _ in run.settings["active"] if name not in OBSERVERS]


def make_forward(results: Results, cell: int) -> Callable[[Any, Any, Any], Any]:
    """Return (params, stats, scaled inputs [examples, ...]) -> outputs before softmax, without noise; jax traces it.

    It is the network of a cell as evaluations use it: batch norm by its running statistics, all units there.
    """
    recipe = find_recipe(results, cell)
    return lambda params, stats, x: recipe.forward(params, stats, x, lambda site, h: h, False).outputs


@lru_cache(maxsize=4)
def _load_study(out: str, digest: str, given: Any) -> tuple[Any, Any, tuple[Any, ...]]:
    """Return study, data and the runs of the first seed of a run directory."""
    from regjax import runtime
    from regjax.conductor import find_dataset
    from regjax.config import parse_study
    from regjax.plan import make_plan
    from regjax.results import load_results, tuned_levels

    runtime.configure()
    plan = load_results(out).plan
    study = parse_study(plan["study"], **dict(given))
    dataset = find_dataset(study, None)
    if dataset.digest != digest:
        now = f"{study.data.name!r} is {dataset.digest}"
        raise StoreError(f"{out} was trained on data {digest}, now {now}; bring those data back, or train elsewhere")
    made = make_plan(study, dataset, tuned_levels(plan, study))
    first = made.runs[0].seed
    return made.study, dataset, tuple(run for run in made.runs if run.seed == first)


def _plan_run(results: Results, cell: int, seed: int) -> tuple[Any, Any, Any]:
    """Return study, data and run."""
    given = tuple(results._given.items())
    study, dataset, runs = _load_study(str(results.out), results.plan["data"]["digest"], given)
    run = next(run for run in runs if run.cell == cell)
    streams = {name: seed if name in study.seeds.vary else 0 for name in run.streams}
    return study, dataset, run._replace(seed=seed, streams=streams)


def _given_labels(run: Any, y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the labels that the run's own label noise makes of those of its training rows."""
    import jax.numpy as jnp

    from regjax.regularizers import Batch
    from regjax.regularizers.base import Now
    from regjax.regularizers.labels import LabelNoise

    noise = [part for part in run.recipe.regularizers if isinstance(part, LabelNoise)]
    if not noise:
        return y
    seeds = {name: jnp.uint32(number) for name, number in run.streams.items()}
    now = Now(jnp.int32(0), 1, jnp.float32(0), seeds, {}, {})
    targets = jnp.eye(run.recipe.task.num_outputs)[y]
    batch = Batch(jnp.zeros((len(y), 1)), targets, jnp.asarray(rows))
    return np.asarray(noise[0].batch(batch, now).y.argmax(axis=1)).astype(y.dtype)
