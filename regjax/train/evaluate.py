"""Evaluation of one member: metrics without noise, and the record of a moment."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

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
    recipe: Recipe, params: Params, stats: Any, data: Data, rows: jax.Array, seed: Seed, use: Any
) -> Any:
    """Return `use(outputs, labels, weight)` of every batch of `rows`, stacked on a leading axis.

    The rows are cut into equal batches; the last is filled up with row 0 at weight 0.
    """
    count = len(rows)
    batches = -(-count // EVALUATION_BATCH)
    size = -(-count // batches)
    padded = jnp.zeros((batches * size,), rows.dtype).at[:count].set(rows).reshape(batches, size)
    weight = (jnp.arange(batches * size) < count).astype(jnp.float32).reshape(batches, size)

    def one(_: None, batch: tuple[jax.Array, jax.Array]) -> tuple[None, Any]:
        picked, w = batch
        outputs = recipe.model.apply(params, stats, seed.scale.apply(data.x[picked]), no_tap, False).outputs
        return None, use(outputs, data.y[picked], w)

    return jax.lax.scan(one, None, (padded, weight))[1]


def evaluate(recipe: Recipe, params: Params, stats: Any, data: Data, rows: jax.Array, seed: Seed) -> Record:
    """Return the SUMS over `rows` of the task's metrics without noise; the host divides, in float64."""

    def use(outputs: jax.Array, labels: jax.Array, weight: jax.Array) -> Record:
        metrics = recipe.task.metrics(outputs, labels)
        # where, not a product: 0 * inf of a padded row would be NaN
        return {name: jnp.sum(jnp.where(weight > 0, value, 0.0)) for name, value in metrics.items()}

    return jax.tree.map(jnp.sum, forward_in_batches(recipe, params, stats, data, rows, seed, use))


def predict(recipe: Recipe, params: Params, stats: Any, data: Data, rows: jax.Array, seed: Seed) -> jax.Array:
    """Return the task's predictions [rows, classes] without noise."""

    def use(outputs: jax.Array, labels: jax.Array, weight: jax.Array) -> jax.Array:
        return recipe.task.predict(outputs)

    stacked = forward_in_batches(recipe, params, stats, data, rows, seed, use)
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
    rows = {
        "train": seed.rows.train[: recipe.train_examples],
        "validation": seed.rows.validation,
        "test": seed.rows.test,
    }
    record: Record = {f"batch.{name}": value for name, value in sums._asdict().items()}
    for split, chosen in rows.items():
        for name, value in evaluate(recipe, state.params, state.stats, data, chosen, seed).items():
            record[f"{split}.{name}"] = value
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
