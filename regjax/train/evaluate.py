"""Evaluation of one member: metrics without noise, and the record of a moment."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from regjax.observers import Observer
from regjax.recipe import MATMULS, Recipe, make_mask
from regjax.regularizers import Now
from regjax.regularizers.base import Params
from regjax.train.state import Data, Seed, State, Sums
from regjax.train.step import make_noise

# Examples of one forward pass: large enough for matmuls to be efficient, small enough to stay in cache.
EVALUATION_BATCH = 1000
# A power of two beside which any batch's statistics are lost.
LARGE = 2.0**60

# A weight nearer to zero than this counts as next to nothing in `near_zero_fraction`.
NEAR_ZERO = 1e-3

Record = dict[str, jax.Array]


def no_tap(site: Any, x: jax.Array) -> jax.Array:
    """Return `x`: what evaluation does at a site."""
    return x


def forward(recipe: Recipe, observer: Observer, params: Params, stats: Any, x: jax.Array, seed: Seed) -> jax.Array:
    """Return the outputs [examples, outputs] of the network that an observer sees, of examples `x` as stored.

    Args:
      recipe: of this member.
      observer: one, without the axis over observers.
      params, stats: as the observer sees them: [room, ...] where there are snapshots.
      x: examples as stored.
      seed: of this member.
    """
    inputs = seed.scale.apply(x)

    def one(network: tuple[Params, Any]) -> jax.Array:
        outputs = recipe.forward(*network, inputs, no_tap, False).outputs
        return outputs if observer.mc_dropout is None else sample(recipe, observer, *network, inputs, seed, outputs)

    if observer.snapshots is None:
        return one((params, stats))
    every = jax.lax.map(one, (params, stats))
    each = jax.vmap(lambda outputs: recipe.task.averaged(outputs, seed.fit))(every)
    mean = jnp.tensordot(observer.snapshots.weights, each, 1)
    return jnp.where(observer.snapshots.count > 1, recipe.task.link(mean, seed.fit), every[-1])


def sample(
    recipe: Recipe, observer: Observer, params: Params, stats: Any, inputs: jax.Array, seed: Seed, plain: jax.Array
) -> jax.Array:
    """Return the outputs whose predictions are the mean over samples with noise; `plain` where samples is 0."""
    count = jnp.round(observer.mc_dropout.samples).astype(jnp.int32)  # type: ignore[union-attr]
    mask = make_mask(params, recipe.decay_on)
    end = Now(jnp.int32(recipe.steps), recipe.steps, jnp.float32(0), seed.streams, params, mask)
    parts = [part.at(end._replace(step=end.step - 1)) for part in recipe.regularizers]

    def add(index: jax.Array, total: jax.Array) -> jax.Array:
        # Steps below zero: no update draws this noise.
        now = end._replace(step=-1 - index)
        used, tap = make_noise(params, [(part, now) for part in parts])
        return total + recipe.task.averaged(recipe.forward(used, stats, inputs, tap, False).outputs, seed.fit)

    total = jax.lax.fori_loop(0, count, add, jnp.zeros_like(recipe.task.averaged(plain, seed.fit)))
    return jnp.where(count > 0, recipe.task.link(total / jnp.maximum(count, 1), seed.fit), plain)


def estimate_stats(recipe: Recipe, params: Params, stats: Any, data: Data, seed: Seed) -> Any:
    """Return batch statistics of `params` on the training examples: the mean over batches, without noise.

    Running statistics are m old + (1 - m) batch: two old values, 0 and one so large that the batch's own is lost beside
    it, tell m and the batch's own to the last bits.
    """
    rows = seed.rows.train[: recipe.train_examples]
    batches, size = count_batches(len(rows))
    # What does not fill a batch is left out, so that every batch has as much weight.
    size = size if batches * size == len(rows) else len(rows) // batches

    def own(picked: jax.Array) -> Any:
        x = seed.scale.apply(data.x[picked])
        olds = [jax.tree.map(lambda leaf, value=value: jnp.full_like(leaf, value), stats) for value in (0.0, LARGE)]
        none, large = [recipe.forward(params, old, x, no_tap, True).stats for old in olds]
        return jax.tree.map(lambda z, m: z / (1 - m / LARGE), none, large)

    each = jax.lax.map(own, rows[: batches * size].reshape(batches, size))
    return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), each)


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
    recipe: Recipe, seen: tuple[Params, Any], x: jax.Array, labels: jax.Array, index: jax.Array, seed: Seed
) -> Record:
    """Return the SUMS over a batch of the task's quantities, of each split's examples, as every observer sees them.

    Args:
      recipe, seed: of this member.
      seen: (params, stats) [observers, ...] from `see`.
      x, labels: the batch as stored.
      index: which of the batches of all splits it is, int32.

    Returns:
      {quantity: [observers or 1, splits, ...]}; 1 where all observers see the live network.
    """
    lengths = [len(rows) for rows in find_splits(recipe, seed).values()]
    ends = jnp.asarray(np.cumsum(lengths), jnp.int32)
    place = index * len(x) + jnp.arange(len(x), dtype=jnp.int32)
    # Of every example: in which split it is, [splits, examples].
    member = (place[None] < ends[:, None]) & (place[None] >= (ends - jnp.asarray(lengths, jnp.int32))[:, None])

    def one(observer: Observer, network: tuple[Params, Any]) -> Record:
        metrics = recipe.task.metrics(forward(recipe, observer, *network, x, seed), labels, seed.fit)
        return {name: add(value) for name, value in metrics.items()}

    def add(value: jax.Array) -> jax.Array:
        mine = member.reshape(*member.shape, *[1] * (value.ndim - 1))
        # where, not a product: 0 * inf of another split's row would be NaN
        return jnp.sum(jnp.where(mine, value[None], 0.0), axis=1)

    if recipe.observer.looks:
        return jax.lax.map(lambda pair: one(*pair), (recipe.observer, seen))
    first = jax.tree.map(lambda leaf: leaf[0], (recipe.observer, seen))
    return jax.tree.map(lambda total: total[None], one(*first))


def evaluate(recipe: Recipe, seen: tuple[Params, Any], data: Data, seed: Seed) -> Record:
    """Return the SUMS over each split's rows of the task's quantities; the host divides, in float64.

    All splits are one pass of one network: a third of the program that a pass each would be.

    Args:
      recipe, data, seed: of this member.
      seen: (params, stats) [observers, ...] from `see`.

    Returns:
      {quantity: [batches, observers or 1, splits, ...]}, for `observe` to add up.
    """

    def use(index: jax.Array, rows: jax.Array) -> Record:
        return sum_batch(recipe, seen, data.x[rows], data.y[rows], index, seed)

    return over_batches(jnp.concatenate(list(find_splits(recipe, seed).values())), use)


def predict(
    recipe: Recipe, observer: Observer, params: Params, stats: Any, data: Data, rows: jax.Array, seed: Seed
) -> jax.Array:
    """Return the task's predictions [rows, outputs] of the network that an observer sees."""

    def use(index: jax.Array, picked: jax.Array) -> jax.Array:
        return recipe.task.predict(forward(recipe, observer, params, stats, data.x[picked], seed), seed.fit)

    stacked = over_batches(rows, use)
    return stacked.reshape(-1, stacked.shape[-1])[: len(rows)]


@jax.jit
def predict_kept(recipe: Recipe, params: Params, stats: Any, x: jax.Array, seed: Seed) -> jax.Array:
    """Return the predictions [examples, outputs] of a run's kept network, at the matmul precision of training.

    They are made in batches as those of the test set are: noise that is sampled is the same then.
    """
    rows = jnp.arange(len(x), dtype=jnp.int32)
    with jax.default_matmul_precision(MATMULS[recipe.precision]):
        return predict(recipe, recipe.observer, params, stats, Data(x, rows), rows, seed)


def observe(
    recipe: Recipe, state: State, seed: Seed, step: jax.Array, sums: Sums, evaluated: Record, seen: tuple[Params, Any]
) -> tuple[State, Record]:
    """Return the state with best, stop and kept moments brought up to date, and the record of this evaluation.

    The recipe's observers watch one and the same trajectory: every entry of the record is [observers, ...].

    Args:
      recipe, state, seed: of this member.
      step: updates made so far.
      sums: of the updates since the last record.
      evaluated: {quantity: [batches, observers or 1, splits, ...]} from `evaluate`.
      seen: (params, stats) [observers, ...] from `see`.
    """
    record: Record = {f"batch.{name}": value / recipe.every for name, value in sums.items()}
    loss = record["batch.loss"]
    totals = {name: jnp.sum(batches, axis=0) for name, batches in evaluated.items()}
    splits = find_splits(recipe, seed)
    record |= {f"{split}.{name}": total[:, i] for i, split in enumerate(splits) for name, total in totals.items()}
    held = {name: record[f"validation.{name}"] for name in totals}
    value = recipe.task.monitor(recipe.monitor, held, len(seed.rows.validation))
    bad = (state.diverged < 0) & ~all_finite(state.params)
    state = state._replace(diverged=jnp.where(bad, step, state.diverged))
    ended = (state.watch.stopped >= 0) | (state.diverged >= 0)
    value = jnp.where(state.diverged >= 0, jnp.nan, value).astype(state.watch.best.dtype)
    judge = jax.vmap(lambda observer, memory, v: observer.stop.judge(memory, v, loss, step))
    watch, improved = judge(recipe.observer, state.watch, jnp.broadcast_to(value, ended.shape))
    state = state._replace(watch=watch, kept=keep_moments(recipe, state, step, improved, ended, seen))
    record |= measure_weights(recipe, state, seen)
    record |= {"best_step": watch.best_step, "stopped": watch.stopped, "diverged": state.diverged}
    return state, {name: over_observers(value, len(ended)) for name, value in record.items()}


def over_observers(value: jax.Array, count: int) -> jax.Array:
    """Return a record's value [observers, ...]: repeated where it is one for all of them."""
    return jnp.broadcast_to(value, (count, *value.shape[1:]))


def measure_weights(recipe: Recipe, state: State, seen: tuple[Params, Any]) -> Record:
    """Return norm and shares of zeros of the weights that the study lets penalties touch, [observers or 1].

    Of an ensemble of snapshots they are those of its last network.
    """
    mask = jax.tree.leaves(make_mask(state.params, recipe.decay_on))

    def one(params: Params) -> Record:
        weights = [w for w, chosen in zip(jax.tree.leaves(params), mask, strict=True) if chosen]
        size, none = max(sum(w.size for w in weights), 1), jnp.zeros(())
        squares, zeros = [jnp.sum(jnp.square(w)) for w in weights], [jnp.sum(w == 0) for w in weights]
        near = [jnp.sum(jnp.abs(w) < NEAR_ZERO) for w in weights]
        return {
            "weight_norm": jnp.sqrt(sum(squares, none)),
            "zero_fraction": sum(zeros, none) / size,
            "near_zero_fraction": sum(near, none) / size,
        }

    if not recipe.observer.looks:
        return {name: value[None] for name, value in one(state.params).items()}
    params = seen[0]
    if recipe.observer.snapshots is not None:
        params = jax.tree.map(lambda leaf: leaf[:, -1], params)
    # One after the other: the sum over a network would depend in its last bit on how many there are.
    return jax.lax.map(one, params)


def all_finite(tree: Any) -> jax.Array:
    """Return whether every number of a tree is finite."""
    return jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree)]).all()


def keep_moments(
    recipe: Recipe, state: State, step: jax.Array, improved: jax.Array, ended: jax.Array, seen: tuple[Params, Any]
) -> tuple:
    """Return the kept states: "best" replaced on improvement, a step's until it is reached or the run has ended.

    Args:
      recipe, state, step: of this member.
      improved: whether this evaluation is the best so far, [observers].
      ended: whether the run had ended before it, [observers].
      seen: (params, stats) [observers, ...], what is kept.
    """

    def replace(take: jax.Array, new: jax.Array, was: jax.Array) -> jax.Array:
        return jnp.where(take.reshape(-1, *[1] * (new.ndim - 1)), new, was)

    kept = []
    for moment, old in zip(recipe.moments, state.kept, strict=True):
        take = improved if isinstance(moment, str) else ~ended & (step <= moment)
        kept.append(jax.tree.map(functools.partial(replace, take), seen, old))
    return tuple(kept)
