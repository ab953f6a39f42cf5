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
from regjax.regularizers.draws import GRID, draw_half_words, draw_uniform, drop
from regjax.train.evaluate import evaluate, no_tap
from regjax.train.state import Data, Rows
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


def threefry(key, first, second):
    """Return the two words of Threefry-2x32-20 in NumPy, written from the paper's table 1 and section 3.3."""
    with np.errstate(over="ignore"):
        ks = [*key, key[0] ^ key[1] ^ np.uint32(0x1BD11BDA)]
        first, second = first + ks[0], second + ks[1]
        for turn in range(20):
            by = np.uint32((13, 15, 26, 6, 17, 29, 16, 24)[turn % 8])
            first = first + second
            second = (second << by | second >> (np.uint32(32) - by)) ^ first
            if turn % 4 == 3:
                group = turn // 4 + 1
                first, second = first + ks[group % 3], second + ks[(group + 1) % 3] + np.uint32(group)
    return first, second


def test_oracle_is_threefry():
    """The NumPy generator gives the known answers that the paper's authors publish."""
    ones = np.uint32(2**32 - 1)
    pi = [np.array([word], np.uint32) for word in (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)]
    zero = np.zeros(1, np.uint32)

    assert [int(w[0]) for w in threefry((zero, zero), zero, zero)] == [0x6B200159, 0x99BA4EFE]
    assert [int(w[0]) for w in threefry((zero + ones,) * 2, zero + ones, zero + ones)] == [0x1CB996FC, 0xBB002BE7]
    assert [int(w[0]) for w in threefry((pi[2], pi[3]), pi[0], pi[1])] == [0xC4923A9C, 0x483DF7A0]


@pytest.mark.parametrize("shape", [(1,), (7,), (8, 5), (5, 3, 2)], ids=str)
@pytest.mark.parametrize("partitionable", [False, True])
def test_half_words_are_those_of_the_oracle(shape, partitionable):
    """The draws are the low, then the high halves of both words of each block, whatever jax' flags say."""
    rows = -(-shape[0] // 4)
    blocks = np.arange(rows * np.prod(shape[1:], dtype=int), dtype=np.uint32)
    words = np.stack(threefry(np.asarray(jax.random.key_data(KEY)), blocks, blocks + np.uint32(len(blocks))))
    halves = np.stack([words % 2**16, words // 2**16]).reshape(4 * rows, *shape[1:])[: shape[0]]

    with jax.threefry_partitionable(partitionable):
        np.testing.assert_array_equal(jax.jit(draw_half_words, static_argnums=1)(KEY, shape), halves)


def test_draws_of_a_population_are_those_of_its_members():
    """Under vmap every key draws what it draws alone."""
    keys = jax.vmap(lambda seed: stream_key(seed, "dropout"))(jnp.arange(3, dtype=jnp.uint32))
    together = jax.vmap(lambda key: draw_half_words(key, (6, 4)))(keys)

    for key, found in zip(keys, together, strict=True):
        np.testing.assert_array_equal(draw_half_words(key, (6, 4)), found)


def chi_square(first, second):
    """Return the chi-square statistic, in standard deviations, of the joint table of the high 4 bits of two draws."""
    counts = np.bincount((first >> 12) * 16 + (second >> 12), minlength=256)
    expected = len(first) / 256
    return (np.sum((counts - expected) ** 2 / expected) - 255) / np.sqrt(2 * 255)


def test_half_words_are_uniform():
    """Of 2**22 draws each of 256 bins holds its share, in every quarter, for the high byte and for the low one."""
    for quarter in np.asarray(draw_half_words(KEY, (2**22,))).reshape(4, -1):
        for byte in (quarter >> 8, quarter & 0xFF):
            statistic = np.sum((np.bincount(byte, minlength=256) - 2**12) ** 2 / 2**12)
            assert abs(statistic - 255) / np.sqrt(2 * 255) < 4.5


def test_uniform_draws_are_the_midpoints_of_all_cells():
    """Uniform draws lie in the middle of the grid's cells, and of many draws some lie in the first and in the last."""
    cells = np.asarray(draw_uniform(jax.random.key(0, impl="threefry2x32"), (2**20,))) * float(GRID) - 0.5

    assert (cells == np.round(cells)).all()
    assert (cells.min(), cells.max()) == (0, GRID - 1)


def test_half_words_are_pairwise_independent():
    """Joint tables of two quarters of a block, of neighbours, of two steps, sites and seeds are flat."""
    draw = lambda key: np.asarray(draw_half_words(key, (2**20,)))  # noqa: E731
    base = draw(KEY)
    quarters = base.reshape(4, -1)
    others = [jax.random.fold_in(KEY, 1), jax.random.fold_in(jax.random.fold_in(KEY, 1), 1), stream_key(1, "dropout")]
    pairs = [*itertools.combinations(quarters, 2), (base[:-1], base[1:]), (base[:-512], base[512:])]
    pairs += [(base, draw(other)) for other in others]

    assert max(abs(chi_square(*pair)) for pair in pairs) < 4.5


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
    state = small.State(params, {}, None, (), {}, None, jnp.int32(-1), ())
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


def test_none_leaves_the_sites_out():
    """A rate of None hands the activations through without a draw, and leaves the other sites' draws alone."""
    found, full = taken(Dropout(hidden=0.5, input=None)), taken(Dropout(hidden=0.5, input=0.5))
    nothing = Dropout(hidden=None, input=None)
    x = jnp.ones((2, 3))

    assert (found["input"] == 1).all()
    assert (found["hidden_0"] == full["hidden_0"]).all()
    assert all(nothing.site(Site("s", kind, 0), x, None) is x for kind in ("input", "hidden"))


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
    """Evaluated metrics of given weights do not depend on the dropout rate."""
    x, labels = small.make_batches(1)
    rows = jnp.arange(16)
    seed = small.make_seed()._replace(rows=Rows(rows, rows, rows))
    data = Data(jnp.asarray(x[0]), jnp.asarray(labels[0]))
    recipes = [
        small.traced(small.make_recipe(Dropout(hidden=rate, input=rate), optimizer=Adam())) for rate in (0.0, 0.9)
    ]
    params, stats = recipes[0].model.init(KEY, data.x)
    seen = jax.tree.map(lambda leaf: leaf[None], (params, stats))
    off, on = (evaluate(recipe, seen, data, seed) for recipe in recipes)

    assert small.same_bits(off, on)
    outputs = recipes[0].model.apply(params, stats, data.x, no_tap, False).outputs
    np.testing.assert_allclose(
        off["nll"].sum(axis=0)[0, 0], recipes[0].task.metrics(outputs, data.y)["nll"].sum(), rtol=1e-5
    )
