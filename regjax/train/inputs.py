"""What a population is given: recipes and seeds of its runs, as host arrays with a leading member axis."""

import dataclasses
from collections.abc import Sequence
from typing import Any, cast

import jax
import numpy as np

from regjax.config import Study
from regjax.data import Dataset
from regjax.data.scaling import fit_scale, fit_targets, fit_weights
from regjax.observers import Observer
from regjax.plan import Run, find_rows
from regjax.recipe import Recipe
from regjax.tasks import NO_FIT, Fit, Regression, Task
from regjax.train.state import Rows, Scale, Seed


def stack_recipes(
    recipes: Sequence[Recipe], observers: Sequence[Sequence[Observer]] | None = None, dtype: str = "float32"
) -> Recipe:
    """Return one recipe whose hypers carry a leading member axis, as strong `dtype` arrays.

    A list of values per hidden layer becomes one array [members, layers], the observers [members, observers].

    Args:
      recipes: one per member.
      observers: those that watch each member, equally many of each; by default the recipe's own.
      dtype: of the hypers.
    """

    def join(*leaves: Any) -> np.ndarray:
        return np.stack([np.asarray(leaf, dtype) for leaf in leaves])

    watching = [jax.tree.map(join, *mine) for mine in observers or [[recipe.observer] for recipe in recipes]]
    joined = jax.tree.map(join, *recipes, is_leaf=is_rates)
    return dataclasses.replace(joined, observer=jax.tree.map(join, *watching))


def is_rates(node: Any) -> bool:
    """Return whether a node is a list of one value per hidden layer."""
    return isinstance(node, tuple) and len(node) > 0 and all(isinstance(v, (int, float)) for v in node)


def stack_seeds(seeds: Sequence[Seed], rows: bool, scale: bool) -> Seed:
    """Return one `Seed` with a leading member axis on the streams, and on rows, scale and fit where they differ."""

    def join(parts: Sequence[Any], batched: bool) -> Any:
        return jax.tree.map(lambda *leaves: np.stack(leaves), *parts) if batched else parts[0]

    return Seed(
        streams=join([seed.streams for seed in seeds], True),
        rows=join([seed.rows for seed in seeds], rows),
        scale=join([seed.scale for seed in seeds], scale),
        fit=join([seed.fit for seed in seeds], rows),
    )


def make_seed(streams: dict[str, int], rows: Any, shift: np.ndarray, factor: np.ndarray, fit: Fit = NO_FIT) -> Seed:
    """Return what a run's cells share, as host arrays."""
    return Seed(
        streams={name: cast(jax.Array, np.uint32(seed)) for name, seed in streams.items()},
        rows=Rows(*(cast(jax.Array, np.asarray(part, np.int32)) for part in rows)),
        scale=Scale(*(cast(jax.Array, np.asarray(value)) for value in (shift, factor))),
        fit=fit,
    )


def seed_of(study: Study, dataset: Dataset, run: Run) -> Seed:
    """Return what all cells of a run's seed share, as host arrays."""
    rows = find_rows(study, dataset, run)
    fit = fit_task(run.recipe.task, study.task.class_weights, study.task.scale_targets, dataset.y, rows.train)
    return make_seed(run.streams, rows, *fit_scale(dataset, rows.train, study.data.scale), fit)


def fit_task(
    task: Task, class_weights: str | tuple[float, ...], scale_targets: bool, y: np.ndarray, train: np.ndarray
) -> Fit:
    """Return what a task takes from the labels `y` of the training rows, as host arrays; nothing where it needs none.

    Args:
      task: of the runs.
      class_weights, scale_targets: of the study's table `[task]`.
      y: all labels.
      train: training rows; no other row is looked at.
    """
    if isinstance(task, Regression):
        shift, spread, centre = fit_targets(y, train, scale_targets)
        return Fit(shift=cast(jax.Array, shift), spread=cast(jax.Array, spread), centre=cast(jax.Array, centre))
    if class_weights == "none":
        return NO_FIT
    return Fit(weights=cast(jax.Array, fit_weights(y, train, class_weights, max(task.num_outputs, 2))))
