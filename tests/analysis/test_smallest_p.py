"""The smallest p-value that a plan promises is the one that inference gives where all seeds agree."""

import numpy as np
import pytest

from regjax.analysis.inference import infer, seed_effects
from regjax.analysis.power import promise_text

NUM_SEEDS = (6, 16, 20)


@pytest.mark.parametrize("num_seeds", NUM_SEEDS)
@pytest.mark.parametrize("num_contrasts", [1, 2])
def test_agreeing_seeds_reach_what_is_promised(num_seeds: int, num_contrasts: int) -> None:
    """One contrast of accuracies has 2 / 2^n at any n; several have it up to 16 seeds and 1 / 20001 beyond."""
    rng = np.random.default_rng(3)
    baseline = 0.5 + 0.001 * rng.integers(0, 5, num_seeds)
    better = [baseline + 0.1 + 0.001 * rng.integers(0, 5, num_seeds) for _ in range(num_contrasts)]
    weights = np.concatenate([-np.ones((num_contrasts, 1)), np.eye(num_contrasts)], axis=1)
    found = infer(seed_effects(weights, np.array([baseline, *better]), 1000), np.ones(num_contrasts, dtype=bool))
    expected = 1 / 20_001 if num_contrasts > 1 and num_seeds > 16 else 2.0 ** (1 - num_seeds)

    assert found["p"] == pytest.approx(expected)
    assert f"allow: {expected:.2g}" in promise_text(num_seeds, num_contrasts, "test.accuracy")


def test_drawn_flips_are_the_same_each_time() -> None:
    """Beyond 16 seeds a family draws its flips from a generator of its own: the same numbers give the same report."""
    values = np.random.default_rng(4).normal(size=(3, 20))
    effects = seed_effects(np.array([[-1.0, 1.0, 0.0], [-1.0, 0.0, 1.0]]), values)
    both = [infer(effects, np.ones(2, dtype=bool)) for _ in range(2)]

    assert all((both[0][name] == both[1][name]).all() for name in ("low", "high", "p"))
