"""Small networks through the very functions that an update and an evaluation are made of, on a few drawn examples.

Draws come from fixed keys.
"""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from regjax.keys import STREAMS
from regjax.models import MLP
from regjax.observers import EarlyStopping, Observer
from regjax.optimizers import SGD
from regjax.recipe import Recipe
from regjax.regularizers import Regularizer
from regjax.tasks import Classification
from regjax.train import evaluate
from regjax.train.inputs import stack_recipes
from regjax.train.state import Data, Rows, Scale, Seed, State, init_state
from regjax.train.step import make_noise, make_now, step

BATCH, FEATURES, CLASSES = 64, 16, 4
# No activation of a sigmoid is zero by itself.
NETWORK = MLP((100, 100), activation="sigmoid")


def start(*parts: Regularizer, model: MLP = NETWORK) -> tuple[Recipe, Seed, State]:
    """Return a recipe with these regularizers, a seed and the state before the first update."""
    recipe = Recipe(
        optimizer=SGD(0.1),
        regularizers=parts,
        observer=Observer(EarlyStopping()),  # type: ignore[call-arg]
        model=model.make(CLASSES),
        task=Classification(CLASSES),
        batch_size=BATCH,
        steps=100,
        every=10,
        decay_on="matrices",
        monitor="nll",
        moments=(),
        train_examples=BATCH,
    )
    recipe = jax.tree.map(lambda leaf: leaf[0], stack_recipes([recipe]))
    none: Any = np.zeros(0, np.int32)
    streams: Any = {name: np.uint32(0) for name in STREAMS}
    seed = Seed(streams, Rows(none, none, none), Scale(jnp.float32(0), jnp.float32(1)))
    x, labels = draw_examples()
    return recipe, seed, jax.jit(init_state)(recipe, seed, Data(jnp.asarray(x), jnp.asarray(labels)))


def draw_examples(number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return batch `number` of inputs, neither centred nor of unit variance, and labels."""
    generator = np.random.default_rng(number)
    x = 2.0 + 3.0 * generator.normal(size=(BATCH, FEATURES))
    return x.astype(np.float32), generator.integers(CLASSES, size=BATCH).astype(np.int32)


def noisy_passes(part: Regularizer, x: np.ndarray) -> list[np.ndarray]:
    """Return hidden units as they enter and leave their sites, [2, examples, units], of the first and second update."""
    return [np.concatenate(_noisy_pass(*start(part), x, index), axis=2) for index in (0, 1)]


@jax.jit
def _noisy_pass(recipe: Recipe, seed: Seed, state: State, x: jax.Array, index: jax.Array) -> list[jax.Array]:
    now = make_now(recipe, seed, state, index)
    used, noisy = make_noise(state.params, [(part, now) for part in recipe.regularizers])
    seen: list[jax.Array] = []

    def tap(site: Any, h: jax.Array) -> jax.Array:
        out = noisy(site, h)
        seen.extend([jnp.stack([h, out])] if site.kind == "hidden" else [])
        return out

    recipe.forward(used, state.stats, x, tap, True)
    return seen


def moved_by_update(part: Regularizer, x: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return how far an update on one example moves weights in and out of zeroed units at most, and of the others."""
    recipe, seed, state = start(part)
    (_, after), _ = noisy_passes(part, x[:1])

    @jax.jit
    def update(state: State) -> State:
        now = make_now(recipe, seed, state, jnp.int32(0))
        return step(recipe, state, jnp.asarray(x[:1]), jnp.asarray(labels[:1]), jnp.zeros(1, jnp.int32), now)[0]

    moved = jax.tree.map(lambda a, b: np.abs(np.asarray(a - b)), update(state).params, state.params)
    kernels = [moved[name]["kernel"] for name in ("hidden_0", "hidden_1", "output")]
    of_unit = [np.maximum(into.max(axis=0), out.max(axis=1)) for into, out in itertools.pairwise(kernels)]
    zero = after[0] == 0
    return float(np.concatenate(of_unit)[zero].max()), float(np.concatenate(of_unit)[~zero].max())


def infer(part: Regularizer, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return outputs and hidden units [examples, units] of an evaluation with a regularizer, at initial weights."""
    recipe, seed, state = start(part)
    observer = jax.tree.map(lambda leaf: leaf[0], recipe.observer)
    outputs, units = _evaluation(recipe, observer, state, x, seed)
    return np.asarray(outputs), np.concatenate(units, axis=1)


@jax.jit
def _evaluation(
    recipe: Recipe, observer: Observer, state: State, x: jax.Array, seed: Seed
) -> tuple[jax.Array, list[jax.Array]]:
    seen: list[jax.Array] = []

    def apply(params: Any, stats: Any, x: jax.Array, tap: Any, train: bool) -> Any:
        def look(site: Any, h: jax.Array) -> jax.Array:
            out: jax.Array = tap(site, h)
            seen.extend([out] if site.kind == "hidden" else [])
            return out

        return recipe.model.apply(params, stats, x, look, train)

    watched = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, apply=apply))
    return evaluate.forward(watched, observer, state.params, state.stats, x, seed), seen


def around_norm(place: str, train: bool, scale: float = 1.0, bias: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return what enters the norms of two hidden layers, and what their sites hold, [examples, units of both].

    On new examples, the running averages being those of 100 batches.

    Args:
      place: of the norm, "before" or "after" the ReLU.
      train: by the batch's own statistics, else by running averages.
      scale, bias: of the norms.
    """
    recipe, _, state = start(model=MLP((32, 32), norm="batch", norm_place=place))  # type: ignore[arg-type]
    params = dict(state.params)
    for layer in ("0", "1"):
        params[f"norm_{layer}"] = {"scale": jnp.full(32, scale), "bias": jnp.full(32, bias)}
        if place == "after":
            # A bias that keeps every unit of the ReLU at work: a dead one has variance 0 whatever follows.
            params[f"hidden_{layer}"] = {**params[f"hidden_{layer}"], "bias": jnp.full(32, 15.0)}

    @functools.partial(jax.jit, static_argnums=2)
    def look(stats: Any, x: jax.Array, train: bool) -> tuple[Any, list[jax.Array]]:
        seen: list[jax.Array] = []

        def tap(site: Any, h: jax.Array) -> jax.Array:
            seen.extend([h] if site.kind == "hidden" else [])
            return h

        return recipe.forward(params, stats, x, tap, train).stats, seen

    stats = state.stats
    for number in range(1, 101):
        stats, _ = look(stats, jnp.asarray(draw_examples(number)[0]), True)
    x = draw_examples()[0]
    sites = [np.asarray(h, np.float64) for h in look(stats, jnp.asarray(x), train)[1]]
    layers = [jax.tree.map(np.asarray, params[f"hidden_{layer}"]) for layer in ("0", "1")]
    entered = [h @ w["kernel"] + w.get("bias", 0.0) for h, w in zip((x, sites[0]), layers, strict=True)]
    if place == "after":
        entered = [np.maximum(h, 0) for h in entered]
    return np.concatenate(entered, axis=1), np.concatenate(sites, axis=1)
