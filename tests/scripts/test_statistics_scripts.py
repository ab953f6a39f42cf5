"""The scripts on the statistics, at tiny sizes; nothing is timed."""

import benchmark_statistics
import numpy as np
import pytest
import simulate_claims
import simulate_coverage
import simulate_skew
import simulate_splits
from scipy import stats

from regjax.analysis.signflip import sign_flip


def test_the_loop_finds_what_the_engine_finds() -> None:
    """The plain loop's p of a contrast is that of the engine, but for the draws of flips."""
    effects = np.random.default_rng(0).normal(0.3, 1.0, (3, 20))
    found = sign_flip(effects, np.random.default_rng(1), joint=False)

    assert benchmark_statistics.loop(effects, np.random.default_rng(2), 4000) == pytest.approx(found.p, abs=0.03)


def test_the_benchmark_prints_a_ratio(capsys: pytest.CaptureFixture) -> None:
    """It says what was measured, in seconds, memory and as a ratio."""
    ratio = benchmark_statistics.main(["--contrasts", "20", "--seeds", "18", "--flips", "50", "--looped", "2"])

    assert ratio > 0
    assert "20 contrasts x 18 seeds x 50 flips" in capsys.readouterr().out


def test_coverage_of_normal_noise() -> None:
    """Single and joint coverage reach 95% but for chance, and false findings stay below 5%."""
    single, joint, false = simulate_coverage.simulate(simulate_coverage.NOISES["normal"], 8, 4, 300, 99)

    assert min(single, joint) >= stats.binom.ppf(0.001, 300, 0.95) / 300
    assert false <= stats.binom.ppf(0.999, 300, 0.05) / 300


def test_intervals_over_splits_cover_fresh_pools() -> None:
    """On splits of pools like digits the corrected interval covers the effect of fresh pools better than none."""
    draw = simulate_splits.make_population(*simulate_splits.read_digits())
    rho, needed, none, _, used, _ = simulate_splits.compare_widths(draw, 200, 60, 300, 25, 8)

    assert rho < 60 / 300
    assert needed < 60 / 240
    assert none < used
    assert used >= stats.binom.ppf(0.001, 25, 0.95) * 4


def test_bootstrap_covers_most_normal_means() -> None:
    """BCa intervals of 30 normal effects hold their mean in nearly 95% of studies."""
    share = simulate_coverage.simulate_bootstrap(simulate_coverage.NOISES["normal"], 30, 100)

    assert share >= stats.binom.ppf(0.001, 100, 0.92) / 100


def test_statistics_against_skewness() -> None:
    """Hall's transform rises with the mean, as Johnson's does not; without skewness both are Student's t."""
    skewed = np.array([1.0, 1.1, 1.2, 1.3, -2.0])
    shifted = skewed + np.linspace(0, 5, 50)[:, None]
    even = np.array([-1.0, 0.0, 1.0]) + 0.3

    assert (np.diff(simulate_skew.hall(shifted)) > 0).all()
    assert (np.diff(simulate_skew.johnson(shifted)) < 0).any()
    assert simulate_skew.hall(even) == pytest.approx(simulate_skew.student(even))
    assert simulate_skew.johnson(even) == pytest.approx(simulate_skew.student(even))
    assert simulate_skew.flip_p(even[None], np.ones((1, 3)), simulate_skew.hall) == 1.0


def test_suites_of_normal_effects_err_as_promised_and_skewed_ones_more() -> None:
    """At the edge of what is claimed normal effects rarely give a wrong verdict; skewed ones often, and by t mostly."""
    rng = np.random.default_rng(5)
    normal, skewed = (simulate_claims.simulate(rng, noise, "the margin", 20, 40) for noise in ("normal", "lognormal"))
    wrong, alone = "suites with a wrong verdict (%)", "suites, t alone (%)"

    assert float(normal[wrong]) <= 10
    assert 20 <= float(skewed[wrong]) <= 70
    assert float(skewed[alone]) >= 80
