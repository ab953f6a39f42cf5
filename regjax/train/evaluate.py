"""Evaluation of one member: metrics without noise, and the record of a moment."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from regjax.models import Model
from regjax.recipe import Recipe, make_mask
from regjax.regularizers.base import Params
from regjax.tasks import Classification
from regjax.train.state import Data, Scale, Seed, State, Sums

# Examples of one forward pass: large enough for matmuls to be efficient, small enough to stay in cache.
EVALUATION_BATCH = 1000

Record = dict[str, jax.Array]


def no_tap(site: Any, x: jax.Array) -> jax.Array:
    """Return `x`: what evaluation does at a site."""
    return x


def forward_in_batches(
    recipe: Recipe, params: Params, stats: Any, data: Data, rows: jax.Array, member: jax.Array, seed: Seed, use: Any
) -> Any:
    """Return `use(outputs, labels, member)` of every batch of `rows`, stacked on a leading axis.

    The rows are cut into equal batches; the last is filled up with row 0, which is a member of nothing.

    Args:
      recipe, params, stats, data, seed: of this member.
      rows: examples.
      member: bool [..., rows], cut like the rows.
      use: what to make of a batch.
    """
    count = len(rows)
    batches = -(-count // EVALUATION_BATCH)
    size = -(-count // batches)
    padded = jnp.zeros((batches * size,), rows.dtype).at[:count].set(rows).reshape(batches, size)
    filled = jnp.zeros((*member.shape[:-1], batches * size), bool).at[..., :count].set(member)
    chosen = jnp.moveaxis(filled.reshape(*member.shape[:-1], batches, size), -2, 0)

    def one(_: None, batch: tuple[jax.Array, jax.Array]) -> tuple[None, Any]:
        picked, part = batch
        outputs = recipe.model.apply(params, stats, seed.scale.apply(data.x[picked]), no_tap, False).outputs
        return None, use(outputs, data.y[picked], part)

    return jax.lax.scan(one, None, (padded, chosen))[1]


def evaluate(
    recipe: Recipe, params: Params, stats: Any, data: Data, splits: dict[str, jax.Array], seed: Seed
) -> Record:
    """Return the SUMS over each split's rows of the task's metrics without noise; the host divides, in float64.

    All splits are one pass of one network: a third of the program that a pass each would be.

    Args:
      recipe, params, stats, data, seed: of this member.
      splits: {name: rows}.

    Returns:
      {"<split>.<metric>": scalar}.
    """
    lengths = [len(rows) for rows in splits.values()]
    ends = jnp.asarray(np.cumsum(lengths), jnp.int32)
    place = jnp.arange(sum(lengths), dtype=jnp.int32)
    # Of every row: in which split it is, [splits, rows].
    member = (place[None] < ends[:, None]) & (place[None] >= (ends - jnp.asarray(lengths, jnp.int32))[:, None])

    def use(outputs: jax.Array, labels: jax.Array, chosen: jax.Array) -> Record:
        metrics = recipe.task.metrics(outputs, labels)
        # where, not a product: 0 * inf of another split's row would be NaN
        return {name: jnp.sum(jnp.where(chosen, value[None], 0.0), axis=1) for name, value in metrics.items()}

    rows = jnp.concatenate(list(splits.values()))
    sums = forward_in_batches(recipe, params, stats, data, rows, member, seed, use)
    totals = jax.tree.map(lambda batches: jnp.sum(batches, axis=0), sums)
    return {f"{split}.{name}": total[i] for i, split in enumerate(splits) for name, total in totals.items()}


def predict(recipe: Recipe, params: Params, stats: Any, data: Data, rows: jax.Array, seed: Seed) -> jax.Array:
    """Return the task's predictions [rows, classes] without noise."""

    def use(outputs: jax.Array, labels: jax.Array, member: jax.Array) -> jax.Array:
        return recipe.task.predict(outputs)

    every = jnp.ones(len(rows), bool)
    stacked = forward_in_batches(recipe, params, stats, data, rows, every, seed, use)
    return stacked.reshape(-1, stacked.shape[-1])[: len(rows)]


@functools.cache
def make_predictor(model: Model, task: Classification) -> Any:
    """Return the jitted (params, stats, scale, x) -> predictions of a network, at the matmul precision of training."""

    def predict_all(params: Params, stats: Any, scale: Scale, x: jax.Array) -> jax.Array:
        with jax.default_matmul_precision("highest"):
            return task.predict(model.apply(params, stats, scale.apply(x), no_tap, False).outputs)

    return jax.jit(predict_all)


def observe(recipe: Recipe, state: State, seed: Seed, data: Data, step: jax.Array, sums: Sums) -> tuple[State, Record]:
    """Return the state with best, stop and kept moments brought up to date, and the record of this evaluation.

    The recipe's stopping criteria watch one and the same trajectory: their entries of the record are [observers].

    Args:
      recipe, state, seed, data: of this member.
      step: updates made so far.
      sums: of the updates since the last record, already divided by their number.
    """
    splits = {
        "train": seed.rows.train[: recipe.train_examples],
        "validation": seed.rows.validation,
        "test": seed.rows.test,
    }
    record: Record = {f"batch.{name}": value for name, value in sums._asdict().items()}
    record |= evaluate(recipe, state.params, state.stats, data, splits, seed)
    monitored = record[f"validation.{recipe.monitor}"] / len(seed.rows.validation)
    value = -monitored if recipe.monitor == "accuracy" else monitored
    ended = (state.watch.stopped >= 0) | (state.diverged >= 0)
    value = jnp.where(state.diverged >= 0, jnp.nan, value).astype(state.watch.best.dtype)
    watch, improved = jax.vmap(lambda stop, memory: stop.judge(memory, value, step))(recipe.stop, state.watch)
    state = state._replace(watch=watch, kept=keep_moments(recipe, state, step, improved, ended))

    mask = jax.tree.leaves(make_mask(state.params, recipe.decay_on))
    weights = [w for w, chosen in zip(jax.tree.leaves(state.params), mask, strict=True) if chosen]
    record["weight_norm"] = jnp.sqrt(sum((jnp.sum(jnp.square(w)) for w in weights), jnp.float32(0)))
    record["zero_fraction"] = sum((jnp.sum(w == 0) for w in weights), jnp.int32(0)) / max(
        sum(w.size for w in weights), 1
    )
    record |= {"best_step": watch.best_step, "stopped": watch.stopped, "diverged": state.diverged}
    return state, record


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
