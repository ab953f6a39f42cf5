"""Small recipes and a bare training loop around `train.step`, shared by the tests of the numerical core."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from regjax.keys import hash_name, stream_key
from regjax.models import MLP
from regjax.observers import EarlyStopping, Observer
from regjax.optimizers import SGD, Optimizer
from regjax.recipe import Recipe
from regjax.regularizers import Regularizer, Seen
from regjax.regularizers.noise import drop
from regjax.tasks import Classification
from regjax.train.inputs import stack_recipes
from regjax.train.state import Data, Rows, Scale, Seed, State, Sums, init_state
from regjax.train.step import make_now, step

NUM_FEATURES, NUM_CLASSES, WIDTHS = 8, 3, (12, 10)
PLAIN_SGD, PLAIN_MLP = SGD(0.1), MLP(WIDTHS)


def make_recipe(
    *regularizers: Regularizer,
    optimizer: Optimizer = PLAIN_SGD,
    model: MLP = PLAIN_MLP,
    dtype: str = "float32",
    num_outputs: int = NUM_CLASSES,
    **changes: Any,
) -> Recipe:
    """Return a recipe for the small task; `changes` replace its static fields."""
    fields: dict[str, Any] = {
        "observer": Observer(EarlyStopping()),
        "model": model.make(num_outputs, dtype),
        "task": Classification(num_outputs),
        "batch_size": 16,
        "steps": 100,
        "every": 10,
        "decay_on": "matrices",
        "monitor": "nll",
        "moments": (),
        "train_examples": 16,
    }
    return Recipe(optimizer=optimizer, regularizers=regularizers, **{**fields, **changes})


def stack(*recipes: Recipe, dtype: str = "float32") -> Recipe:
    """Return recipes of one structure with hypers as arrays on a leading member axis."""
    # A copy: an array that shares NumPy's memory was once seen to change when that memory was given back.
    return jax.tree.map(jnp.array, stack_recipes(recipes, dtype=dtype))


def traced(recipe: Recipe, dtype: str = "float32") -> Recipe:
    """Return the recipe with its hypers as arrays."""
    return jax.tree.map(lambda leaf: leaf[0], stack(recipe, dtype=dtype))


def make_batches(steps: int, dtype: str = "float32", size: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs [steps, batch, features] and labels [steps, batch] of three noisy clusters."""
    generator = np.random.default_rng(5)
    labels = generator.integers(NUM_CLASSES, size=(steps, size)).astype(np.int32)
    centres = generator.normal(size=(NUM_CLASSES, NUM_FEATURES))
    x = centres[labels] + generator.normal(size=(steps, size, NUM_FEATURES))
    return x.astype(dtype), labels


def make_seed(number: int = 0, dtype: str = "float32") -> Seed:
    """Return the streams of a seed, without rows, inputs unscaled."""
    none: Any = np.zeros(0, np.int32)
    scale = Scale(np.zeros((), dtype), np.ones((), dtype))  # type: ignore[arg-type]
    streams: Any = {name: np.uint32(number) for name in ("init", "order", "dropout", "noise")}
    return Seed(streams, Rows(none, none, none), scale)


def train(recipe: Recipe, seed: Seed, x: jax.Array, labels: jax.Array) -> tuple[State, Sums]:
    """Return the state after one update per batch, and the sums of each update [steps]."""

    def update(state: State, batch: tuple) -> tuple[State, Sums]:
        count, inputs, classes = batch
        rows = jnp.arange(len(inputs), dtype=jnp.int32)
        return step(recipe, state, inputs, classes, rows, make_now(recipe, seed, state, count))

    counts = jnp.arange(len(x), dtype=jnp.int32)
    return jax.lax.scan(update, init_state(recipe, seed, Data(x[0], labels[0])), (counts, x, labels))


def site_noise(seed: int, step: int, name: str, shape: tuple[int, ...], rate: float) -> np.ndarray:
    """Return the factors [shape] of dropout at a site, its key derived by hand and its scale exact."""
    key = jax.random.fold_in(jax.random.fold_in(stream_key(seed, "dropout"), step), hash_name(name))
    return np.where(np.asarray(drop(key, jnp.ones(shape), rate)) > 0, 1 / (1 - rate), 0.0)


def see(params: Any) -> Seen:
    """Return what a penalty on weights looks at; there is no network behind it."""
    nothing: Any = None
    return Seen(params, nothing, nothing, {}, nothing, nothing, nothing)


def flat(params: Any) -> dict[str, np.ndarray]:
    """Return {"hidden_0/kernel": array} of nested parameters."""
    leaves = jax.tree_util.tree_flatten_with_path(params)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def same_bits(first: Any, second: Any) -> bool:
    """Return whether two trees of arrays agree in every bit."""
    a, b = flat(first), flat(second)
    return a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() and a[k].dtype == b[k].dtype for k in a)
