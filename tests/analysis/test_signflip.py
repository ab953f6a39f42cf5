"""The sign-flip engine against scipy, brute force and hand-worked cases."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from regjax.analysis import signflip
from regjax.analysis.signflip import SignFlip, sign_flip, smallest_p


def infer(effects, *, seed: int = 0, **kwargs) -> SignFlip:
    """Return the inference for a list or array of effects, one row where it is flat."""
    return sign_flip(np.atleast_2d(np.asarray(effects, dtype=float)), np.random.default_rng(seed), **kwargs)


def t_of(d: np.ndarray) -> float:
    """|t| of one row by the textbook, NaN left out, 0/0 = 0 and c/0 = inf."""
    d = d[~np.isnan(d)]
    mean, sd = abs(d.mean()), d.std(ddof=1)
    if sd < 1e-9 * max(mean, 1.0):
        return np.inf if mean > 1e-12 else 0.0
    return mean / (sd / np.sqrt(len(d)))


def brute_p(effects: np.ndarray, j: int, theta: float = 0.0) -> float:
    """p of "the mean of contrast j is theta" by looping over all 2^n flips, as the definition reads."""
    shifted = effects[j] - theta
    seen = t_of(shifted)
    others = [k for k in range(len(effects)) if k != j]
    beaten = 0
    for flip in itertools.product((1.0, -1.0), repeat=effects.shape[1]):
        e = np.array(flip)
        rivals = [t_of(e * row) for k in others for row in (effects[k], effects[k] - np.nanmean(effects[k]))]
        largest = max([t_of(e * shifted), *rivals])
        beaten += np.isinf(largest) or largest >= seen * (1 - 1e-9) - 1e-12
    return beaten / 2 ** effects.shape[1]


def test_five_seeds_by_hand():
    """Five positive effects: only the identity and its negation are as large, and no interval at 5% exists."""
    found = infer([1.0, 2.0, 3.0, 4.0, 5.0])

    assert found.p == pytest.approx([2 / 32])
    assert (found.low[0], found.high[0]) == (-np.inf, np.inf)
    assert (found.n[0], found.effect[0], found.sd[0]) == (5, 3.0, pytest.approx(np.sqrt(2.5)))


def test_six_seeds_by_hand():
    """With six seeds, 2 of 64 flips are below 5%: the interval spans the smallest to the largest effect."""
    found = infer([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])

    assert found.p == pytest.approx([2 / 64])
    assert (found.low[0], found.high[0]) == (1.0, 6.0)


def test_six_seeds_with_one_against_by_hand():
    """Signs of 1..6 with the 1 negative: the sums 19 and 21 of 21 come from 4 of 64 flips."""
    found = infer([-1.0, 2.0, 3.0, 4.0, 5.0, 6.0])

    assert found.p == pytest.approx([4 / 64])
    assert (found.low[0], found.high[0]) == pytest.approx((-1.0, 6.0))


@pytest.mark.parametrize("num_seeds", [4, 7, 10, 13])
def test_one_contrast_equals_scipy(num_seeds):
    """The exact p of one contrast is that of scipy's paired permutation test, also skewed, tied or below |t| = 1."""
    rng = np.random.default_rng(num_seeds)
    small = rng.normal(size=num_seeds)
    small += 0.2 * small.std() / np.sqrt(num_seeds) - small.mean()
    for d in (rng.exponential(size=num_seeds) - 0.4, rng.integers(-2, 5, num_seeds) / 8.0, small):
        oracle = stats.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf)

        assert infer(d).p[0] == pytest.approx(oracle.pvalue)


def test_many_near_normal_seeds_agree_with_the_t_test():
    """With 60 near-normal effects p and interval are close to Student's."""
    d = np.random.default_rng(3).normal(0.25, 1.0, 60)
    oracle = stats.ttest_1samp(d, 0.0)
    found = infer(d)

    assert not found.exact
    assert found.num_flips == signflip.NUM_FLIPS + 1
    assert found.p[0] == pytest.approx(oracle.pvalue, abs=0.006)
    assert (found.low[0], found.high[0]) == pytest.approx(tuple(oracle.confidence_interval(0.95)), abs=0.02)


@pytest.mark.parametrize("missing", [False, True])
def test_p_and_interval_equal_brute_force_over_a_grid(missing):
    """p(0) is that of the definition, and theta lies in the interval exactly where the definition's p exceeds alpha."""
    rng = np.random.default_rng(5 + missing)
    effects = rng.normal([[0.9], [0.0], [-0.5]], 1.0, (3, 7)) + 0.5 * rng.normal(size=7)
    if missing:
        effects[1, 2] = effects[2, 4] = np.nan
    found = infer(effects, alpha=0.1)
    for j in range(3):
        assert found.p[j] == pytest.approx(brute_p(effects, j))
        grid = found.effect[j] + np.linspace(-4, 4, 41)
        ends = [end + step for end in (found.low[j], found.high[j]) for step in (-1e-6, 1e-6) if np.isfinite(end)]
        for theta in (*grid, *ends):
            assert (found.low[j] <= theta <= found.high[j]) == (brute_p(effects, j, theta) > 0.1)


def test_drawn_flips_count_the_identity():
    """With drawn flips no p is below 1 / (B + 1), and a family's p agrees with exact enumeration."""
    strong = infer(np.ones(40) + np.arange(40) / 100, num_flips=99)
    effects = np.random.default_rng(1).normal(0.4, 1.0, (4, 14))
    exact = infer(effects)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signflip, "EXACT_SEEDS", 4)
        drawn = infer(effects)

    assert strong.p[0] == 1 / 100
    assert not drawn.exact
    assert drawn.p == pytest.approx(exact.p, abs=0.015)
    assert drawn.low == pytest.approx(exact.low, abs=0.06)


def test_constant_effects():
    """Equal effects: p is the smallest possible and the interval a point; no effect at all: p is 1 and [0, 0]."""
    found = infer([[0.1] * 8, [0.0] * 8], joint=False)

    assert found.p.tolist() == [2 / 256, 1.0]
    assert found.low.tolist() == found.high.tolist() == found.effect.tolist()
    assert found.effect == pytest.approx([0.1, 0.0])


def test_constant_contrast_in_a_family():
    """A constant effect is infinitely significant, yet leaves the others of the family as the definition says."""
    effects = np.array([[0.3] * 7, [0.5, 0.4, -0.1, 0.3, 0.6, 0.2, 0.4]])
    found = infer(effects)

    assert found.p == pytest.approx([brute_p(effects, 0), brute_p(effects, 1)])
    assert found.p[0] == 2 / 128


def test_a_constant_rival_beats_every_finite_t():
    """A flip that leaves a constant contrast of fewer seeds constant beats any other contrast, however sure that is."""
    effects = np.array([1 + 1e-7 * np.arange(8), [0.3] * 7 + [np.nan]])
    found = infer(effects)

    assert found.p.tolist() == [brute_p(effects, 0), brute_p(effects, 1)] == [4 / 256, 2 / 128]


def test_missing_seed_drops_out_of_its_contrast_only():
    """A contrast alone gives the same with a NaN as without that seed, and its neighbour keeps the seed."""
    d = np.array([[0.5, np.nan, 0.2, 0.9, 0.4, 0.3, 0.6, 0.8], [1.0, 2.0, 2.5, 1.5, 3.0, 0.5, 4.0, 1.2]])
    found = infer(d, joint=False)
    alone = infer(np.delete(d[0], 1))

    assert found.n.tolist() == [7, 8]
    assert (found.p[0], found.low[0], found.high[0]) == pytest.approx((alone.p[0], alone.low[0], alone.high[0]))
    assert found.p[1] == 2 / 256


def test_a_contrast_of_two_seeds_does_not_hide_the_others():
    """A contrast that lost nearly all seeds cannot be rejected and leaves its family's p-values alone."""
    effects = np.vstack([np.linspace(0.5, 1.5, 8), np.full(8, np.nan)])
    effects[1, :2] = 1.0, 1.01
    found = infer(effects)

    assert found.p[0] == 2 / 256
    assert found.p[1] >= 0.5
    assert (found.low[1], found.high[1]) == (-np.inf, np.inf)


def test_too_few_seeds():
    """One seed: p = 1 and no finite interval; no seed: NaN; no contrast: empty."""
    found = infer([[0.3, np.nan], [np.nan, np.nan]])

    assert (found.n.tolist(), found.p[0], found.low[0], found.high[0]) == ([1, 0], 1.0, -np.inf, np.inf)
    assert np.isnan([found.effect[1], found.p[1], found.low[1], found.high[1], found.sd[0]]).all()
    assert sign_flip(np.zeros((0, 5)), np.random.default_rng(0)).p.shape == (0,)
    assert np.isnan(infer([[np.nan, np.nan]]).p[0])


def test_ties_within_the_resolution_count_against_the_effect():
    """Effects equal up to float32 noise give the p-value of the noiseless ones."""
    clean = np.array([0.005, 0.005, 0.005, 0.005, -0.005, 0.01, 0.01, -0.005])
    noisy = clean + 3e-8 * np.array([1, 1, 1, 1, -1, 1, 1, 1])

    assert infer(noisy, resolution=2e-7).p[0] == infer(clean).p[0]
    assert infer(noisy).p[0] < infer(clean).p[0]


@pytest.mark.parametrize(
    ("effects", "alpha", "message"),
    [(np.zeros(3), 0.05, "shape"), (np.array([[np.inf, 0.0]]), 0.05, "infinite"), (np.zeros((1, 3)), 1.0, "alpha")],
)
def test_bad_input_is_refused(effects, alpha, message):
    """A wrong shape, an infinity and a level outside (0, 1) are errors that say so."""
    with pytest.raises(ValueError, match=message):
        sign_flip(effects, np.random.default_rng(0), alpha=alpha)


def families(max_seeds: int = 9):
    """Effects [contrast, seed] with many ties, zeros and missing seeds, and a level."""
    value = st.one_of(st.integers(-3, 3).map(float), st.floats(-1, 1, width=32), st.just(float("nan")))
    shape = st.tuples(st.integers(1, 4), st.integers(1, max_seeds))
    return st.tuples(shape.flatmap(lambda s: hnp.arrays(float, s, elements=value)), st.sampled_from([0.05, 0.1, 0.25]))


@settings(max_examples=300, deadline=None)
@given(families(), st.booleans())
def test_p_and_interval_never_disagree(case, joint):
    """0 lies outside [low, high] exactly where p <= alpha, and the effect always inside, ties and gaps included."""
    effects, alpha = case
    found = infer(effects, alpha=alpha, joint=joint)
    seen = found.n > 0

    outside = (found.low > 0) | (found.high < 0)
    assert (outside == (found.p <= alpha))[seen].all()
    assert ((found.low <= found.effect) & (found.effect <= found.high))[seen].all()
    assert (found.p >= [smallest_p(n) for n in found.n])[seen].all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_drawn_flips_never_disagree_either(seed, rounded):
    """The same holds with drawn flips."""
    rng = np.random.default_rng(seed)
    effects = rng.normal(0.3, 1.0, (3, 20))
    effects = np.round(effects) if rounded else effects
    found = infer(effects, num_flips=400)

    assert (((found.low > 0) | (found.high < 0)) == (found.p <= 0.05)).all()


@settings(max_examples=80, deadline=None)
@given(families(), st.randoms(use_true_random=False))
def test_relabelling_changes_nothing(case, random):
    """Permuted seeds and contrasts give permuted results; so does a change of unit or of sign."""
    effects, alpha = case
    rows, seeds = (np.array(random.sample(range(n), n), dtype=int) for n in effects.shape)
    plain, moved = infer(effects, alpha=alpha), infer(-8.0 * effects[rows][:, seeds], alpha=alpha)

    np.testing.assert_allclose(moved.p, plain.p[rows], rtol=1e-12)
    np.testing.assert_allclose(moved.low, -8.0 * plain.high[rows], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(moved.high, -8.0 * plain.low[rows], rtol=1e-6, atol=1e-6)


def test_blocks_change_nothing(monkeypatch):
    """Results do not depend on how many contrasts are taken at once."""
    effects = np.random.default_rng(2).normal(0.3, 1.0, (9, 10))
    whole = infer(effects)
    monkeypatch.setattr(signflip, "BLOCK", 1)

    np.testing.assert_allclose(infer(effects)[1:6], whole[1:6], rtol=1e-12)


def test_memory_is_bounded(monkeypatch):
    """Many contrasts never need even one array of flips x contrasts: they are taken in blocks."""
    monkeypatch.setattr(signflip, "BLOCK", 5_000 * 20)
    effects = np.random.default_rng(2).normal(size=(400, 30))
    tracemalloc.start()
    infer(effects, num_flips=5_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert peak < 8 * 5_000 * 400
