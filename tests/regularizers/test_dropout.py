"""Dropout: the kept fraction, nested masks, the scale, where it acts and where it does not."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small
from hypothesis import given, settings
from hypothesis import strategies as st

from regjax.keys import stream_key
from regjax.optimizers import Adam
from regjax.regularizers import L2, Dropout, Site
from regjax.regularizers.noise import GRID, draw_half_words, drop
from regjax.train.evaluate import evaluate, no_tap
from regjax.train.state import Data
from regjax.train.step import make_now

KEY = stream_key(0, "dropout")
RATES = (0.001, 0.1, 0.25, 1 / 3, 0.5, 0.9, 0.999)


def kept(rate, size=4096, key=KEY):
    """Return which of `size` ones survive."""
    return np.asarray(drop(key, jnp.ones(size), rate)) > 0


@settings(deadline=None, max_examples=50)
@given(st.floats(0, 1, exclude_max=True, width=32))
def test_rate_is_rounded_to_the_grid_and_no_further(rate):
    """The chance to be dropped, counted over all 2**16 half words, is the rate to half a step of the grid."""
    threshold = np.round((1 - np.float32(rate)) * GRID)
    chance = np.mean(np.arange(GRID) >= threshold)

    assert abs(chance - rate) <= 0.5 / GRID + 1e-7


@pytest.mark.parametrize("rate", RATES)
def test_survivors_are_the_words_below_the_threshold(rate):
    """An element survives exactly where its uniform half word lies below the rounded keep probability."""
    words = np.asarray(draw_half_words(KEY, (4096,)))

    np.testing.assert_array_equal(kept(rate), words < round((1 - rate) * GRID))


def test_half_words_are_uniform():
    """Of 2**22 draws each of 256 bins holds its share, low and high halves alike, and the halves are uncorrelated."""
    words = np.asarray(draw_half_words(KEY, (2**22,)))
    for half in (words[: 2**21], words[2**21 :]):
        counts = np.bincount(half >> 8, minlength=256)
        statistic = np.sum((counts - 2**13) ** 2 / 2**13)
        assert 170 < statistic < 360  # chi-square, 255 degrees of freedom: 4.5 sigma
    correlation = np.corrcoef(words[: 2**21], words[2**21 :])[0, 1]
    assert abs(correlation) < 5 / np.sqrt(2**21)


@pytest.mark.parametrize("rate", RATES)
def test_kept_fraction_of_a_large_sample(rate):
    """Of 2**22 elements the dropped fraction is the rate within five standard errors, and the mean is preserved."""
    size = 2**22
    y = np.asarray(drop(KEY, jnp.ones(size), rate), np.float64)
    error = np.sqrt(rate * (1 - rate) / size)

    assert abs(np.mean(y == 0) - rate) < 5 * error + 1e-5
    assert abs(y.mean() - 1) < 5 * error / (1 - rate) + 1e-6
    survivors = np.unique(y[y > 0])
    assert survivors.size == 1
    assert survivors[0] == pytest.approx(GRID / round((1 - rate) * GRID), rel=1e-6)


def test_masks_of_rates_are_nested():
    """For one key, what survives a rate survives every lower rate."""
    masks = [kept(rate) for rate in RATES]

    assert all((higher <= lower).all() for lower, higher in itertools.pairwise(masks))


def test_rate_zero_keeps_every_bit():
    """At rate 0 the output is the input bit for bit, -0.0 and infinity included.

    Subnormal numbers are left out: the CPU flushes them to zero in any product.
    """
    x = jnp.array([0.0, -0.0, np.inf, -np.inf, 1e-37, 3.1])

    assert np.asarray(drop(KEY, x, jnp.float32(0))).tobytes() == np.asarray(x).tobytes()


def test_rate_one_is_zero_with_finite_gradients():
    """At rate 1 the output and its gradient are zero, not NaN."""
    value, slope = jax.value_and_grad(lambda x: drop(KEY, x, jnp.float32(1)).sum())(jnp.ones(7))

    assert value == 0
    assert (slope == 0).all()


def test_dtypes():
    """Activations keep their dtype, and float32 and float64 have one mask."""
    with jax.enable_x64(True):
        single = drop(KEY, jnp.ones(999, jnp.float32), jnp.float32(0.3))
        double = drop(KEY, jnp.ones(999, jnp.float64), jnp.float64(0.3))
    single, double = np.asarray(single), np.asarray(double)

    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    np.testing.assert_array_equal(single > 0, double > 0)
    assert double.max() == pytest.approx(GRID / round(0.7 * GRID), rel=1e-15)


def taken(part, seed=0, step=0, others=()):
    """Return the activations of all sites after dropout of ones, {site name: array}."""
    recipe = small.traced(small.make_recipe(part, *others))
    params = recipe.model.init(KEY, jnp.ones((1, small.NUM_FEATURES)))[0]
    state = small.State(params, {}, None, None, jnp.int32(-1), ())
    now = make_now(recipe, small.make_seed(seed), state, jnp.int32(step))
    sites = [Site("input", "input", 0), Site("hidden_0", "hidden", 0), Site("hidden_1", "hidden", 1)]
    return {site.name: np.asarray(recipe.regularizers[0].site(site, jnp.ones((50, 40)), now)) for site in sites}


def test_rates_by_site():
    """Input and hidden rates act at their sites; a list gives every hidden layer its own."""
    found = taken(Dropout(hidden=(0.2, 0.6), input=0.4))

    for name, rate in (("input", 0.4), ("hidden_0", 0.2), ("hidden_1", 0.6)):
        assert np.mean(found[name] == 0) == pytest.approx(rate, abs=0.05)
    assert (taken(Dropout(hidden=0.5))["input"] == 1).all()
    assert (taken(Dropout(input=0.5))["hidden_1"] == 1).all()


def test_equal_list_is_the_scalar():
    """A list of equal rates drops what the scalar drops."""
    one, both = taken(Dropout(hidden=0.5)), taken(Dropout(hidden=(0.5, 0.5)))

    assert all((one[name] == both[name]).all() for name in one)


def test_draws_differ_by_site_step_and_seed_only():
    """Other hypers leave the draws alone; another site, step or seed draws anew."""
    base = taken(Dropout(hidden=0.5, input=0.5))
    same = taken(Dropout(hidden=0.5, input=0.5), others=(L2(0.3),))

    assert all((base[name] == same[name]).all() for name in base)
    assert 0.4 < np.mean((base["hidden_0"] > 0) == (base["hidden_1"] > 0)) < 0.6
    assert 0.4 < np.mean((base["hidden_0"] > 0) == (base["input"] > 0)) < 0.6
    for other in (taken(Dropout(hidden=0.5), seed=1), taken(Dropout(hidden=0.5), step=1)):
        assert 0.4 < np.mean((base["hidden_0"] > 0) == (other["hidden_0"] > 0)) < 0.6


def test_never_in_evaluation():
    """Evaluated metrics of given weights do not depend on the dropout rate, and the taps are not called."""
    x, labels = small.make_batches(1)
    seed = small.make_seed()
    data, rows = Data(jnp.asarray(x[0]), jnp.asarray(labels[0])), jnp.arange(16)
    recipes = [
        small.traced(small.make_recipe(Dropout(hidden=rate, input=rate), optimizer=Adam())) for rate in (0.0, 0.9)
    ]
    params, stats = recipes[0].model.init(KEY, data.x)
    off, on = (evaluate(recipe, params, stats, data, rows, seed) for recipe in recipes)
    called = []

    def tap(site, h):
        called.append(site)
        return h * 0

    assert small.same_bits(off, on)
    outputs = recipes[0].model.apply(params, stats, data.x, tap, False).outputs
    assert called == []
    np.testing.assert_array_equal(outputs, recipes[0].model.apply(params, stats, data.x, no_tap, False).outputs)
