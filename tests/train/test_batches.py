"""The order of examples, against a derivation by hand."""

import jax
import numpy as np
import small_runs as small
from hypothesis import given, settings
from hypothesis import strategies as st

from regjax.keys import hash_name
from regjax.train.population import batch_rows

SIZES = [(14, 4), (20, 4), (5, 1)]


def epoch_order(number: int, epoch: int, rows: np.ndarray) -> np.ndarray:
    """Return the permutation of an epoch, its key derived by hand."""
    key = jax.random.fold_in(jax.random.key(number, impl="threefry2x32"), hash_name("order"))
    return np.asarray(jax.random.permutation(jax.random.fold_in(key, epoch), rows))


@settings(max_examples=25, deadline=None)
@given(size=st.sampled_from(SIZES), number=st.integers(0, 2), data=st.data())
def test_batches_are_slices_of_permutations(size: tuple[int, int], number: int, data: st.DataObject) -> None:
    """Any stretch from any start equals NumPy slices of each epoch's permutation, none of whose rows comes twice."""
    num_rows, batch_size = size
    per_epoch = num_rows // batch_size
    count = data.draw(st.integers(1, 2 * per_epoch + 1), "count")
    # Where the stretch divides the epoch it starts at a multiple of itself, as the engine does.
    start = data.draw(st.integers(0, 12), "start") * (count if per_epoch % count == 0 else 1)
    rows = np.random.default_rng(num_rows).permutation(100)[:num_rows].astype(np.int32)
    seed = small.make_seed(number)
    seed = seed._replace(rows=seed.rows._replace(train=rows))
    got = np.asarray(batch_rows(small.make_recipe(batch_size=batch_size), seed, np.int32(start), count))

    assert got.shape == (count, batch_size)
    for index in range(count):
        epoch, place = divmod(start + index, per_epoch)
        order = epoch_order(number, epoch, rows)
        assert sorted(order) == sorted(rows)
        np.testing.assert_array_equal(got[index], order[place * batch_size : (place + 1) * batch_size])
