"""One update of one member, as a pure function."""

from typing import Any

import jax
import jax.numpy as jnp

from regjax.optimizers import learning_rate
from regjax.recipe import Recipe, make_mask
from regjax.regularizers import Batch, Now
from regjax.regularizers.base import Params, Site
from regjax.tasks import NO_FIT, Fit
from regjax.train.state import Seed, State, Sums


def make_now(recipe: Recipe, seed: Seed, state: State, step: jax.Array) -> Now:
    """Return the moment of update `step` (from 0) that regularizers are given."""
    return Now(
        step=step,
        lr=learning_rate(recipe.optimizer, step, recipe.steps),
        seeds=seed.streams,
        before=state.params,
        mask=make_mask(state.params, recipe.decay_on),
    )


def step(
    recipe: Recipe, state: State, x: jax.Array, labels: jax.Array, now: Now, fit: Fit = NO_FIT
) -> tuple[State, Sums]:
    """Return the state after one update, and the loss and metrics of its batch in training mode.

        b = batch parts(x, y);  L(w) = mean loss(model(w, b.x; site parts), b.y) + penalties(w)
        w <- projections(w - lr u(grad L))

    Regularizers act in the order of their table.

    Args:
      recipe: what to do.
      state: before the update.
      x: scaled inputs [batch, ...].
      labels: [batch, ...] as stored.
      now: step, learning rate and keys of this update.
      fit: what the task takes from the seed's training rows.
    """
    batch = Batch(own(x, recipe), recipe.task.encode(labels, fit).astype(x.dtype))
    for regularizer in recipe.regularizers:
        batch = regularizer.batch(batch, now)

    def tap(site: Site, h: jax.Array) -> jax.Array:
        for regularizer in recipe.regularizers:
            h = regularizer.site(site, h, now)
        return h

    def objective(params: Params) -> tuple[jax.Array, Any]:
        forward = recipe.forward(params, state.stats, batch.x, tap, True)
        loss = jnp.mean(recipe.task.loss(forward.outputs, batch.y, fit.weights))
        for regularizer in recipe.regularizers:
            penalty = regularizer.penalty(params, now)
            loss = loss if penalty is None else loss + penalty
        return loss, forward

    (loss, forward), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
    updates, opt = recipe.optimizer.direction().update(gradients, state.opt, state.params)
    params = jax.tree.map(lambda w, u: w - now.lr * u, state.params, updates)
    for regularizer in recipe.regularizers:
        params = regularizer.project(params, now)

    metrics = recipe.task.batch_metrics(forward.outputs, labels, fit)
    sums = {"loss": loss, **{name: jnp.mean(value) for name, value in metrics.items()}}
    diverged = jnp.where((state.diverged < 0) & ~jnp.isfinite(loss), now.step + 1, state.diverged)
    return state._replace(params=params, stats=forward.stats, opt=opt, diverged=diverged), sums


def own(x: jax.Array, recipe: Recipe) -> jax.Array:
    """Return `x` bit for bit, with an axis of its own for every member.

    The members of a row share their examples. XLA would merge their first layers into one product, whose transposed
    operands cost more than it saves; so `x` is multiplied by a one that only the program knows to be one.
    """
    return x * jnp.where(recipe.optimizer.learning_rate < 0, 0.0, 1.0).astype(x.dtype)
