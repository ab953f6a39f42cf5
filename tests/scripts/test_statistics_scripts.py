"""The scripts on the statistics, at tiny sizes; nothing is timed."""

import benchmark_statistics
import numpy as np
import pytest
import simulate_coverage
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
