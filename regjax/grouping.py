"""Recipes of cells: which parts a cell's program holds, so that few programs serve all cells at the least cost."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from regjax.config import CellSettings, Steps
from regjax.costs import CPU_STATE_BYTES, SECONDS_PER_DRAW, SECONDS_PER_FLOP, SECONDS_PER_PROGRAM
from regjax.models import Settings
from regjax.observers import OBSERVERS, EarlyStopping, Observer
from regjax.parts import hypers, is_off
from regjax.recipe import Recipe
from regjax.regularizers import Regularizer, Scheduled, Site
from regjax.regularizers.schedule import TIMES
from regjax.tasks import Task


class Setting(NamedTuple):
    """What the recipes of a study share: the regularizers by name, the task, the input's shape."""

    regularizers: Mapping[str, type[Regularizer]]
    task: Task
    input_shape: tuple[int, ...]


def make_recipes(
    cells: Sequence[CellSettings],
    steps: Sequence[Steps],
    setting: Setting,
    moments: tuple[str | int, ...],
    num_seeds: int,
) -> list[Recipe]:
    """Return the recipe of each cell. Cells whose recipes have one structure share a program.

    Off equals absent. A regularizer that is on in any cell is therefore in all, off where it is off: one program serves
    every subset. What costs time even where it is off (`Regularizer.costly`) is left out of the cells that have it off,
    when the time saved there is more than a second program takes to compile. What is off everywhere is left out.

    Args:
      cells, steps: settings and course of each.
      setting: what they share.
      moments: states kept beside the live one.
      num_seeds: runs of each cell.
    """
    used = [name for name in setting.regularizers if any(not off(setting, cell, name) for cell in cells)]
    apart = [name for name in used if pays_apart(name, cells, steps, setting, num_seeds)]
    groups = [tuple(off(setting, cell, name) for name in apart) for cell in cells]
    recipes = []
    for cell, course, group in zip(cells, steps, groups, strict=True):
        mates = [mate for mate, other in zip(cells, groups, strict=True) if other == group]
        kept = [name for name in used if not all(off(setting, mate, name) for mate in mates)]
        recipes.append(
            Recipe(
                optimizer=cell.optimizer,
                regularizers=tuple(make_regularizer(setting, name, cell, mates) for name in kept),
                observer=make_observer(cell, cells),
                model=cell.model.make(setting.task.num_outputs),
                task=setting.task,
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


def off(setting: Setting, cell: CellSettings, name: str) -> bool:
    """Return whether a cell has a regularizer off."""
    return name not in cell.regularizers or is_off(setting.regularizers[name], cell.regularizers[name])


def make_regularizer(setting: Setting, name: str, cell: CellSettings, mates: Sequence[CellSettings]) -> Regularizer:
    """Return a regularizer of a cell; costly hypers that are off in it and all its mates are None.

    Where it is off its settings say nothing: they are those of the first mate that has it on, so as to be in its group.
    """
    part_class = setting.regularizers[name]
    values: dict[str, Any] = dict(cell.regularizers.get(name, {}))
    if off(setting, cell, name):
        first = next(mate.regularizers[name] for mate in mates if not off(setting, mate, name))
        values |= {key: value for key, value in first.items() if key not in (*hypers(part_class), *TIMES)}
    for key in part_class.costly:
        if not any(is_on(part_class, mate.regularizers.get(name, {}), key) for mate in mates):
            values[key] = None
    times = {key: values.pop(key) for key in TIMES if key in values}
    made = part_class(**values)
    return Scheduled(made, **times) if times else made


def make_observer(cell: CellSettings, cells: Sequence[CellSettings]) -> Observer:
    """Return the observer of a cell: every average that any cell uses, off where it is off."""
    used = [
        name
        for name, part_class in OBSERVERS.items()
        if any(not is_off(part_class, mate.observers.get(name, {})) for mate in cells)
    ]
    made = {name: OBSERVERS[name](**cell.observers.get(name, {})) for name in used}
    if "snapshots" in made:
        room = max(int(mate.observers.get("snapshots", {}).get("count", 1)) for mate in cells)
        made["snapshots"] = dataclasses.replace(made["snapshots"], room=room)
    stop = made.pop("early_stopping", None) or EarlyStopping(**cell.observers.get("early_stopping", {}))
    return Observer(stop, **{name: made.get(name) for name in ("ema", "swa", "snapshots", "mc_dropout")})


def pays_apart(
    name: str, cells: Sequence[CellSettings], steps: Sequence[Steps], setting: Setting, num_seeds: int
) -> bool:
    """Return whether cells with a regularizer off finish sooner in a program without it, compile time counted.

    On an accelerator draws are next to free; whole passes over the network are not.
    """
    part_class = setting.regularizers[name]
    without = [(cell, course) for cell, course in zip(cells, steps, strict=True) if off(setting, cell, name)]
    if not part_class.costly or not without or len(without) == len(cells):
        return False
    if jax.default_backend() != "cpu":
        return part_class.passes > 0
    kinds = [
        key
        for key in part_class.costly
        if any(is_on(part_class, cell.regularizers.get(name, {}), key) for cell in cells)
    ]
    seconds = 0.0
    for cell, course in without:
        size = measure(cell, setting)
        draws = sum(part_class.count_draws(key, size.sites, size.params, size.inputs) for key in kinds)
        # The cells of a seed share their draws where they train in one row: as many as fit. Adam's state is counted.
        sharing = min(len(cells), max(1, CPU_STATE_BYTES // (12 * size.params)))
        example = draws * SECONDS_PER_DRAW / sharing + part_class.passes * size.flops * SECONDS_PER_FLOP
        seconds += num_seeds * course.steps * cell.training.batch_size * example
    return seconds / jax.device_count() > SECONDS_PER_PROGRAM


def is_on(part_class: type[Regularizer], values: Mapping[str, Any], key: str) -> bool:
    """Return whether one hyper of a cell's regularizer is not at its off value."""
    return not is_off(part_class, {key: values.get(key, hypers(part_class)[key].off)})


class Size(NamedTuple):
    """A network's size: every site with its activations per example, parameters, input features, operations of an
    example's update; whether hidden activations are maps [height, width, channels]."""

    sites: list[tuple[Site, int]]
    params: int
    inputs: int
    flops: float
    has_maps: bool


def measure(cell: CellSettings, setting: Setting) -> Size:
    """Return the size of a cell's network."""
    return _measure(cell.model, setting.task.num_outputs, setting.input_shape)


# Asked for every cell and regularizer, answered by tracing: once per network.
@functools.cache
def _measure(settings: Settings, num_outputs: int, input_shape: tuple[int, ...]) -> Size:
    model = settings.make(num_outputs)
    x = jax.ShapeDtypeStruct((1, *input_shape), "float32")
    sites: list[tuple[Site, int]] = []
    maps: list[Site] = []

    def tap(site: Site, h: jax.Array) -> jax.Array:
        sites.append((site, h.size))
        maps.extend([site] if site.kind == "hidden" and h.ndim == 4 else [])
        return h

    params, stats = jax.eval_shape(model.init, jax.eval_shape(lambda: jax.random.key(0)), x)
    jax.eval_shape(lambda p, s, inputs: model.apply(p, s, inputs, tap, True).outputs, params, stats, x)
    count = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    return Size(sites, count, x.size, count_flops(params, input_shape), bool(maps))


def count_flops(params: Any, input_shape: tuple[int, ...]) -> float:
    """Return about the floating-point operations of one example's update: 6 per weight, at every place it is used.

    A convolution's places are taken to be those of the input: too many where maps are pooled, never too few.
    """
    places = float(math.prod(input_shape[:2]))
    return sum(
        6.0 * math.prod(leaf.shape) * (places if len(leaf.shape) == 4 else 1.0) for leaf in jax.tree.leaves(params)
    )
