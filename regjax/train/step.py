"""One update of one member, as a pure function."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from regjax.models import Forward
from regjax.models.base import Tap
from regjax.optimizers import learning_rate
from regjax.recipe import Recipe, make_mask
from regjax.regularizers import Batch, Now, Regularizer, Seen
from regjax.regularizers.base import Params, Site
from regjax.tasks import NO_FIT, Fit
from regjax.train.state import Seed, State, Sums


class Acting(NamedTuple):
    """A regularizer as it is in this update, and the moment as it is given it: with its own memory."""

    part: Regularizer
    now: Now


def make_now(recipe: Recipe, seed: Seed, state: State, step: jax.Array) -> Now:
    """Return the moment of update `step` (from 0) that regularizers are given."""
    return Now(
        step=step,
        steps=recipe.steps,
        lr=learning_rate(recipe.optimizer, step, recipe.steps),
        seeds=seed.streams,
        before=state.params,
        mask=make_mask(state.params, recipe.decay_on),
    )


def step(
    recipe: Recipe, state: State, x: jax.Array, labels: jax.Array, rows: jax.Array, now: Now, fit: Fit = NO_FIT
) -> tuple[State, Sums]:
    """Return the state after one update, and the loss and metrics of its batch in training mode.

        b = batch parts(x, y);  L(w) = mean loss(model(weight parts(w), b.x; site parts), b.y) + penalties
        g = grad L(w), or grad L at where a part ascends to;   w <- projections(w - lr u(gradient parts(g)))

    Regularizers act in the order of their table.

    Args:
      recipe: what to do.
      state: before the update.
      x: scaled inputs [batch, ...].
      labels: of the examples [batch, ...], as stored.
      rows: which examples of the data set they are, int32 [batch].
      now: step, learning rate and keys of this update.
      fit: what the task takes from the seed's training rows.
    """
    parts = zip(recipe.regularizers, state.memory, strict=True)
    acting = [Acting(part.at(now), now._replace(memory=memory)) for part, memory in parts]
    batch = Batch(own(x, recipe), recipe.task.encode(labels, fit).astype(x.dtype), rows)
    for part, when in acting:
        batch = part.batch(batch, when)

    def objective(params: Params) -> tuple[jax.Array, Forward]:
        return compute_objective(recipe, acting, batch, params, state.stats, fit)

    (loss, forward), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
    gradients = settle(gradients, recipe)
    for part, when in acting:
        place = part.ascend(state.params, gradients, when)
        gradients = gradients if place is None else settle(jax.grad(objective, has_aux=True)(place)[0], recipe)
    for part, when in acting:
        gradients = part.gradient(gradients, when)
    updates, opt = recipe.optimizer.direction().update(gradients, state.opt, state.params)
    params = jax.tree.map(lambda w, u: w - now.lr * u, state.params, updates)
    for part, when in acting:
        params = part.project(params, when._replace(metric=lambda: recipe.optimizer.metric(opt, state.params)))
    memory = tuple(part.remember(params, when) for part, when in acting)

    metrics = recipe.task.batch_metrics(forward.outputs, labels, fit)
    sums = {"loss": loss, **{name: jnp.mean(value) for name, value in metrics.items()}}
    diverged = jnp.where((state.diverged < 0) & ~jnp.isfinite(loss), now.step + 1, state.diverged)
    state = state._replace(params=params, stats=forward.stats, opt=opt, memory=memory, diverged=diverged)
    return follow(recipe, state, now.step), sums


def follow(recipe: Recipe, state: State, step: jax.Array) -> State:
    """Return the state with the averages of the observers brought up to date after update `step` (from 0)."""
    if recipe.observer.ema is None:
        return state
    network = (state.params, state.stats)
    views = jax.vmap(lambda observer, memory: observer.follow(memory, network, step))(recipe.observer, state.views)
    return state._replace(views=views)


def compute_objective(
    recipe: Recipe, acting: Sequence[Acting], batch: Batch, params: Params, stats: Any, fit: Fit = NO_FIT
) -> tuple[jax.Array, Forward]:
    """Return the mean loss of a batch plus all penalties, and the forward pass without noise on its targets."""
    used, noisy = make_noise(params, acting)
    activations: dict[str, jax.Array] = {}

    def tap(site: Site, h: jax.Array) -> jax.Array:
        if site.kind != "residual":
            activations[site.name] = h
        return noisy(site, h)

    forward = recipe.forward(used, stats, batch.x, tap, True)
    seen = Seen(
        params=params,
        batch=batch,
        outputs=forward.outputs,
        activations=activations,
        network=lambda x: recipe.forward(used, stats, x, noisy, True).outputs,
        loss=lambda outputs, targets: recipe.task.loss(outputs, targets, fit.weights),
        predict=lambda outputs: recipe.task.predict(outputs, fit),
    )
    loss = jnp.mean(recipe.task.loss(forward.outputs, batch.y, fit.weights))
    for part, when in acting:
        penalty = part.penalty(seen, when)
        loss = loss if penalty is None else loss + penalty
    return loss, forward


def make_noise(params: Params, acting: Sequence[tuple[Regularizer, Now]]) -> tuple[Params, Tap]:
    """Return the parameters that a noisy forward pass uses, and what it does at its sites."""
    for part, when in acting:
        params = part.weights(params, when)

    def tap(site: Site, h: jax.Array) -> jax.Array:
        for part, when in acting:
            h = part.site(site, h, when)
        return h

    return params, tap


def own(x: jax.Array, recipe: Recipe) -> jax.Array:
    """Return `x` bit for bit, with an axis of its own for every member.

    The members of a row share their examples. XLA would merge their first layers into one product, whose transposed
    operands cost more than it saves; so `x` is multiplied by a one that only the program knows to be one.
    """
    return x * jnp.where(recipe.optimizer.learning_rate < 0, 0.0, 1.0).astype(x.dtype)


def settle(gradients: Params, recipe: Recipe) -> Params:
    """Return the gradient bit for bit, rounded before anything is done with it.

    The gradient of a norm's scale ends in a product, which the compiler fuses with the optimizer's sums, unrounded,
    where nothing stands between: what alters gradients would then change last bits at its off value. A bound that only
    the program knows to be infinite keeps them apart (a choice does not: LLVM makes a loop of each of its branches).
    Gradients of matrices come rounded from their products.
    """
    bound = jnp.where(recipe.optimizer.learning_rate < 0, 0.0, jnp.inf)
    return jax.tree.map(lambda g: g if g.ndim >= 2 else jnp.minimum(g, bound.astype(g.dtype)), gradients)
