"""All flips by convolution: equal to the enumerated engine, to brute force, and used where it may be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regjax.analysis.convolution import Counts, count_effects, fits, flip_counts
from regjax.analysis.inference import infer, seed_effects
from regjax.analysis.signflip import sign_flip

FIELDS = ("n", "effect", "sd", "low", "high", "p")


def exact(row, step: float = 0.01, alpha: float = 0.05):
    """Return the inference of one contrast of counts."""
    return flip_counts(Counts(np.array([row], dtype=float), np.array([step])), alpha)


whole_numbers = st.one_of(st.integers(-5, 8).map(float), st.just(float("nan")))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(whole_numbers, min_size=1, max_size=12), st.sampled_from([0.05, 0.1, 0.25]), st.sampled_from([1, 7, 360])
)
def test_convolution_equals_enumeration(row, alpha, num_examples):
    """All numbers are those of the enumerated flips to 1e-12: ties, zeros, missing and single seeds included."""
    step = 1.0 / num_examples
    listed = sign_flip(step * np.array([row]), np.random.default_rng(0), joint=False, alpha=alpha)
    found = exact(row, step, alpha)

    for field in FIELDS:
        np.testing.assert_allclose(getattr(found, field), getattr(listed, field), rtol=1e-12, atol=1e-12, err_msg=field)


def test_eighteen_seeds_equal_brute_force():
    """p of 18 seeds is the share of all 2^18 sums that are as far from 0 as the one seen."""
    row = np.random.default_rng(3).integers(-4, 7, 18)
    sums = np.zeros(1, dtype=int)
    for value in row:
        sums = np.concatenate([sums + value, sums - value])

    assert exact(row).p[0] == (np.abs(sums) >= abs(row.sum())).mean()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-9, 12), min_size=17, max_size=70), st.sampled_from([0.05, 0.01]))
def test_p_and_interval_never_disagree(row, alpha):
    """Beyond 16 seeds too, 0 lies outside the interval exactly where p <= alpha, and the effect inside."""
    found = exact(row, alpha=alpha)

    assert ((found.low[0] > 0) or (found.high[0] < 0)) == (found.p[0] <= alpha)
    assert found.low[0] <= found.effect[0] <= found.high[0]
    assert found.p[0] >= 2.0 ** (1 - len(row))


def test_drawn_flips_tend_to_all_of_them():
    """p and interval of 30 seeds are those of many drawn flips, within what drawing leaves open."""
    row = np.random.default_rng(5).integers(-20, 40, 30)
    found = exact(row)
    drawn = sign_flip(0.01 * row[None], np.random.default_rng(0), num_flips=200_000)

    assert drawn.p[0] == pytest.approx(found.p[0], abs=0.002)
    assert (drawn.low[0], drawn.high[0]) == pytest.approx((found.low[0], found.high[0]), abs=0.002)


@pytest.mark.parametrize("scale", [1, 12])
def test_equal_counts_and_none(scale):
    """Beyond 16 seeds equal effects give the smallest p and a point; no effect p = 1 and [0, 0]; gaps NaN."""
    equal, nothing = exact([scale] * 20, 0.5), exact([0] * 20)

    assert (equal.p[0], equal.low[0], equal.high[0]) == (2 / 2**20, 0.5 * scale, 0.5 * scale)
    assert (nothing.p[0], nothing.low[0], nothing.high[0]) == (1.0, 0.0, 0.0)
    assert np.isnan(exact([np.nan] * 20).p[0])


def test_effects_are_counted_only_on_their_grid():
    """Means over cells have a common step; values off the grid, or weights that are no fractions, are not counted."""
    values = np.float32([[0.91, 0.92], [0.93, np.nan], [0.95, 0.97]]).astype(float)
    found = count_effects(np.array([[-0.5, -0.5, 1.0], [-1.0, 0.0, 1.0]]), values, 100)

    np.testing.assert_array_equal(found.counts, [[6, np.nan], [4, 5]])
    np.testing.assert_allclose(found.step, [0.005, 0.01])
    assert count_effects(np.array([[1.0, 0.0, 0.0]]), values + 0.001, 100) is None
    assert count_effects(np.array([[np.pi, -np.pi, 0.0]]), values, 100) is None
    assert not fits(np.array([[0.0, 1.0, 3_000_000.0]]))


def test_a_study_takes_all_flips_where_it_can():
    """One accuracy contrast of 20 seeds has the exact p; a family of two, or a metric that is no share, has not."""
    rng = np.random.default_rng(2)
    values = rng.integers(930, 960, (3, 20)) / 1000 + np.array([[0.0], [0.012], [0.012]])
    one, two = np.array([[-1.0, 1.0, 0.0]]), np.array([[-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]])
    counts = np.round(1000 * (values[1] - values[0]))

    def p_of(weights, total):
        return infer(seed_effects(weights, values, total), np.ones(len(weights), bool))["p"][0]

    assert p_of(one, 1000) == exact(counts).p[0]
    assert p_of(one, 0) == pytest.approx(p_of(one, 1000), abs=0.003)
    assert p_of(one, 0) * 20_001 == pytest.approx(round(p_of(one, 0) * 20_001))
    assert p_of(two, 1000) * 20_001 == pytest.approx(round(p_of(two, 1000) * 20_001))
