"""Error rates by simulation: what the p-values and intervals promise over many studies."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from regjax.analysis.signflip import sign_flip

ALPHA = 0.05
REPEATS = 2000
# Correlated as contrasts against one baseline are.
MIXING = np.array([[1, 0, 0, 0], [0.8, 0.6, 0, 0], [0.5, 0, 0.9, 0], [-0.7, 0.1, 0.2, 0.7]])
NOISES: dict[str, Callable] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "heavy": lambda rng, size: rng.standard_t(2, size=size),
    "uneven": lambda rng, size: rng.normal(size=size) * rng.exponential(size=size[1]),
    "coarse": lambda rng, size: rng.integers(-2, 3, size=size).astype(float),
}


def most(rate: float) -> int:
    """Largest count that chance leaves plausible (1 in 1,000) for a true rate over the repeats."""
    return int(stats.binom.ppf(0.999, REPEATS, rate))


def studies(noise: str, num_seeds: int, truth: list[float], seed: int = 0, **kwargs):
    """Yield the inference for each of many simulated studies with these true effects."""
    rng = np.random.default_rng(seed)
    for _ in range(REPEATS):
        effects = MIXING @ NOISES[noise](rng, (4, num_seeds)) + np.array(truth)[:, None]
        yield sign_flip(effects, rng, alpha=ALPHA, **kwargs)


@pytest.mark.parametrize("noise", NOISES)
def test_no_effects_no_findings(noise):
    """With no effect at all a family of correlated contrasts has a false finding in at most 5% of studies."""
    wrong = sum((found.p <= ALPHA).any() for found in studies(noise, 8, [0, 0, 0, 0]))

    assert wrong <= most(ALPHA)


def test_no_effects_with_drawn_flips():
    """The same holds where flips are drawn; and the level is used, not only kept."""
    wrong = sum((found.p <= ALPHA).any() for found in studies("normal", 20, [0, 0, 0, 0], num_flips=399))

    assert REPEATS * ALPHA / 3 <= wrong <= most(ALPHA)


@pytest.mark.parametrize("noise", ["normal", "heavy", "uneven"])
def test_real_effects_do_not_cause_false_ones(noise):
    """With two large effects in the family the two contrasts without one are found in at most 5% of studies."""
    wrong = sum((found.p[[1, 3]] <= ALPHA).any() for found in studies(noise, 8, [5, 0, -20, 0]))

    assert wrong <= most(ALPHA)


@pytest.mark.parametrize(("noise", "num_seeds"), [("normal", 7), ("heavy", 9), ("uneven", 9), ("normal", 20)])
@pytest.mark.parametrize("truth", [[0.3, 0, 0, -0.8], [4, -9, 0.5, 2], [30, 30, 30, 30]])
def test_simultaneous_intervals_cover_the_truth(noise, num_seeds, truth):
    """In at least 95% of studies all intervals of the family hold their true effects at once."""
    missed = sum(
        ((found.low > truth) | (found.high < truth)).any()
        for found in studies(noise, num_seeds, truth, seed=1, num_flips=399)
    )

    assert missed <= most(ALPHA)


def test_planted_effects_are_found():
    """Effects of two and three standard deviations are found among four contrasts with ten seeds, with their signs."""
    found = [(f.low > 0, f.high < 0) for f in studies("normal", 10, [2.0, 0, -3.0, 0])]

    assert np.mean([above[0] for above, _ in found]) > 0.95
    assert np.mean([below[2] for _, below in found]) > 0.99


def test_a_family_costs_little_when_its_contrasts_agree():
    """Three copies of a contrast raise its p-value by less than half of what a Bonferroni correction would."""
    d = np.random.default_rng(4).normal(0.6, 1.0, 12)
    alone = sign_flip(d[None], np.random.default_rng(0))
    copies = sign_flip(np.stack([d, -2 * d, d + 0.0]), np.random.default_rng(0))

    assert copies.p == pytest.approx(np.repeat(copies.p[0], 3))
    assert alone.p[0] <= copies.p[0] < 1.5 * alone.p[0]
