"""What one member is made of besides its recipe: the data it sees, the state it is in."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from regjax.keys import stream_key
from regjax.observers import Watch
from regjax.recipe import Recipe
from regjax.regularizers.base import Params
from regjax.tasks import NO_FIT, Fit


class Data(NamedTuple):
    """All examples, on the device once for all members: `x` [examples, ...] as stored, `y` labels.

    Labels are int32 classes [examples], or float32 values [examples] or [examples, outputs].
    """

    x: jax.Array
    y: jax.Array


class Rows(NamedTuple):
    """Which examples a run trains, validates and tests on: int32 row numbers."""

    train: jax.Array
    validation: jax.Array
    test: jax.Array


class Scale(NamedTuple):
    """How stored values become inputs: (x - shift) * factor; scalars or arrays shaped like a batch of one example."""

    shift: jax.Array
    factor: jax.Array

    def apply(self, x: jax.Array) -> jax.Array:
        """Return `x` in the dtype of `factor`, shifted and scaled."""
        return (x.astype(self.factor.dtype) - self.shift) * self.factor


class Seed(NamedTuple):
    """All that the cells of one replicate share: `streams` {name: uint32 seed}, rows, inputs' scale, task's fit."""

    streams: dict[str, jax.Array]
    rows: Rows
    scale: Scale
    fit: Fit = NO_FIT


# Running sums over the updates since the last record: mean objective of each batch, `loss`, and its mean metrics.
Sums = dict[str, jax.Array]


class State(NamedTuple):
    """State of one member between two updates; arrays only.

    Attributes:
      params, stats, opt: parameters, batch statistics, optimizer state.
      watch: memory of the stopping criteria, arrays [observers].
      diverged: first update (counted from 1) whose loss was not finite, or the evaluation that found parameters that
        were not; -1 for none.
      kept: (params, stats) of each of the recipe's moments, leaves [observers, ...].
    """

    params: Params
    stats: Any
    opt: Any
    watch: Watch
    diverged: jax.Array
    kept: tuple[tuple[Params, Any], ...]


def init_state(recipe: Recipe, seed: Seed, data: Data) -> State:
    """Return the state before the first update; parameters depend on the seed's "init" stream only."""
    x = seed.scale.apply(data.x[:1])
    num_observers = len(jax.tree.leaves(recipe.stop)[0])
    params, stats = recipe.model.init(stream_key(seed.streams["init"], "init"), x)

    def repeat(leaf: jax.Array) -> jax.Array:
        return jnp.broadcast_to(leaf, (num_observers, *leaf.shape))

    return State(
        params=params,
        stats=stats,
        opt=recipe.optimizer.direction().init(params),
        watch=jax.vmap(lambda stop: stop.init())(recipe.stop),
        diverged=jnp.int32(-1),
        kept=tuple(jax.tree.map(repeat, (params, stats)) for _ in recipe.moments),
    )
