"""Synthetic sets: what is said to be known of them is so."""

import inspect
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import Lasso, Ridge
from sklearn.metrics import log_loss

from regjax.config.datasets import SYNTHETIC as DEFAULTS
from regjax.data import DataError, load_dataset, ridge_optimum
from regjax.data.synthetic import SYNTHETIC


@pytest.mark.parametrize("name", SYNTHETIC)
def test_shapes_and_defaults(name):
    """The defaults of a study are those of Python; arrays have the shapes that the settings say, without parts."""
    defaults = {key: value.default for key, value in inspect.signature(SYNTHETIC[name]).parameters.items()}
    found = load_dataset(name)

    assert defaults == DEFAULTS[name]
    assert found.x.shape == (defaults["num_examples"], defaults["num_features"])
    assert found.x.dtype == np.float32
    assert (found.parts, found.peak, len(found.y)) == ({}, 1.0, defaults["num_examples"])
    assert found.num_classes == {"teacher": 10, "logistic": 2, "parity": 2, "contaminated": 2}.get(name, 0)
    assert found.num_outputs == (found.num_classes or 1)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_seed_is_a_draw(name):
    """One seed gives one digest, another seed another."""
    assert load_dataset(name, seed=1).digest == load_dataset(name, seed=1).digest
    assert load_dataset(name, seed=1).digest != load_dataset(name, seed=2).digest


def test_digests_are_stable_across_processes():
    """Another process, with another hash seed, draws the same data."""
    code = "from regjax.data import load_dataset as l; print([l(n).digest for n in " + repr(list(SYNTHETIC)) + "])"
    shown = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }

    assert shown == {f"{[load_dataset(name).digest for name in SYNTHETIC]}\n"}


def test_lasso_recovers_the_support():
    """Scikit-learn's lasso finds the planted features and no others, and the residuals of w are the noise."""
    found = load_dataset("sparse_linear", num_examples=2000, noise=0.5, seed=4)
    lasso = Lasso(alpha=0.1).fit(found.x, found.y)
    residuals = found.y - found.x @ found.truth["weights"]

    assert np.flatnonzero(lasso.coef_).tolist() == found.truth["support"].tolist()
    assert np.flatnonzero(found.truth["weights"]).tolist() == found.truth["support"].tolist()
    assert len(found.truth["support"]) == 10
    assert found.truth["support"].tolist() != list(range(10))
    assert (np.abs(found.truth["weights"][found.truth["support"]]) >= 1).all()
    np.testing.assert_allclose(np.mean(residuals**2), found.truth["mse"], rtol=0.1)
    assert found.truth["mse"] == 0.25


def test_copies_of_features_change_nothing_else():
    """The blocks of x are one and the same, y is that of one block, and the known weights predict it."""
    settings = {"num_examples": 50, "num_features": 7, "num_informative": 3, "noise": 0.0, "seed": 5}
    one, three = (load_dataset("sparse_linear", **settings, copies=copies) for copies in (1, 3))

    np.testing.assert_array_equal(three.x, np.concatenate([one.x] * 3, axis=1))
    np.testing.assert_array_equal(three.y, one.y)
    np.testing.assert_allclose(three.x @ three.truth["weights"], one.y, atol=1e-4)
    assert three.truth["support"].tolist() == [j + 7 * c for c in range(3) for j in one.truth["support"]]


def test_parity_is_no_linear_function():
    """The labels are the sign of a product of the support; no feature correlates with them, the product does."""
    found = load_dataset("parity", num_examples=20_000, num_features=6, num_informative=2, seed=2)
    product = found.x[:, found.truth["support"]].prod(axis=1)

    np.testing.assert_array_equal(found.y, product > 0)
    assert np.abs(np.corrcoef(found.x.T, found.y)[-1, :-1]).max() < 0.03
    noisy = load_dataset("parity", num_examples=20_000, num_features=6, num_informative=2, seed=2, noise=1.0)
    assert 0.6 < np.mean(noisy.y == (product > 0)) < 0.8


def test_ridge_features_are_correlated():
    """The empirical covariance is that of the equation, and the residuals of w are the noise."""
    found = load_dataset("ridge_linear", num_examples=20_000, num_features=4, correlation=0.8, noise=2.0)
    lags = np.abs(np.subtract.outer(np.arange(4), np.arange(4)))

    np.testing.assert_allclose(np.cov(found.x.T), 0.8**lags, atol=0.05)
    np.testing.assert_allclose(np.mean((found.y - found.x @ found.truth["weights"]) ** 2), 4.0, rtol=0.05)


@pytest.mark.parametrize("strength", [0.0, 0.03, 2.0])
@pytest.mark.parametrize("outputs", [None, 3])
def test_ridge_optimum(strength, outputs):
    """The closed form is scikit-learn's with its strength, and no direction from it lowers the loss."""
    found = load_dataset("ridge_linear", num_examples=60, num_features=7, seed=5)
    x, y = found.x.astype(np.float64), found.y.astype(np.float64)
    y = y if outputs is None else np.stack([y, -2 * y, y**2], axis=1)
    weights, bias = ridge_optimum(x, y, strength)
    peer = Ridge(alpha=strength * y.size / 2).fit(x, y)

    def loss(w, b):
        return np.mean((y - x @ w - b) ** 2) + strength / 2 * np.sum(w**2)

    np.testing.assert_allclose(weights, peer.coef_.T, rtol=1e-8)
    np.testing.assert_allclose(bias, peer.intercept_, rtol=1e-8)
    rng = np.random.default_rng(0)
    for _ in range(20):
        dw, db = 1e-3 * rng.normal(size=weights.shape), 1e-3 * rng.normal(size=bias.shape)
        assert loss(weights + dw, bias + db) > loss(weights, bias)


def test_ridge_optimum_that_is_not_unique():
    """Two equal features without a penalty have no one optimum; with one they share it."""
    x = np.repeat(np.arange(5.0)[:, None], 2, axis=1)
    with pytest.raises(DataError, match="not unique at strength 0"):
        ridge_optimum(x, x[:, 0], 0.0)
    weights, _ = ridge_optimum(x, x[:, 0], 0.1)
    np.testing.assert_allclose(weights[0], weights[1])


def test_bayes_errors_of_the_logistic_model():
    """The true weights reach the stated least error and nll, up to the chance of the labels; other weights do not."""
    found = load_dataset("logistic", num_examples=20_000, seed=3)
    p = 1 / (1 + np.exp(-(found.x.astype(np.float64) @ found.truth["weights"])))
    other = 1 / (1 + np.exp(-(found.x @ (0.5 * found.truth["weights"]))))

    np.testing.assert_allclose(found.truth["error"], np.mean(np.minimum(p, 1 - p)), rtol=1e-6)
    np.testing.assert_allclose(found.truth["nll"], np.mean(-p * np.log(p) - (1 - p) * np.log(1 - p)), rtol=1e-6)
    np.testing.assert_allclose(np.mean((p > 0.5) != found.y), found.truth["error"], atol=0.01)
    np.testing.assert_allclose(log_loss(found.y, p), found.truth["nll"], atol=0.01)
    assert log_loss(found.y, other) > found.truth["nll"] + 0.01
    np.testing.assert_allclose(np.linalg.norm(found.truth["weights"]), 2.0)


def test_bayes_errors_of_the_teacher():
    """The teacher's own softmax reaches the stated least error and nll, up to the chance of the labels."""
    found = load_dataset("teacher", num_examples=20_000, num_classes=4, noise=0.3, seed=1)
    values = np.tanh(found.x.astype(np.float64) @ found.truth["hidden"]) @ found.truth["output"]
    p = np.exp(values / 0.3) / np.exp(values / 0.3).sum(axis=1, keepdims=True)

    assert 0.05 < found.truth["error"] < 0.5
    np.testing.assert_allclose(np.mean(values.argmax(axis=1) != found.y), found.truth["error"], atol=0.01)
    np.testing.assert_allclose(log_loss(found.y, p), found.truth["nll"], atol=0.01)
    assert np.bincount(found.y).min() > 2000


def test_a_teacher_without_chance():
    """Without noise the labels and values are the network's own, and the least error is zero."""
    labels = load_dataset("teacher", noise=0.0)
    values = load_dataset("teacher", noise=0.0, num_classes=0)
    network = np.tanh(values.x.astype(np.float64) @ values.truth["hidden"]) @ values.truth["output"]
    chosen = np.tanh(labels.x.astype(np.float64) @ labels.truth["hidden"]) @ labels.truth["output"]

    np.testing.assert_array_equal(chosen.argmax(axis=1), labels.y)
    assert (labels.truth["error"], labels.truth["nll"], values.truth["mse"]) == (0, 0, 0)
    assert values.num_classes == 0
    np.testing.assert_allclose(values.y, network[:, 0], rtol=1e-5, atol=1e-6)


def test_noise_of_the_teacher_of_values():
    """The residuals of the network are noise of the stated size."""
    found = load_dataset("teacher", num_examples=20_000, noise=0.5, num_classes=0)
    network = np.tanh(found.x @ found.truth["hidden"]) @ found.truth["output"]

    np.testing.assert_allclose(np.mean((found.y - network[:, 0]) ** 2), found.truth["mse"], rtol=0.05)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("sparse_linear", {"num_informativ": 3}, r"data\.num_informativ: is no key of .*mean 'num_informative'"),
        ("sparse_linear", {"copies": 0}, r"data\.copies: got 0, expected an integer from 1"),
        ("parity", {"num_informative": 101}, "got 101, expected at most num_features, 100"),
        ("sparse_linear", {"num_informative": 101}, "got 101, expected at most num_features, 100"),
        ("sparse_linear", {"num_examples": 1}, r"data\.num_examples: got 1, expected an integer from 2"),
        ("sparse_linear", {"num_examples": True}, r"data\.num_examples: got True"),
        ("sparse_linear", {"num_examples": 10**8}, "expected at most 1073741824"),
        ("sparse_linear", {"noise": -1.0}, r"data\.noise: got -1\.0, expected a number in \[0, 1e\+18\]"),
        ("sparse_linear", {"noise": 1e200}, r"data\.noise: got 1e\+200, expected a number in \[0, 1e\+18\]"),
        ("ridge_linear", {"noise": 1e200}, r"data\.noise: got 1e\+200"),
        ("teacher", {"noise": 1e200, "num_classes": 0}, r"data\.noise: got 1e\+200"),
        ("ridge_linear", {"correlation": 1.0}, r"data\.correlation: got 1\.0, expected a number in \[0, 1\)"),
        ("ridge_linear", {"noise": float("nan")}, r"data\.noise: got nan"),
        ("teacher", {"num_classes": 1}, r"data\.num_classes: got 1, expected at least 2"),
        ("teacher", {"num_examples": 5}, r"class \d of 10 does not occur; take more examples"),
        ("logistic", {"signal": 0}, r"data\.signal: got 0, expected a number > 0"),
        ("logistic", {"seed": -1}, r"data\.seed: got -1, expected an integer from 0"),
        ("logistic", {"seed": 2**32}, r"data\.seed"),
        ("digits", {"seed": 1}, r"data\.seed: is no key of 'digits'"),
    ],
)
def test_refusals(name, settings, message):
    """A setting that is out of range or that the set does not know is named."""
    with pytest.raises(DataError, match=message):
        load_dataset(name, **settings)
