"""Evaluation of one member: metrics without noise, and the record of a moment."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from regjax.models import Model
from regjax.recipe import MATMULS, Recipe, apply_model, make_mask
from regjax.regularizers.base import Params
from regjax.tasks import Fit, Task
from regjax.train.state import Data, Scale, Seed, State, Sums

# Examples of one forward pass: large enough for matmuls to be efficient, small enough to stay in cache.
EVALUATION_BATCH = 1000

# A weight nearer to zero than this counts as next to nothing in `near_zero_fraction`.
NEAR_ZERO = 1e-3

Record = dict[str, jax.Array]


def no_tap(site: Any, x: jax.Array) -> jax.Array:
    """Return `x`: what evaluation does at a site."""
    return x


def forward(recipe: Recipe, params: Params, stats: Any, x: jax.Array, seed: Seed) -> jax.Array:
    """Return the network's outputs [examples, outputs] without noise of examples `x` as stored."""
    return recipe.forward(params, stats, seed.scale.apply(x), no_tap, False).outputs


def count_batches(count: int) -> tuple[int, int]:
    """Return into how many equal batches `count` examples are cut, and their size; the last may be filled up.

    >>> count_batches(2500)
    (3, 834)
    """
    batches = -(-count // EVALUATION_BATCH)
    return batches, -(-count // batches)


def over_batches(rows: jax.Array, use: Callable[[jax.Array, jax.Array], Any]) -> Any:
    """Return `use(index, rows of a batch)` of every batch of `rows`, stacked on a leading axis.

    The last batch is filled up with row 0, which counts nowhere.
    """
    batches, size = count_batches(len(rows))
    padded = jnp.zeros((batches * size,), rows.dtype).at[: len(rows)].set(rows).reshape(batches, size)
    indices = jnp.arange(batches, dtype=jnp.int32)
    return jax.lax.scan(lambda _, batch: (None, use(*batch)), None, (indices, padded))[1]


def find_splits(recipe: Recipe, seed: Seed) -> dict[str, jax.Array]:
    """Return the rows of each split that is evaluated; they are evaluated one after the other, in one pass."""
    train, validation, test = seed.rows
    return {"train": train[..., : recipe.train_examples], "validation": validation, "test": test}


def sum_batch(
    recipe: Recipe, params: Params, stats: Any, x: jax.Array, labels: jax.Array, index: jax.Array, seed: Seed
) -> Record:
    """Return the SUMS over a batch of the task's quantities without noise, of each split's examples in it.

    Args:
      recipe, params, stats, seed: of this member.
      x, labels: the batch as stored.
      index: which of the batches of all splits it is, int32.

    Returns:
      {quantity: [splits] or [splits, k]}.
    """
    lengths = [len(rows) for rows in find_splits(recipe, seed).values()]
    ends = jnp.asarray(np.cumsum(lengths), jnp.int32)
    place = index * len(x) + jnp.arange(len(x), dtype=jnp.int32)
    # Of every example: in which split it is, [splits, examples].
    member = (place[None] < ends[:, None]) & (place[None] >= (ends - jnp.asarray(lengths, jnp.int32))[:, None])
    metrics = recipe.task.metrics(forward(recipe, params, stats, x, seed), labels, seed.fit)

    def add(value: jax.Array) -> jax.Array:
        mine = member.reshape(*member.shape, *[1] * (value.ndim - 1))
        # where, not a product: 0 * inf of another split's row would be NaN
        return jnp.sum(jnp.where(mine, value[None], 0.0), axis=1)

    return {name: add(value) for name, value in metrics.items()}


def evaluate(recipe: Recipe, params: Params, stats: Any, data: Data, seed: Seed) -> Record:
    """Return the SUMS over each split's rows of the task's quantities without noise; the host divides, in float64.

    All splits are one pass of one network: a third of the program that a pass each would be.

    Args:
      recipe, params, stats, data, seed: of this member.

    Returns:
      {quantity: [batches, splits, ...]}, for `observe` to add up.
    """

    def use(index: jax.Array, rows: jax.Array) -> Record:
        return sum_batch(recipe, params, stats, data.x[rows], data.y[rows], index, seed)

    return over_batches(jnp.concatenate(list(find_splits(recipe, seed).values())), use)


def predict(recipe: Recipe, params: Params, stats: Any, data: Data, rows: jax.Array, seed: Seed) -> jax.Array:
    """Return the task's predictions [rows, outputs] without noise."""

    def use(index: jax.Array, picked: jax.Array) -> jax.Array:
        return recipe.task.predict(forward(recipe, params, stats, data.x[picked], seed), seed.fit)

    stacked = over_batches(rows, use)
    return stacked.reshape(-1, stacked.shape[-1])[: len(rows)]


@functools.cache
def make_predictor(model: Model, task: Task, precision: str) -> Any:
    """Return the jitted (params, stats, scale, fit, x) -> predictions of a network, at training's matmul precision."""

    def predict_all(params: Params, stats: Any, scale: Scale, fit: Fit, x: jax.Array) -> jax.Array:
        with jax.default_matmul_precision(MATMULS[precision]):
            outputs = apply_model(model, precision, params, stats, scale.apply(x), no_tap, False).outputs
            return task.predict(outputs, fit)

    return jax.jit(predict_all)


def observe(
    recipe: Recipe, state: State, seed: Seed, step: jax.Array, sums: Sums, evaluated: Record
) -> tuple[State, Record]:
    """Return the state with best, stop and kept moments brought up to date, and the record of this evaluation.

    The recipe's stopping criteria watch one and the same trajectory: their entries of the record are [observers].

    Args:
      recipe, state, seed: of this member.
      step: updates made so far.
      sums: of the updates since the last record.
      evaluated: {quantity: [batches, splits, ...]} from `evaluate`.
    """
    record: Record = {f"batch.{name}": value / recipe.every for name, value in sums.items()}
    totals = {name: jnp.sum(batches, axis=0) for name, batches in evaluated.items()}
    splits = find_splits(recipe, seed)
    record |= {f"{split}.{name}": total[i] for i, split in enumerate(splits) for name, total in totals.items()}
    held = {name: record[f"validation.{name}"] for name in totals}
    value = recipe.task.monitor(recipe.monitor, held, len(seed.rows.validation))
    bad = (state.diverged < 0) & ~all_finite(state.params)
    state = state._replace(diverged=jnp.where(bad, step, state.diverged))
    ended = (state.watch.stopped >= 0) | (state.diverged >= 0)
    value = jnp.where(state.diverged >= 0, jnp.nan, value).astype(state.watch.best.dtype)
    watch, improved = jax.vmap(lambda stop, memory: stop.judge(memory, value, step))(recipe.stop, state.watch)
    state = state._replace(watch=watch, kept=keep_moments(recipe, state, step, improved, ended))

    mask = jax.tree.leaves(make_mask(state.params, recipe.decay_on))
    weights = [w for w, chosen in zip(jax.tree.leaves(state.params), mask, strict=True) if chosen]
    record["weight_norm"] = jnp.sqrt(sum((jnp.sum(jnp.square(w)) for w in weights), jnp.float32(0)))
    size = max(sum(w.size for w in weights), 1)
    record["zero_fraction"] = sum((jnp.sum(w == 0) for w in weights), jnp.int32(0)) / size
    record["near_zero_fraction"] = sum((jnp.sum(jnp.abs(w) < NEAR_ZERO) for w in weights), jnp.int32(0)) / size
    record |= {"best_step": watch.best_step, "stopped": watch.stopped, "diverged": state.diverged}
    return state, record


def all_finite(tree: Any) -> jax.Array:
    """Return whether every number of a tree is finite."""
    return jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]).all()


def keep_moments(recipe: Recipe, state: State, step: jax.Array, improved: jax.Array, ended: jax.Array) -> tuple:
    """Return the kept states: "best" replaced on improvement, a step's until it is reached or the run has ended.

    Args:
      recipe, state, step: of this member.
      improved: whether this evaluation is the best so far, [observers].
      ended: whether the run had ended before it, [observers].
    """
    live = (state.params, state.stats)

    def replace(take: jax.Array, new: jax.Array, was: jax.Array) -> jax.Array:
        return jnp.where(take.reshape(-1, *[1] * new.ndim), new[None], was)

    kept = []
    for moment, old in zip(recipe.moments, state.kept, strict=True):
        take = improved if isinstance(moment, str) else ~ended & (step <= moment)
        kept.append(jax.tree.map(functools.partial(replace, take), live, old))
    return tuple(kept)
