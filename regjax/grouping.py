"""Recipes of cells: which parts a cell's program holds, so that few programs serve all cells at the least cost."""

import math
from collections.abc import Sequence
from typing import Any

import jax

from regjax.config import CellSettings, Steps
from regjax.costs import CPU_STATE_BYTES, SECONDS_PER_DRAW, SECONDS_PER_PROGRAM
from regjax.observers import OBSERVERS, Patience
from regjax.parts import hypers, is_off
from regjax.recipe import Recipe
from regjax.regularizers import REGULARIZERS, Regularizer, Site
from regjax.tasks import Task


def make_recipes(
    cells: Sequence[CellSettings],
    steps: Sequence[Steps],
    task: Task,
    moments: tuple[str | int, ...],
    input_shape: tuple[int, ...],
    num_seeds: int,
) -> list[Recipe]:
    """Return the recipe of each cell. Cells whose recipes have one structure share a program.

    Off equals absent. A regularizer that is on in any cell is therefore in all, off where it is off: one program serves
    every subset. What costs time even where it is off (`Regularizer.costly`) is left out of the cells that have it off,
    when the time saved there is more than a second program takes to compile. What is off everywhere is left out.

    Args:
      cells, steps: settings and course of each.
      task: of all cells.
      moments: states kept beside the live one.
      input_shape: of one example.
      num_seeds: runs of each cell.
    """
    used = [name for name in REGULARIZERS if any(not off(cell, name) for cell in cells)]
    apart = [name for name in used if pays_apart(name, cells, steps, task.num_outputs, input_shape, num_seeds)]
    groups = [tuple(off(cell, name) for name in apart) for cell in cells]
    recipes = []
    for cell, course, group in zip(cells, steps, groups, strict=True):
        mates = [mate for mate, other in zip(cells, groups, strict=True) if other == group]
        kept = [name for name in used if not all(off(mate, name) for mate in mates)]
        recipes.append(
            Recipe(
                optimizer=cell.optimizer,
                regularizers=tuple(make_regularizer(name, cell, mates) for name in kept),
                stop=OBSERVERS["early_stopping"](**cell.observers["early_stopping"])
                if cell.observers
                else Patience(patience=math.inf),
                model=cell.model.make(task.num_outputs),
                task=task,
                batch_size=cell.training.batch_size,
                steps=course.steps,
                every=course.evaluate_steps,
                decay_on=cell.decay_on,
                monitor=str(cell.training.monitor).split(".")[1],
                moments=moments,
                train_examples=cell.training.train_examples,
                precision=cell.training.precision,
            )
        )
    return recipes


def off(cell: CellSettings, name: str) -> bool:
    """Return whether a cell has a regularizer off."""
    return name not in cell.regularizers or is_off(REGULARIZERS[name], cell.regularizers[name])


def make_regularizer(name: str, cell: CellSettings, mates: Sequence[CellSettings]) -> Regularizer:
    """Return a regularizer of a cell; costly hypers that are off in it and all its mates are None."""
    part_class = REGULARIZERS[name]
    values: dict[str, Any] = dict(cell.regularizers.get(name, {}))
    for key in part_class.costly:
        if not any(is_on(mate, name, key) for mate in mates):
            values[key] = None
    return part_class(**values)


def pays_apart(
    name: str,
    cells: Sequence[CellSettings],
    steps: Sequence[Steps],
    num_outputs: int,
    input_shape: tuple[int, ...],
    num_seeds: int,
) -> bool:
    """Return whether cells with a regularizer off finish sooner in a program without it, compile time counted.

    On an accelerator draws are next to free, and one program is best.
    """
    part_class = REGULARIZERS[name]
    without = [(cell, course) for cell, course in zip(cells, steps, strict=True) if off(cell, name)]
    if not part_class.costly or not without or len(without) == len(cells) or jax.default_backend() != "cpu":
        return False
    kinds = [key for key in part_class.costly if any(is_on(cell, name, key) for cell in cells)]
    seconds = 0.0
    for cell, course in without:
        draws, params = count_draws(cell, kinds, num_outputs, input_shape)
        # The cells of a seed share their draws where they train in one row: as many as fit. Adam's state is counted.
        sharing = min(len(cells), max(1, CPU_STATE_BYTES // (12 * params)))
        seconds += num_seeds * course.steps * cell.training.batch_size * draws * SECONDS_PER_DRAW / sharing
    return seconds / jax.device_count() > SECONDS_PER_PROGRAM


def is_on(cell: CellSettings, name: str, key: str) -> bool:
    """Return whether one hyper of a cell's regularizer is not at its off value."""
    part_class = REGULARIZERS[name]
    return not is_off(part_class, {key: cell.regularizers.get(name, {}).get(key, hypers(part_class)[key].off)})


def count_draws(
    cell: CellSettings, kinds: Sequence[str], num_outputs: int, input_shape: tuple[int, ...]
) -> tuple[int, int]:
    """Return the activations of one example at a network's sites of these kinds, and the number of its parameters."""
    model = cell.model.make(num_outputs)
    x = jax.ShapeDtypeStruct((1, *input_shape), "float32")
    sizes: list[int] = []

    def tap(site: Site, h: jax.Array) -> jax.Array:
        sizes.append(h.size if site.kind in kinds else 0)
        return h

    params, stats = jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), x)
    jax.eval_shape(lambda p, s, inputs: model.apply(p, s, inputs, tap, True).outputs, params, stats, x)
    return sum(sizes), sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
