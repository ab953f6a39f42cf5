"""Which rows train, validate and test."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regjax.data import DataError, split_rows
from regjax.data.base import make_dataset, make_parts

fixed = settings(derandomize=True, deadline=None, max_examples=60)
seeds = st.integers(0, 2**32 - 1)


def make(num_train, num_test=0):
    """Return a data set of that many rows; with official parts where there are test rows."""
    count = num_train + num_test
    y = (np.arange(count) % 2).astype(np.int32)
    x = np.arange(count, dtype=np.float32)[:, None]
    return make_dataset("made", x, y, parts=make_parts(num_train, num_test) if num_test else None)


def check(rows, count):
    """Assert that the parts are disjoint, not empty, int32 and inside the data set."""
    pooled = np.concatenate(rows)
    assert all(part.dtype == np.int32 for part in rows)
    assert all(len(part) for part in rows)
    assert len(np.unique(pooled)) == len(pooled)
    assert pooled.min() >= 0
    assert pooled.max() < count


@fixed
@given(st.integers(3, 300), st.floats(0.01, 0.99), seeds, st.data())
def test_last_is_keras_rule(num_train, fraction, seed, data):
    """ "last" takes what Keras' validation_split takes, in order, whatever the seed."""
    kept = math.floor(num_train * (1.0 - fraction))
    dataset = make(num_train, 4)
    if not 0 < kept < num_train:
        with pytest.raises(DataError, match="leaves a part empty"):
            split_rows(dataset, validation={"fraction": fraction, "take": "last"})
        return
    rows = split_rows(dataset, validation={"fraction": fraction, "take": "last"}, split_seed=seed)

    assert rows.train.tolist() == list(range(kept))
    assert rows.validation.tolist() == list(range(kept, num_train))
    assert rows.test.tolist() == list(range(num_train, num_train + 4))
    check(rows, num_train + 4)


def test_last_of_mnist():
    """A fifth of 60,000 is the last 12,000."""
    rows = split_rows(make(60_000, 10_000), validation={"fraction": 0.2, "take": "last"})

    assert (rows.train[0], rows.train[-1], len(rows.train)) == (0, 47_999, 48_000)
    assert (rows.validation[0], rows.validation[-1]) == (48_000, 59_999)


@fixed
@given(st.integers(2, 200), seeds, st.data())
def test_random_validation(num_train, seed, data):
    """A random validation part has its exact count, comes from the official train rows only, and repeats."""
    count = data.draw(st.integers(1, num_train - 1))
    dataset, validation = make(num_train, 3), {"count": count, "take": "random"}
    rows = split_rows(dataset, validation=validation, split_seed=seed)
    again = split_rows(dataset, validation=validation, split_seed=seed)

    check(rows, num_train + 3)
    assert (len(rows.train), len(rows.validation)) == (num_train - count, count)
    assert rows.test.tolist() == [num_train, num_train + 1, num_train + 2]
    assert set(rows.train) | set(rows.validation) == set(range(num_train))
    for part, same in zip(rows, again, strict=True):
        np.testing.assert_array_equal(part, same)


@fixed
@given(st.integers(3, 300), seeds, st.data())
def test_pooled_counts(count, seed, data):
    """Counts are met exactly, "rest" takes what is left, and official parts are ignored."""
    validation = data.draw(st.integers(1, count - 2))
    test = data.draw(st.integers(1, count - validation - 1))
    split = {"train": "rest", "validation": validation, "test": test}
    rows = split_rows(make(count), split=split, split_seed=seed)

    check(rows, count)
    assert [len(part) for part in rows] == [count - validation - test, validation, test]
    for part, same in zip(rows, split_rows(make(count - 1, 1), split=split, split_seed=seed), strict=True):
        np.testing.assert_array_equal(part, same)


@pytest.mark.parametrize(
    ("split", "sizes"),
    [
        ({"train": 0.6, "validation": 0.2, "test": 0.2}, [1079, 359, 359]),
        ({"train": 400, "validation": 200, "test": "rest"}, [400, 200, 1197]),
        ({"train": 400, "validation": 200, "test": 100}, [400, 200, 100]),
        ({"train": 0.5, "validation": 0.25, "test": 0.1}, [898, 449, 179]),
        ({"train": "rest", "validation": 0.25, "test": 97}, [1251, 449, 97]),
    ],
)
def test_pooled_sizes(split, sizes):
    """Fractions round down, and where three of them sum to one no row is lost."""
    assert [len(part) for part in split_rows(make(1797), split=split)] == sizes


def test_fraction_in_binary():
    """0.29 of 100 rows are 29, although the product is below that in binary."""
    rows = split_rows(make(100), split={"train": "rest", "validation": 0.29, "test": 1})

    assert len(rows.validation) == 29


def test_defaults():
    """The default is a random fifth of the official train part, or 0.6, 0.2 and 0.2 of all rows."""
    official = split_rows(make(50, 7))
    pooled = split_rows(make(50))

    assert [len(part) for part in official] == [40, 10, 7]
    assert official.validation.tolist() != list(range(40, 50))
    assert [len(part) for part in pooled] == [30, 10, 10]


def test_defaults_of_validation():
    """Without `take` it is random, without a size a fifth."""
    assert split_rows(make(50, 7), validation={"count": 5}).validation.tolist() != list(range(45, 50))
    assert split_rows(make(50, 7), validation={"take": "last"}).validation.tolist() == list(range(40, 50))


def test_split_seed():
    """Another seed gives other rows, in both ways to split."""
    for dataset in (make(200), make(200, 5)):
        first, second = (split_rows(dataset, split_seed=seed) for seed in (1, 2))

        assert set(first.validation) != set(second.validation)


@fixed
@given(st.integers(2, 200), seeds, seeds, st.data())
def test_subsets_are_nested(num_train, split_seed, subset_seed, data):
    """Of one seed the smaller training subset is the beginning of the larger; other parts do not change."""
    large = data.draw(st.integers(1, num_train - 1))
    small = data.draw(st.integers(1, large))
    common = {"validation": {"count": 1}, "split_seed": split_seed, "subset_seed": subset_seed}
    dataset = make(num_train, 3)
    whole = split_rows(dataset, **common)
    first, second = (split_rows(dataset, train_size=size, **common) for size in (small, large))

    np.testing.assert_array_equal(first.train, second.train[:small])
    assert (len(first.train), len(second.train)) == (small, large)
    assert set(second.train) <= set(whole.train)
    check(second, num_train + 3)
    np.testing.assert_array_equal(whole.validation, second.validation)
    np.testing.assert_array_equal(whole.test, second.test)


def test_subset_seed():
    """Another subset seed draws other training rows from the same split."""
    first, second = (split_rows(make(200), train_size=20, subset_seed=seed) for seed in (1, 2))

    assert set(first.train) != set(second.train)
    np.testing.assert_array_equal(first.test, second.test)


THIRDS = {"train": 5, "validation": 3, "test": 2}


@pytest.mark.parametrize(
    ("num_test", "settings", "message"),
    [
        (2, {"validation": {"count": 2}, "split": THIRDS}, r"both set"),
        (0, {"validation": {"count": 2}}, r"needs official parts, which 'made' has not; set data\.split"),
        (2, {"validation": {"count": 10}}, r"got 10, expected an integer from 1 to 9 of the 10 official train rows"),
        (2, {"validation": {"count": 0}}, r"data\.validation\.count: got 0"),
        (2, {"validation": {"count": 2.0}}, r"got 2\.0"),
        (2, {"validation": {"count": True}}, r"got True"),
        (2, {"validation": {"fraction": 1.0}}, r"data\.validation\.fraction: got 1\.0"),
        (2, {"validation": {"fraction": 0.99}}, r"leaves a part empty"),
        (2, {"validation": {"fraction": "0.2"}}, r"got '0\.2'"),
        (2, {"validation": {"fraction": 0.2, "count": 2}}, r"expected count or fraction"),
        (2, {"validation": {"size": 2}}, r"got \{'size': 2\}"),
        (2, {"validation": {"count": 2, "take": "first"}}, r"got 'first', expected 'last' or 'random'"),
        (0, {"split": {"train": 5, "test": 2}}, r"expected the keys train, validation, test"),
        (0, {"split": {**THIRDS, "extra": 1}}, r"expected the keys"),
        (0, {"split": {**THIRDS, "train": 6}}, r"of 10 rows"),
        (0, {"split": {"train": 8, "validation": 2, "test": "rest"}}, r"no part may be empty"),
        (0, {"split": {"train": "rest", "validation": 2, "test": "rest"}}, r"at most once"),
        (0, {"split": {"train": 0.9, "validation": 0.05, "test": 0.05}}, r"no part may be empty"),
        (0, {"split": {"train": 0.9, "validation": 0.2, "test": 0.2}}, r"sum to 1\.3"),
        (0, {"split": {**THIRDS, "test": -2}}, r"data\.split\.test: got -2"),
        (0, {"split": {**THIRDS, "test": 1.5}}, r"data\.split\.test: got 1\.5"),
        (0, {"split": {**THIRDS, "test": "all"}}, r"data\.split\.test: got 'all'"),
        (0, {"split": THIRDS, "train_size": 6}, r"data\.train_size: got 6, expected an integer from 1 to 5"),
        (0, {"split": THIRDS, "train_size": 0}, r"data\.train_size: got 0"),
        (0, {"split": THIRDS, "train_size": 2.0}, r"data\.train_size: got 2\.0"),
    ],
)
def test_refusals(num_test, settings, message):
    """Settings that cannot be met are refused with what was got and what there is."""
    with pytest.raises(DataError, match=message):
        split_rows(make(10, num_test), **settings)
