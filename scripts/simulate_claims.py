"""How often a suite of claims errs, by the shape of its effects; printed as a table.

    python scripts/simulate_claims.py --studies 400

Suites of 79 claims, about as many hypotheses as the quick suite has, one test each, which expects an effect above 0 of
at least one standard deviation; seeds are independent. Wrong is "supported" where no claim has an effect, and "refuted"
where every claim has just the effect that matters: no truth is worse. Promised are at most 5% of suites with any wrong
verdict. Effects are centred and of unit variance; "-" stands for the mirror image. Their skewness is 0 of normal and
tied, 1 of gamma, 2 of exponential and 6.2 of lognormal effects.
"""

from collections.abc import Callable

import numpy as np
from simulated_tables import print_table

from regjax.claims.verdict import REFUTED, SUPPORTED, Evidence, Rules, judge_suite

NUM_CLAIMS, MARGIN = 79, 1.0
NOISES: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "tied": lambda rng, n: rng.integers(-2, 3, size=n) / np.sqrt(2),
    "gamma": lambda rng, n: (rng.gamma(4, size=n) - 4) / 2,
    "-gamma": lambda rng, n: (4 - rng.gamma(4, size=n)) / 2,
    "exponential": lambda rng, n: rng.exponential(size=n) - 1,
    "-exponential": lambda rng, n: 1 - rng.exponential(size=n),
    "lognormal": lambda rng, n: (rng.lognormal(size=n) - np.exp(0.5)) / np.sqrt(np.e * (np.e - 1)),
    "-lognormal": lambda rng, n: (np.exp(0.5) - rng.lognormal(size=n)) / np.sqrt(np.e * (np.e - 1)),
}
TRUTHS = {"no effect": (0.0, SUPPORTED), "the margin": (MARGIN, REFUTED)}
HEADS = ("effects", "truth", "seeds", "suites with a wrong verdict (%)", "wrong verdicts (%)")


def describe(effects: np.ndarray) -> tuple[float, float, int]:
    """Return mean, standard error and number of the effects of seeds."""
    return float(effects.mean()), float(effects.std(ddof=1) / np.sqrt(len(effects))), len(effects)


def simulate(rng: np.random.Generator, noise: str, truth: str, num_seeds: int, num_studies: int) -> dict[str, str]:
    """Return a row of the table."""
    mean, wrong = TRUTHS[truth]
    rules = {str(claim): Rules(["effect"], ["effect"]) for claim in range(NUM_CLAIMS)}
    errors = np.zeros(num_studies, int)
    for study in range(num_studies):
        suite = {
            claim: {"": {"effect": Evidence(*describe(mean + NOISES[noise](rng, num_seeds)), "higher", MARGIN)}}
            for claim in rules
        }
        errors[study] = sum(case[""].verdict == wrong for case in judge_suite(suite, rules).values())
    shares = (errors > 0).mean(), errors.sum() / (num_studies * NUM_CLAIMS)
    return dict(zip(HEADS, (noise, truth, str(num_seeds), *(f"{100 * share:.2f}" for share in shares)), strict=True))


if __name__ == "__main__":
    print_table(__doc__, HEADS, simulate, NOISES, TRUTHS, (20, 48))
