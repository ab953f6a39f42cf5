"""Exact checks of what a regularizer is said to do: facts about the code that trains, not estimates.

Each runs the very functions that an update and an evaluation are made of, on a few drawn examples. Draws come from
fixed keys; where chance is left, what is expected has a tolerance of five standard deviations.
"""

import functools
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from regjax.keys import STREAMS
from regjax.models import MLP
from regjax.observers import EarlyStopping, Observer
from regjax.optimizers import SGD
from regjax.recipe import Recipe
from regjax.regularizers import Regularizer
from regjax.regularizers.draws import drop
from regjax.regularizers.noise import Dropout
from regjax.tasks import Classification
from regjax.train import evaluate
from regjax.train.inputs import stack_recipes
from regjax.train.state import Data, Rows, Scale, Seed, State, init_state
from regjax.train.step import make_noise, make_now, step

BATCH, FEATURES, CLASSES = 64, 16, 4
# No activation of a sigmoid is zero by itself.
NETWORK = MLP((100, 100), activation="sigmoid")


class Check(NamedTuple):
    """One fact: what was looked at, what was found, what was expected, and whether they agree."""

    says: str
    got: str
    expected: str
    passed: bool


def near(says: str, got: float, expected: float, tolerance: float) -> Check:
    """Return the check that a number is what was expected, give or take `tolerance`.

    >>> near("half", 0.4999, 0.5, 1e-3)
    Check(says='half', got='0.4999', expected='0.5 +- 0.001', passed=True)
    """
    margin = f" +- {tolerance:.2g}" if tolerance else ""
    return Check(says, f"{got:.4g}", f"{expected:.4g}{margin}", bool(abs(got - expected) <= tolerance))


def dropout_zeroes(rate: float = 0.2, kind: type[Dropout] = Dropout) -> list[Check]:
    """Return what dropout does to the units of a network in updates and at inference.

    Args:
      rate: drop probability.
      kind: the dropout that is looked at.
    """
    part = kind(hidden=rate, input=None)
    x, labels = _examples()
    (before, after), (_, later) = _noisy_passes(part, x)
    zero, zero_later = after == 0, later == 0
    count, scale = zero.size, 1 / (1 - rate)
    again = (zero == zero_later).mean()
    same = rate**2 + (1 - rate) ** 2
    moved_off, moved_on = _moved_by_update(part, x, labels)
    plain, noisy = (_inference(p, x) for p in (kind(hidden=0.0, input=None), part))
    return [
        near(f"share of {count:,} hidden units that an update at rate {rate:g} zeroes", zero.mean(), rate,
             5 * math.sqrt(rate * (1 - rate) / count)),
        near("factor on the units that are left, 1 / (1 - rate): largest", (after / before)[~zero].max(), scale, 1e-4),
        near("the same: smallest", (after / before)[~zero].min(), scale, 1e-4),
        near("share of units that the next update treats alike, rate^2 + (1 - rate)^2 if drawn anew", again, same,
             5 * math.sqrt(same * (1 - same) / count)),
        near(f"masks among the {BATCH} examples of a batch", len(np.unique(zero, axis=0)), BATCH, 0),
        near("largest change that an update makes to weights of a zeroed unit (batch of one)", moved_off, 0, 0),
        Check("largest change that it makes to weights of the others", f"{moved_on:.2g}", "above 0", moved_on > 0),
        near("outputs at inference: largest difference to the same network without dropout",
             float(np.abs(plain - noisy).max()), 0, 0),
    ]  # fmt: skip


def inference_factor(rate: float = 0.2) -> list[Check]:
    """Return by what weights are multiplied at inference, held against the rate itself.

    Args:
      rate: drop probability that is asked about; 0.5 is looked at as well.
    """
    x, _ = _examples()
    inverted = _inference(Dropout(hidden=rate, input=None), x) / _inference(Dropout(hidden=0.0, input=None), x)
    return [
        near(f"inverted dropout at rate {rate:g} (here, Keras, PyTorch): factor on weights at inference",
             float(inverted.mean()), rate, 1e-4),
        near(f"classical dropout at rate {rate:g} (nothing divided in training): factor that keeps the mean of what "
             "the next layer reads", _classical_factor(rate), rate, 5e-3),
        near("the same at rate 0.5, where rate and 1 - rate are one number", _classical_factor(0.5), 0.5, 5e-3),
    ]  # fmt: skip


def mean_is_kept(rate: float = 0.2) -> list[Check]:
    """Return how the mean over dropout's noise compares with what is used at inference.

    Args:
      rate: drop probability.
    """
    return [
        near(f"inverted dropout at rate {rate:g}: mean of a unit over its noise, by the unit",
             _classical_factor(rate) / (1 - rate), 1.0, 5e-3),
        near(f"classical dropout at rate {rate:g}: the same, which is 1 - rate", _classical_factor(rate), 1 - rate,
             5e-3),
    ]  # fmt: skip


def geometric_mean(rate: float = 0.5) -> list[Check]:
    """Return how scaled weights compare with the mean over all masks of the 8 units that a softmax reads.

    Args:
      rate: drop probability.

    Reference: Baldi, Sadowski, "Understanding dropout" (2013): equal for the normalised geometric mean.
    """
    generator = np.random.default_rng(0)
    h, kernel = generator.normal(size=8), generator.normal(size=(8, CLASSES))
    masks = np.array(list(itertools.product([0, 1], repeat=8)))
    weights = np.where(masks == 1, 1 - rate, rate).prod(axis=1)
    logits = (masks * h) @ kernel
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    scaled = _softmax((1 - rate) * h @ kernel)
    geometric, arithmetic = _softmax(weights @ logs), weights @ np.exp(logs)
    return [
        near(f"scaled weights and the geometric mean over all {len(masks)} masks: largest difference of a probability",
             float(np.abs(scaled - geometric).max()), 0, 1e-12),
        Check("scaled weights and the mean that Monte-Carlo dropout tends to: largest difference",
              f"{np.abs(scaled - arithmetic).max():.2g}", "above 0", bool(np.abs(scaled - arithmetic).max() > 1e-6)),
    ]  # fmt: skip


def batch_norm_moments(of: str) -> list[Check]:
    """Return mean and variance over a batch of what batch norm makes, held against 0 and 1.

    Args:
      of: "norm": what leaves the norm in training, before its own scale and bias; "next_layer": what the next layer
        reads in training; "inference": what leaves the norm at inference, before its own scale and bias.

    Raises:
      ValueError: `of` is none of them.
    """
    if of == "norm":
        return _check_moments("before the norm's scale and bias", _after_norm("after", True))
    if of == "next_layer":
        return [
            *_check_moments("with the norm before the ReLU, scale 1 and bias 0", _after_norm("before", True)),
            *_check_moments("with scale 2 and bias 0.5 learned, the norm after", _after_norm("after", True, 2.0, 0.5)),
        ]
    if of == "inference":
        return _check_moments(f"over {BATCH} new examples, by running averages", _after_norm("after", False))
    raise ValueError(f'got of = {of!r}, expected "norm", "next_layer" or "inference"')


def _check_moments(what: str, h: np.ndarray) -> list[Check]:
    """Return the checks of means and variances of units [examples, units] furthest from 0 and 1."""
    mean, var = h.mean(axis=0), h.var(axis=0)
    return [
        near(f"mean furthest from 0 of a unit, {what}", float(mean[np.abs(mean).argmax()]), 0.0, 1e-5),
        near(f"variance furthest from 1 of a unit, {what}", float(var[np.abs(var - 1).argmax()]), 1.0, 1e-3),
    ]


def _after_norm(place: str, train: bool, scale: float = 1.0, bias: float = 0.0) -> np.ndarray:
    """Return what a hidden site holds on new examples, the running averages being those of 100 batches."""
    recipe, _, state = _start(model=MLP((32,), norm="batch", norm_place=place))  # type: ignore[arg-type]
    norm = {"scale": jnp.full(32, scale), "bias": jnp.full(32, bias)}
    # A bias that keeps every unit of the ReLU at work: a dead one has variance 0 whatever follows.
    lifted = {"hidden_0": {**state.params["hidden_0"], "bias": jnp.full(32, 15.0)}} if place == "after" else {}
    params, stats = {**state.params, **lifted, "norm_0": norm}, state.stats

    @functools.partial(jax.jit, static_argnums=2)
    def look(stats: Any, x: jax.Array, train: bool) -> tuple[Any, list[jax.Array]]:
        seen: list[jax.Array] = []

        def tap(site: Any, h: jax.Array) -> jax.Array:
            seen.extend([h] if site.kind == "hidden" else [])
            return h

        return recipe.forward(params, stats, x, tap, train).stats, seen

    for number in range(1, 101):
        stats, _ = look(stats, jnp.asarray(_examples(number)[0]), True)
    return np.asarray(look(stats, jnp.asarray(_examples()[0]), train)[1][0], np.float64)


def _start(*parts: Regularizer, model: MLP = NETWORK) -> tuple[Recipe, Seed, State]:
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
    x, labels = _examples()
    return recipe, seed, jax.jit(init_state)(recipe, seed, Data(jnp.asarray(x), jnp.asarray(labels)))


def _examples(number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return batch `number` of inputs, neither centred nor of unit variance, and labels."""
    generator = np.random.default_rng(number)
    x = 2.0 + 3.0 * generator.normal(size=(BATCH, FEATURES))
    return x.astype(np.float32), generator.integers(CLASSES, size=BATCH).astype(np.int32)


def _noisy_passes(part: Regularizer, x: np.ndarray) -> list[np.ndarray]:
    """Return hidden units as they enter and leave their sites, [2, examples, units], of the first and second update."""
    recipe, seed, state = _start(part)

    @jax.jit
    def look(index: jax.Array) -> list[tuple[jax.Array, jax.Array]]:
        now = make_now(recipe, seed, state, index)
        used, noisy = make_noise(state.params, [(part, now) for part in recipe.regularizers])
        seen: list[tuple[jax.Array, jax.Array]] = []

        def tap(site: Any, h: jax.Array) -> jax.Array:
            out = noisy(site, h)
            seen.extend([(h, out)] if site.kind == "hidden" else [])
            return out

        recipe.forward(used, state.stats, jnp.asarray(x), tap, True)
        return seen

    return [np.concatenate([np.stack(pair) for pair in look(jnp.int32(index))], axis=2) for index in (0, 1)]


def _moved_by_update(part: Regularizer, x: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Return how far an update on one example moves weights in and out of zeroed units at most, and of the others."""
    recipe, seed, state = _start(part)
    (_, after), _ = _noisy_passes(part, x[:1])

    @jax.jit
    def update(state: State) -> State:
        now = make_now(recipe, seed, state, jnp.int32(0))
        return step(recipe, state, jnp.asarray(x[:1]), jnp.asarray(labels[:1]), jnp.zeros(1, jnp.int32), now)[0]

    moved = jax.tree.map(lambda a, b: np.abs(np.asarray(a - b)), update(state).params, state.params)
    kernels = [moved[name]["kernel"] for name in ("hidden_0", "hidden_1", "output")]
    of_unit = [np.maximum(into.max(axis=0), out.max(axis=1)) for into, out in itertools.pairwise(kernels)]
    zero = after[0] == 0
    return float(np.concatenate(of_unit)[zero].max()), float(np.concatenate(of_unit)[~zero].max())


def _inference(part: Regularizer, x: np.ndarray) -> np.ndarray:
    """Return the outputs of an evaluation with this regularizer, from the same initial weights."""
    recipe, seed, state = _start(part)
    observer = jax.tree.map(lambda leaf: leaf[0], recipe.observer)
    outputs = jax.jit(evaluate.forward)(recipe, observer, state.params, state.stats, jnp.asarray(x), seed)
    return np.asarray(outputs)


def _classical_factor(rate: float) -> float:
    """Return the mean over a million units of dropout's mask alone, without the division that training makes."""
    kept = drop(jax.random.key(0), jnp.ones((1000, 1000)), rate)
    return float(np.asarray(kept, np.float64).mean() * (1 - rate))


def _softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()


# {name: function of its options that returns its checks}
MECHANISMS: dict[str, Callable[..., list[Check]]] = {
    "dropout_zeroes": dropout_zeroes,
    "inference_factor": inference_factor,
    "mean_is_kept": mean_is_kept,
    "geometric_mean": geometric_mean,
    "batch_norm_moments": batch_norm_moments,
}
