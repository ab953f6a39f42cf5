"""Squared error and class weights in the training step: closed forms, and gradients by hand."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import small_runs as small
from sklearn.linear_model import LinearRegression

from regjax.data.scaling import fit_targets
from regjax.models import Forward, Model
from regjax.optimizers import SGD
from regjax.tasks import Binary, Classification, Fit, Regression, Task
from regjax.train.state import Data, init_state
from regjax.train.step import make_now, step

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(64, 4)).astype(np.float32)


def init_linear(num_outputs: int) -> Model:
    """Return outputs = x W + b from zero."""

    def init(key, x):
        return {"output": {"kernel": jnp.zeros((x.shape[1], num_outputs)), "bias": jnp.zeros(num_outputs)}}, {}

    def apply(params, stats, x, tap, train):
        layer = params["output"]
        return Forward(x @ layer["kernel"] + layer["bias"][None], stats)

    return Model(init, apply)


def fit_linear(task: Task, labels: np.ndarray, fit: Fit, steps: int, rate: float) -> dict[str, np.ndarray]:
    """Return kernel and bias after so many updates on all examples at once."""
    recipe = small.make_recipe(optimizer=SGD(rate))
    recipe = small.traced(dataclasses.replace(recipe, model=init_linear(task.num_outputs), task=task, batch_size=64))
    seed, rows = small.make_seed(), jnp.arange(64)
    x, y = jnp.asarray(X), jnp.asarray(labels)

    @jax.jit
    def train(state):
        def update(index, state):
            return step(recipe, state, x, y, rows, make_now(recipe, seed, state, index), fit)[0]

        return jax.lax.fori_loop(0, steps, update, state)

    with jax.default_matmul_precision("highest"):
        return train(init_state(recipe, seed, Data(x, y))).params["output"]


def test_a_linear_network_finds_the_least_squares() -> None:
    """Trained on scaled targets to the end, predictions in the units of y are those of the closed form."""
    labels = np.stack([900 + 7 * X[:, 0] - X[:, 1], X[:, 2]], axis=1) + GENERATOR.normal(size=(64, 2))
    labels = labels.astype(np.float32)
    fit = Fit(None, *fit_targets(labels, np.arange(64), True))
    layer = fit_linear(Regression(2), labels, fit, 500, 0.3)
    known = LinearRegression().fit(X.astype(np.float64), labels.astype(np.float64))

    outputs = X @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
    np.testing.assert_allclose(Regression(2).predict(jnp.asarray(outputs), fit), known.predict(X), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(np.asarray(layer["kernel"]) * fit.spread, known.coef_.T, atol=1e-3)


def test_class_weights_scale_the_gradient_of_their_examples() -> None:
    """One update from zero is the mean of weighted (softmax - target) x, and of weighted (sigmoid - y) x."""
    labels = GENERATOR.integers(2, size=64).astype(np.int32)
    weights = np.array([[0.5, 3.0]], np.float32)
    each = weights[0, labels][:, None]
    for task in (Classification(2), Binary()):
        targets = np.eye(2)[labels] if task.num_outputs == 2 else labels[:, None]
        layer = fit_linear(task, labels, Fit(weights=jnp.asarray(weights)), 1, 1.0)

        np.testing.assert_allclose(layer["kernel"], -X.T @ (each * (0.5 - targets)) / 64, rtol=1e-4, atol=1e-6)
