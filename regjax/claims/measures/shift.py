"""Internal covariate shift, measured while a network trains: what an update of the layers below does to a layer.

The runs of a study are trained again, for some updates, by the engine's own `step` from the same keys, and before and
after each update the gradient and the moments of what layers read are compared on the examples of that update.
"""

import functools
import math
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field

from regjax.claims.measures.base import Measure
from regjax.claims.measures.inputs import find_recipe, find_regularizers, run_inputs
from regjax.claims.measures.inside import pick_cells
from regjax.claims.options import Count, Where
from regjax.config.base import choice
from regjax.config.fields import words
from regjax.keys import STREAMS
from regjax.models.base import Params
from regjax.recipe import MATMULS, Recipe
from regjax.results import Results
from regjax.tasks import NO_FIT, Fit
from regjax.train.inputs import make_seed, stack_recipes
from regjax.train.population import batch_rows
from regjax.train.state import Data, Seed, State, init_state
from regjax.train.step import make_now, step

QUANTITIES = ("gradient_angle", "gradient_change", "moments", "turn")
Quantity = Annotated[str, choice(*QUANTITIES), Field(description=words(QUANTITIES))]
TINY = 1e-30


def covariate_shift(results: Results, quantity: Quantity, updates: Count = 100, where: Where = None) -> np.ndarray:
    """Return the mean over the first updates of how much a layer meets another problem after them, [cell, seed].

    With W before and V after an update, and G_l(a, b) the gradient of the batch's mean loss by the weights of layer l
    where the layers below are those of a and all others those of b, for layers l = 2, 3, ..., the output included:

        gradient_angle    mean over l of 1 - cos(G_l(W, W), G_l(V, W))
        gradient_change   mean over l of |G_l(V, W) - G_l(W, W)| / |G_l(W, W)|
        moments           mean over l of sqrt(sum_j (change of mean_j)^2 + (change of SD_j)^2) / sqrt(sum_j SD_j^2) of
                          what layer l reads, units j: the 2-Wasserstein distance of normal distributions, by their SD
        turn              1 - cos of the gradients by all weights at W and at V

    all in training mode, on the examples of the update, by the loss that is trained on: class weights and scaled
    targets are those of the run.

    Args:
      results: of a study with a network `mlp`.
      quantity: one of these.
      updates: how many are followed, from the first one on; at most those of a run.
      where: levels of the cells that are looked at, in which no regularizer is on; the others are NaN.

    Raises:
      ValueError: the network is another one, a regularizer is on in a cell that is looked at, or its runs are shorter.

    Reference: Santurkar, Tsipras, Ilyas, Madry, "How does batch normalization help optimization?" (2018), definition
    2.1. Departure: the cosine and the change, not the difference itself, which depends on the size of the gradient;
    `moments` is ours; `turn` is their gradient predictiveness at the update's own length.
    """
    values = np.full((len(results.plan["cells"]), len(results.plan["seeds"])), math.nan)
    cells = pick_cells(results, where)
    for cell in cells:
        check_cell(results, cell, updates)
    for cell in cells:
        values[cell] = follow_cell(results, cell, updates)[quantity].mean(axis=1)
    return values


def check_cell(results: Results, cell: int, updates: int) -> None:
    """Raise ValueError where the first updates of the runs of a cell are not what `covariate_shift` is defined for."""
    name, model = results.plan["cells"][cell]["name"], results.plan["study"]["model"]["name"]
    if model != "mlp":
        raise ValueError(f'got the model {model!r}, expected "mlp"')
    if on := find_regularizers(results, cell):
        raise ValueError(f"got {', '.join(on)} in cell {name!r}, expected cells without regularizers (option `where`)")
    if updates > (steps := find_recipe(results, cell).steps):
        raise ValueError(f"got updates = {updates} of cell {name!r}, expected at most the {steps} of its runs")


@functools.lru_cache(maxsize=8)
def follow_cell(results: Results, cell: int, updates: int) -> dict[str, np.ndarray]:
    """Return every quantity at every update of the runs of a cell, {quantity: [seed, updates]}."""
    found = [follow_run(results, cell, number, updates)[1] for number in results.plan["seeds"]]
    return {name: np.stack([np.asarray(one[name], np.float64) for one in found]) for name in QUANTITIES}


def follow_run(results: Results, cell: int, number: int, updates: int) -> tuple[State, dict[str, jax.Array]]:
    """Return the state of a run after its first updates, and {quantity: [updates]}."""
    recipe = jax.tree.map(lambda leaf: leaf[0], stack_recipes([find_recipe(results, cell)]))
    inputs = run_inputs(results, cell, number)
    streams = {name: number if name in results.plan["vary"] else 0 for name in STREAMS}
    rows = (np.arange(len(inputs.x_train)), (), ())
    seed = make_seed(streams, rows, np.zeros((), np.float32), np.ones((), np.float32), inputs.fit)
    found: tuple[State, dict[str, jax.Array]] = _follow(recipe, seed, inputs.x_train, inputs.y_train, updates)
    return found


@functools.partial(jax.jit, static_argnames="updates")
def _follow(recipe: Recipe, seed: Seed, x: jax.Array, y: jax.Array, updates: int) -> tuple[State, dict[str, jax.Array]]:
    """Return the state of a run after so many updates, and {quantity: [updates]}.

    Args:
      recipe: hypers as arrays.
      seed: its training rows are places in `x`, its scale does nothing.
      x, y: scaled training examples and their labels.
      updates: static.
    """
    order = batch_rows(recipe, seed, jnp.int32(0), updates)

    def update(state: State, at: tuple[jax.Array, jax.Array]) -> tuple[State, dict[str, jax.Array]]:
        index, rows = at
        now = make_now(recipe, seed, state, index)
        new, _ = step(recipe, state, x[rows], y[rows], rows, now, seed.fit)
        return new, compare(recipe, state, new.params, x[rows], y[rows], seed.fit)

    # As the engine does: what an accelerator rounds is part of the update.
    with jax.default_matmul_precision(MATMULS[recipe.precision]):
        steps = jnp.arange(updates, dtype=jnp.int32)
        return jax.lax.scan(update, init_state(recipe, seed, Data(x, y)), (steps, order))


def compare(
    recipe: Recipe, state: State, after: Params, x: jax.Array, y: jax.Array, fit: Fit = NO_FIT
) -> dict[str, jax.Array]:
    """Return every quantity of one update.

    Args:
      recipe, state: before the update.
      after: parameters after it.
      x, y: its examples, scaled, and their labels.
      fit: what the task takes from the training rows.
    """
    before = state.params

    def slope(params: Params) -> tuple[Params, list[jax.Array]]:
        def loss(params: Params) -> tuple[jax.Array, list[jax.Array]]:
            read: list[jax.Array] = []

            def tap(site: Any, h: jax.Array) -> jax.Array:
                read.extend([h] if site.kind == "hidden" else [])
                return h

            outputs = recipe.forward(params, state.stats, x, tap, True).outputs
            return jnp.mean(recipe.task.loss(outputs, recipe.task.encode(y, fit), fit.weights)), read

        return jax.grad(loss, has_aux=True)(params)

    (plain, read), (moved, read_after) = slope(before), slope(after)
    depth = len(read)
    pairs = []
    for layer in range(1, depth + 1):
        mixed = {name: (after if find_layer(name, depth) < layer else before)[name] for name in before}
        name = f"hidden_{layer}" if layer < depth else "output"
        pairs.append((plain[name]["kernel"], slope(mixed)[0][name]["kernel"]))
    return {
        "gradient_angle": jnp.mean(jnp.stack([1 - cosine(a, b) for a, b in pairs])),
        "gradient_change": jnp.mean(jnp.stack([size(b - a) / jnp.maximum(size(a), TINY) for a, b in pairs])),
        "moments": jnp.mean(jnp.stack([move(a, b) for a, b in zip(read, read_after, strict=True)])),
        "turn": 1 - cosine(flat(plain), flat(moved)),
    }


def find_layer(name: str, depth: int) -> int:
    """Return which layer a part of an `mlp` belongs to, from 0; the output is layer `depth`.

    >>> find_layer("norm_1", 2), find_layer("output", 2)
    (1, 2)
    """
    return depth if name == "output" else int(name.rsplit("_", 1)[1])


def move(before: jax.Array, after: jax.Array) -> jax.Array:
    """Return how far means and SDs of units moved between two [examples, units], by the size of the SDs before.

    >>> h = jnp.array([[-1.0, 0.0], [1.0, 0.0]])
    >>> float(move(h, h + 3.0)), float(move(h, 2 * h))
    (4.242640495300293, 1.0)
    """
    (m, s), (n, t) = ((h.mean(axis=0), h.std(axis=0)) for h in (before, after))
    return jnp.sqrt(jnp.sum((n - m) ** 2 + (t - s) ** 2) / jnp.maximum(jnp.sum(s**2), TINY))


def cosine(a: jax.Array, b: jax.Array) -> jax.Array:
    """Return the cosine of two arrays as vectors."""
    return jnp.sum(a * b) / jnp.maximum(size(a) * size(b), TINY)


def size(a: jax.Array) -> jax.Array:
    """Return the Euclidean norm of an array as a vector."""
    return jnp.sqrt(jnp.sum(a**2))


def flat(tree: Any) -> jax.Array:
    """Return all leaves of a tree as one vector."""
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])


MEASURES: dict[str, Measure] = {
    "covariate_shift": Measure(
        covariate_shift,
        f"`quantity` of {', '.join(QUANTITIES)}, mean over the first `updates` (100): how much an update of the layers "
        "below changes what a layer learns from; of an `mlp`; `where` names levels of the cells that are looked at, in "
        "which no regularizer may be on",
    ),
}
