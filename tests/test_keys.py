"""Streams of randomness: pinned values, and that no stream is another's."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_runs as small
from hypothesis import given
from hypothesis import strategies as st

from regjax.keys import STREAMS, hash_name, stream_generator, stream_key
from regjax.regularizers import REGULARIZERS
from regjax.train.step import make_now

# A change here changes the numbers of every stored run.
GOLDEN_KEYS = {
    (0, "init"): [3020537540, 2946840664],
    (0, "order"): [207560800, 2075697412],
    (0, "dropout"): [116798348, 4143519482],
    (1, "init"): [319822478, 2622278149],
    (4294967295, "dropout"): [4128383086, 2263791712],
}
GOLDEN_DRAWS = {
    (0, "split"): [5, 2, 6, 4, 7, 1, 3, 0],
    (0, "subset"): [3, 1, 6, 0, 2, 7, 4, 5],
    (1, "split"): [2, 3, 1, 0, 6, 7, 5, 4],
}


def key_data(seed, stream):
    """Return the two words of a stream's key."""
    return jax.random.key_data(stream_key(seed, stream)).tolist()


@pytest.mark.parametrize("place", GOLDEN_KEYS, ids=str)
def test_keys_are_pinned(place):
    """The key of a seed and stream is what it was when this was written."""
    assert key_data(*place) == GOLDEN_KEYS[place]


@pytest.mark.parametrize("place", GOLDEN_DRAWS, ids=str)
def test_host_draws_are_pinned(place):
    """The host generator of a seed and stream permutes as it did when this was written."""
    assert stream_generator(*place).permutation(8).tolist() == GOLDEN_DRAWS[place]


def test_the_streams_are_those_of_the_parts():
    """The streams are five of the engine and those that regularizers name: a misnamed one would be drawn by nobody."""
    named = {stream for cls in REGULARIZERS.values() for stream in cls.streams}

    assert set(STREAMS) == named | {"init", "order", "dropout", "split", "subset"}


def test_streams_and_seeds_never_share_a_key():
    """All streams of 200 seeds have keys of their own, and generators with draws of their own."""
    keys = jax.vmap(lambda seed: jnp.stack([jax.random.key_data(stream_key(seed, s)) for s in STREAMS]))(
        jnp.arange(200)
    )
    draws = {stream_generator(seed, s).integers(2**62) for seed in range(200) for s in STREAMS}

    assert len({tuple(words) for words in np.asarray(keys).reshape(-1, 2).tolist()}) == 200 * len(STREAMS)
    assert len(draws) == 200 * len(STREAMS)


def test_streams_are_uncorrelated():
    """Uniform draws of two streams, of two seeds and of two steps have no correlation."""
    places = [(0, "order"), (0, "dropout"), (1, "dropout"), (2**32 - 1, "dropout")]
    draws = [np.asarray(jax.random.uniform(stream_key(*place), (20_000,))) for place in places]

    correlations = np.corrcoef(draws) - np.eye(len(places))
    assert np.abs(correlations).max() < 5 / 20_000**0.5


def test_traced_seed_is_the_same_key():
    """A seed as a Python integer, a uint32 array, under jit and under vmap gives one key."""
    jitted = jax.jit(lambda seed: jax.random.key_data(stream_key(seed, "order")))
    found = jax.vmap(jitted)(jnp.array([5, 2**32 - 1], jnp.uint32)).tolist()

    assert found == [key_data(5, "order"), key_data(2**32 - 1, "order")]
    assert jitted(np.uint32(5)).tolist() == key_data(5, "order")


def test_threefry_is_pinned():
    """Keys are threefry whatever jax' default is."""
    with jax.default_prng_impl("rbg"):
        assert str(jax.random.key_impl(stream_key(0, "init"))) == "threefry2x32"


@given(st.text(max_size=30))
def test_names_are_hashed_by_crc32(name):
    """A name's hash is its CRC-32, the same in every process."""
    assert hash_name(name) == zlib.crc32(name.encode()) < 2**32


def test_draws_of_a_moment():
    """The key of a moment is the stream's, then the step, then the name: other hypers do not enter."""
    recipe = small.make_recipe()
    params, _ = recipe.model.init(jax.random.key(0), jnp.ones((1, 8)))
    state = small.State(params, {}, None, (), {}, None, jnp.int32(-1), ())
    found = make_now(small.traced(recipe), small.make_seed(4), state, jnp.int32(17)).draw("dropout", "hidden_0")
    expected = jax.random.fold_in(jax.random.fold_in(stream_key(4, "dropout"), 17), zlib.crc32(b"hidden_0"))

    assert (jax.random.key_data(found) == jax.random.key_data(expected)).all()
