"""Noise on hidden units, branches and weights, and on inputs against the network: what each method promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small
from small_blocks import Blocks

from regjax.regularizers import (
    FGSM,
    ActivationL1,
    ActivationL2,
    AlphaDropout,
    DropConnect,
    Dropout,
    GaussianDropout,
    KLSparsity,
    Scheduled,
    Site,
    SpatialDropout,
    StochasticDepth,
    WeightNoise,
)
from regjax.regularizers.base import Batch, Now
from regjax.regularizers.draws import draw_normal, drop
from regjax.train.state import Data, init_state
from regjax.train.step import Acting, compute_objective, make_now

HIDDEN = Site("hidden_0", "hidden", 0, 2)
PARAMS = {"layer": {"kernel": jnp.ones((200, 300)), "bias": jnp.ones(300)}}
MASK = {"layer": {"kernel": True, "bias": False}}


def moment(seed=0, step=0):
    """Return a moment that has nothing but draws and a mask."""
    return Now(jnp.int32(step), 100, jnp.float32(0), small.make_seed(seed).streams, PARAMS, MASK)


def at_site(part, x, site=HIDDEN, **when):
    """Return activations after one regularizer."""
    return np.asarray(part.site(site, x, moment(**when)))


def test_normal_draws_are_standard_normal():
    """Mean, variance and fourth moment are those of N(0, 1) within five standard errors, in each quarter of a block."""
    for z in np.asarray(draw_normal(jax.random.key(0), (2**20,), jnp.dtype("float32")), np.float64).reshape(4, -1):
        error = 1 / np.sqrt(z.size)
        assert abs(z.mean()) < 5 * error
        assert abs(np.mean(z**2) - 1) < 5 * error * np.sqrt(2)
        assert abs(np.mean(z**4) - 3) < 5 * error * np.sqrt(96)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_gaussian_dropout_has_the_moments_of_dropout(rate):
    """Ones become a mean of 1 and a variance of p / (1 - p), as under dropout."""
    ones = jnp.ones((500, 400))
    for part in (GaussianDropout(hidden=rate), Dropout(hidden=rate)):
        y = at_site(part, ones)
        assert y.mean() == pytest.approx(1, abs=0.02)
        assert y.var() == pytest.approx(rate / (1 - rate), rel=0.03)


def test_gaussian_dropout_acts_where_its_rates_say():
    """A list has one rate per hidden layer, the input its own, and None leaves a site out."""
    ones = jnp.ones((50, 40))
    part = GaussianDropout(hidden=(0.0, 0.5), input=None)

    assert (at_site(part, ones) == 1).all()
    assert at_site(part, ones, Site("hidden_1", "hidden", 1, 2)).std() > 0.8
    assert part.site(Site("input", "input", 0, 1), ones, moment()) is ones


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_alpha_dropout_keeps_mean_and_variance(rate):
    """Activations of SELU on normal inputs keep mean 0 and variance 1 under alpha dropout, not under dropout."""
    h = jax.nn.selu(draw_normal(jax.random.key(1), (1000, 400), jnp.dtype("float32")))
    y, plain = at_site(AlphaDropout(rate=rate), h), at_site(Dropout(hidden=rate), h)

    assert abs(y.mean() - float(h.mean())) < 0.02
    assert y.var() == pytest.approx(float(h.var()), rel=0.02)
    assert plain.var() > 1.04 * float(h.var())


def test_spatial_dropout_drops_whole_channels():
    """A channel of an example is zero at all places or at none; the mean is kept; what has no places is left alone."""
    x = jnp.ones((400, 3, 5, 8))
    y = at_site(SpatialDropout(rate=0.25), x)

    assert (y == y[:, :1, :1]).all()
    assert np.mean(y == 0) == pytest.approx(0.25, abs=0.03)
    assert y.max() == pytest.approx(4 / 3)
    assert (at_site(SpatialDropout(rate=0.25), x[:, 0, 0]) == 1).all()
    assert (at_site(SpatialDropout(rate=0.25), x, Site("input", "input", 0, 1)) == 1).all()


def test_branches_are_dropped_more_often_the_deeper():
    """Of branch l of 4 whole examples are dropped with probability rate (l + 1) / 4, and the mean is kept."""
    for index in range(4):
        y = at_site(StochasticDepth(rate=0.8), jnp.ones((4000, 3)), Site(f"residual_{index}", "residual", index, 4))
        assert (y == y[:, :1]).all()
        assert np.mean(y == 0) == pytest.approx(0.2 * (index + 1), abs=0.03)
        assert y.mean() == pytest.approx(1, abs=0.12)
    assert (at_site(StochasticDepth(rate=0.8), jnp.ones((40, 3))) == 1).all()


def test_a_residual_network_trains_with_dropped_branches():
    """One update of the tiny residual network with every branch site reached is finite and differs from one without."""
    x, labels = small.make_batches(1)
    recipes = [small.make_recipe(StochasticDepth(rate=rate), model=Blocks()) for rate in (0.0, 0.5)]
    states = jax.vmap(small.train, in_axes=(0, None, None, None))(small.stack(*recipes), small.make_seed(), x, labels)
    for leaf in jax.tree.leaves(states[0].params):
        assert np.isfinite(leaf).all()
    assert np.abs(np.diff(np.asarray(states[0].params["branch_1"]["kernel"]), axis=0)).max() > 1e-4


def test_masks_are_nested_and_shared_by_all_rates():
    """What survives a rate survives every lower one, for units, channels, branches and weights."""
    x = jnp.ones((64, 4, 4, 32))
    residual = Site("residual_0", "residual", 0, 1)
    for make, site in ((SpatialDropout, HIDDEN), (StochasticDepth, residual)):
        low, high = (at_site(make(rate=rate), x, site) > 0 for rate in (0.2, 0.6))
        assert (high <= low).all()
    low, high = (DropConnect(rate=rate).weights(PARAMS, moment())["layer"]["kernel"] > 0 for rate in (0.2, 0.6))
    assert (high <= low).all()
    assert high.mean() == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("part", [DropConnect(rate=0.5), WeightNoise(scale=1.0)], ids=["dropconnect", "weight_noise"])
def test_noise_on_weights(part):
    """Only selected weights change, in the mean they do not, with unit variance here; update and seed draw anew."""
    found, later, other = (part.weights(PARAMS, moment(*when))["layer"] for when in ((0, 0), (0, 1), (1, 0)))
    kernel = np.asarray(found["kernel"])

    assert (found["bias"] == 1).all()
    assert kernel.mean() == pytest.approx(1, abs=0.02)
    assert kernel.var() == pytest.approx(1, abs=0.03)
    assert (kernel != np.asarray(later["kernel"])).any()
    assert (kernel != np.asarray(other["kernel"])).any()


@pytest.mark.parametrize("part", [DropConnect(rate=0.5), WeightNoise(scale=1.0)], ids=["dropconnect", "weight_noise"])
def test_noise_on_a_single_number(part):
    """A parameter that is one number, as own networks may have, is noisy too."""
    one = {"temperature": jnp.float32(3.0)}
    found = part.weights(one, moment()._replace(mask={"temperature": True}))["temperature"]
    assert found.shape == ()
    assert found != 3


def test_costly_hypers_left_out_leave_the_weights():
    """A rate, scale or share of None does nothing at all."""
    assert DropConnect(rate=None).weights(PARAMS, moment()) is PARAMS
    assert WeightNoise(scale=None).weights(PARAMS, moment()) is PARAMS
    assert FGSM(share=None).penalty(small.see(PARAMS), moment()) is None
    ones = jnp.ones((2, 3))
    assert AlphaDropout(rate=None).site(HIDDEN, ones, moment()) is ones


def test_dropout_of_inputs_is_ridge_regression():
    """The expected squared loss of a linear model on dropped inputs is its ridge form, as in section 9.1 of the paper.

    E ||y - (R * X) w||^2 = ||y - p X w||^2 + p (1 - p) ||Gamma w||^2,  Gamma = diag(X'X)^(1/2),  p to retain; `drop`
    divides by p, so that w here is p w there.
    """
    generator, rate = np.random.default_rng(0), 0.25
    x, w, y = generator.normal(size=(20, 6)), generator.normal(size=6), generator.normal(size=20)
    retain = 1 - rate
    ridge = np.sum((y - x @ w) ** 2) + retain * (1 - retain) * np.sum((x**2).sum(axis=0) * (w / retain) ** 2)
    keys = jax.random.split(jax.random.key(0, impl="threefry2x32"), 20000)
    dropped = jax.jit(jax.vmap(lambda key: drop(key, jnp.asarray(x, "float32"), rate)))(keys)
    losses = np.sum((y - np.asarray(dropped, np.float64) @ w) ** 2, axis=1)

    assert abs(losses.mean() - ridge) < 5 * losses.std() / np.sqrt(len(losses))


def test_a_perturbation_against_the_network_raises_its_loss():
    """The penalty of adversarial training is 0 at radius 0 and grows with the radius, beyond the loss itself."""
    x, labels = small.make_batches(1)
    seed = small.make_seed()
    found = []
    for radius in (0.0, 0.05, 0.2, 20.0):
        recipe = small.traced(small.make_recipe(FGSM(share=0.5, radius=radius)))
        state = init_state(recipe, seed, Data(jnp.asarray(x[0]), jnp.asarray(labels[0])))
        now = make_now(recipe, seed, state, jnp.int32(0))
        batch = Batch(jnp.asarray(x[0]), jax.nn.one_hot(labels[0], 3), jnp.arange(16))
        acting = [Acting(recipe.regularizers[0], now)]
        found.append(float(compute_objective(recipe, acting, batch, state.params, {})[0]))

    assert found[0] < found[1] < found[2]
    assert found[3] > 2 * found[0]


@pytest.mark.parametrize("make", [Dropout, GaussianDropout, AlphaDropout, SpatialDropout])
def test_noise_in_bfloat16(make):
    """Noise on bfloat16 activations is finite, bfloat16 and not constant; off it gives back their bits."""
    h = jnp.asarray(np.random.default_rng(2).normal(size=(200, 4, 4, 16)), jnp.bfloat16)
    noisy = make(jnp.float32(0.3)).site(HIDDEN, h, moment())

    assert noisy.dtype == jnp.bfloat16
    assert jnp.isfinite(noisy).all()
    assert (noisy != h).any()
    assert small.same_bits(make(jnp.float32(0.0)).site(HIDDEN, h, moment()), h)


def test_rates_per_layer_may_begin_late():
    """A scheduled regularizer with one rate per layer has all of them off before its time, and as given after it."""
    part, now = Scheduled(Dropout(hidden=(0.1, 0.2)), begin=0.5), moment()
    for step, expected in ((49, [0, 0]), (50, [0.1, 0.2])):
        np.testing.assert_allclose(part.at(now._replace(step=jnp.int32(step))).hidden, expected)


def test_activation_penalties_are_of_hidden_layers_only():
    """In a residual network penalties on activations see what hidden layers give, not what branches add to them."""
    x, labels = small.make_batches(1)
    seed = small.make_seed()
    batch = Batch(jnp.asarray(x[0]), jax.nn.one_hot(labels[0], 3), jnp.arange(16))
    for part in (ActivationL1(1.0), ActivationL2(1.0), KLSparsity(1.0)):
        recipe = small.traced(small.make_recipe(part, model=Blocks()))
        state = init_state(recipe, seed, Data(jnp.asarray(x[0]), jnp.asarray(labels[0])))
        acting = [Acting(recipe.regularizers[0], make_now(recipe, seed, state, jnp.int32(0)))]
        other = state.params | {"branch_1": jax.tree.map(lambda w: 1 + w, state.params["branch_1"])}
        losses = [
            compute_objective(recipe, acting, batch, params, {})[0]
            - compute_objective(recipe, [], batch, params, {})[0]
            for params in (state.params, other)
        ]
        np.testing.assert_allclose(*losses, rtol=1e-4)
