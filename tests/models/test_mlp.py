"""The multi-layer perceptron: initial weights, activations, batch norm."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import small_runs as small

from regjax.models import MLP, MODELS
from regjax.models.layers import ACTIVATIONS, INITS, multiply
from regjax.regularizers import Site
from regjax.train.evaluate import no_tap

X = jnp.asarray(np.random.default_rng(0).normal(1.0, 2.0, size=(64, 5, 4)), jnp.float32)


@functools.cache
def begin(settings, key=0, dtype="float32"):
    """Return (model, flat parameters, parameters, stats)."""
    model = settings.make(3, dtype)
    params, stats = model.init(jax.random.key(key), X[:1])
    return model, small.flat(params), params, stats


def test_shapes_and_zero_biases():
    """Inputs are flattened, every layer has its kernel and a bias of zeros."""
    flat = begin(MLP((7, 6)))[1]

    assert {path: leaf.shape for path, leaf in flat.items() if "kernel" in path} == {
        "hidden_0/kernel": (20, 7),
        "hidden_1/kernel": (7, 6),
        "output/kernel": (6, 3),
    }
    assert all((leaf == 0).all() for path, leaf in flat.items() if path.endswith("bias"))
    assert MODELS["mlp"]((7, 6)).num_hidden == 2


def test_norm_leaves_initial_weights_alone():
    """With and without batch norm, and with a wider second layer, the other layers start bit-equal.

    Beside batch norm they have no bias, which it would take away; after the activation it would not.
    """
    plain, normed, wider = (begin(s)[1] for s in (MLP((7, 6)), MLP((7, 6), norm="batch"), MLP((7, 9))))

    shared = {path for path in plain if path in normed}
    assert small.same_bits({path: plain[path] for path in shared}, {path: normed[path] for path in shared})
    assert set(plain) - shared == {"hidden_0/bias", "hidden_1/bias"}
    assert set(normed) - shared == {f"norm_{i}/{kind}" for i in range(2) for kind in ("scale", "bias")}
    assert set(plain) <= set(begin(MLP((7, 6), norm="batch", norm_place="after"))[1])
    assert (plain["hidden_0/kernel"] == wider["hidden_0/kernel"]).all()
    assert not small.same_bits(plain, begin(MLP((7, 6)), key=1)[1])


def test_initial_weights_do_not_depend_on_data():
    """Weights are decided by the key alone."""
    model, flat, _, _ = begin(MLP((7, 6), norm="batch"))

    assert small.same_bits(flat, small.flat(model.init(jax.random.key(0), 9 * X[:2])[0]))


@pytest.mark.parametrize("init", [name for name in INITS if name != "zeros"])
def test_init_distributions(init):
    """Spread and bounds are those of the distribution's definition."""
    kernel = begin(MLP((400,), init=init))[1]["hidden_0/kernel"]
    fan_in, fan_out = kernel.shape
    spread = {"glorot_uniform": 2 / (fan_in + fan_out), "he_normal": 2 / fan_in, "lecun_normal": 1 / fan_in}[
        init
    ] ** 0.5
    # a normal cut at two standard deviations has 0.87962566 of its spread, which the initializers make good
    bound = spread * (3**0.5 if init == "glorot_uniform" else 2 / 0.87962566)

    assert kernel.std() == pytest.approx(spread, rel=0.03)
    assert abs(kernel.mean()) < 4 * spread / kernel.size**0.5
    assert 0.97 * bound < np.abs(kernel).max() <= bound * (1 + 1e-6)


FORMULAS = {
    "relu": lambda z: np.maximum(z, 0),
    "tanh": np.tanh,
    "sigmoid": scipy.special.expit,
    "elu": lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))),
    "selu": lambda z: 1.05070098735548 * np.where(z > 0, z, 1.67326324235437 * np.expm1(np.minimum(z, 0))),
    "gelu": lambda z: 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations(activation):
    """A hidden layer is the activation of the linear map, seen at its site; outputs are linear in it."""
    model, flat, params, stats = begin(MLP((7,), activation=activation))
    seen = {}
    outputs = model.apply(params, stats, X, lambda site, h: seen.setdefault(site.name, h), True).outputs
    hidden = FORMULAS[activation](np.asarray(X, np.float64).reshape(64, -1) @ flat["hidden_0/kernel"])

    np.testing.assert_allclose(seen["hidden_0"], hidden, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(outputs, hidden @ flat["output/kernel"], rtol=1e-3, atol=1e-3)


def test_sites():
    """The tap is called once per site in order and its result is used, in training as in evaluation."""
    model, _, params, stats = begin(MLP((7, 6)))
    sites = []

    def tap(site, h):
        sites.append((site, h.shape))
        return jnp.zeros_like(h)

    for train in (True, False):
        sites.clear()
        outputs = model.apply(params, stats, X, tap, train).outputs
        assert sites == [
            (Site("input", "input", 0, 1), (64, 20)),
            (Site("hidden_0", "hidden", 0, 2), (64, 7)),
            (Site("hidden_1", "hidden", 1, 2), (64, 6)),
        ]
        assert (outputs == 0).all()


def linear(flat):
    """Return the first layer's linear map of X in float64."""
    return np.asarray(X, np.float64).reshape(64, -1) @ flat["hidden_0/kernel"]


def test_batch_norm_normalises_in_training():
    """In training the linear map's outputs get mean 0 and variance 1 over the batch, then scale and bias."""
    settings = MLP((7,), norm="batch", activation="tanh")
    model, flat, params, stats = begin(settings)
    params = {**params, "norm_0": {"scale": jnp.full(7, 0.3), "bias": jnp.full(7, -0.1)}}
    seen = {}
    model.apply(params, stats, X, lambda site, h: seen.setdefault(site.name, h), True)
    normed = (np.arctanh(np.asarray(seen["hidden_0"], np.float64)) + 0.1) / 0.3
    z = linear(flat)

    np.testing.assert_allclose(normed.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(normed.var(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(
        normed, (z - z.mean(0)) / np.sqrt(z.var(0) + settings.norm_epsilon), rtol=1e-2, atol=1e-3
    )


def test_running_statistics():
    """They move by 1 - momentum from (0, 1) towards the batch's mean and biased variance; evaluation uses them."""
    settings = MLP((7,), norm="batch", norm_momentum=0.8, norm_epsilon=1e-3)
    model, flat, params, stats = begin(settings)
    z = linear(flat)
    new = model.apply(params, stats, X, no_tap, True).stats["norm_0"]

    assert (stats["norm_0"]["mean"] == 0).all()
    assert (stats["norm_0"]["var"] == 1).all()
    np.testing.assert_allclose(new["mean"], 0.2 * z.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(new["var"], 0.8 + 0.2 * z.var(0), rtol=1e-4)
    running = {"norm_0": new}
    evaluated = model.apply(params, running, X, no_tap, False)
    hidden = np.maximum((z - np.asarray(new["mean"])) / np.sqrt(np.asarray(new["var"]) + 1e-3), 0)
    np.testing.assert_allclose(evaluated.outputs, hidden @ flat["output/kernel"], rtol=1e-3, atol=1e-4)
    assert small.same_bits(evaluated.stats, running)
    alone = model.apply(params, running, X[:1], no_tap, False).outputs
    np.testing.assert_allclose(alone, evaluated.outputs[:1], rtol=1e-4, atol=1e-5)


def test_without_norm_there_are_no_statistics():
    """A model without batch norm has {} before and after a training pass."""
    model, _, params, stats = begin(MLP((7,)))

    assert stats == {}
    assert model.apply(params, stats, X, no_tap, True).stats == {}


def test_same_settings_are_one_model():
    """A model is made once for its settings, so that recipes compare equal; other settings make another."""
    assert MLP((7,)).make(3) is MLP((7,)).make(3)
    assert MLP((7,)).make(3) != MLP((7,)).make(4)
    assert MLP((7,)).make(3) != MLP((7,), norm="batch").make(3)


def test_float64():
    """With dtype float64 parameters and outputs are float64, norms and statistics included."""
    with jax.enable_x64(True):
        model = MLP((7,), norm="batch").make(3, "float64")
        x = jnp.ones((2, 4))
        params, stats = model.init(jax.random.key(0), x)
        forward = model.apply(params, stats, x, no_tap, True)
    leaves = [*jax.tree.leaves(params), forward.outputs, *jax.tree.leaves(forward.stats)]
    assert {leaf.dtype for leaf in leaves} == {np.dtype("float64")}


def test_a_dense_layer_has_the_gradients_of_a_matrix_product():
    """Value and both gradients of the layer's product are those of `x @ kernel`, alone, vmapped and taken twice."""
    x, kernel = jax.random.normal(jax.random.key(1), (5, 7)), jax.random.normal(jax.random.key(2), (7, 3))
    pair = (jnp.stack([x, 2 * x]), jnp.stack([kernel, -kernel]))

    def loss(product):
        return lambda a, b: jnp.sum(jnp.sin(product(a, b)))

    def slope(product):
        return lambda a, b: jnp.sum(jnp.square(jax.grad(loss(product), (0, 1))(a, b)[1]))

    for make in (loss, slope):
        ours, plain = (jax.grad(make(product), (0, 1)) for product in (multiply, jnp.matmul))
        for got, expected in zip(ours(x, kernel), plain(x, kernel), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
        for got, expected in zip(jax.vmap(ours)(*pair), jax.vmap(plain)(*pair), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
