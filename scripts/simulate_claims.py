"""How often a suite of claims errs, by the shape of its effects; printed as a table.

    python scripts/simulate_claims.py --studies 400

Suites of 86 claims with one test each, as many hypotheses as the quick suite has; a test expects an effect above 0 of
at least one standard deviation; seeds are independent. Wrong is "supported" where no claim has an effect, and "refuted"
where every claim has just the effect that matters: no truth is worse. Promised are at most 5% of suites with any wrong
verdict. The last column has the same suites judged by Student's t alone, without Hall's transform. Effects are centred
and of unit variance; "-" stands for the mirror image. Their skewness is 0 of normal and tied, 1 of gamma, 2 of
exponential and 6.2 of lognormal effects.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from simulated_tables import print_table

from regjax.claims.declare import Test
from regjax.claims.effects import find_evidence
from regjax.claims.verdict import REFUTED, SUPPORTED, Evidence, Rules, judge_suite

NUM_CLAIMS, MARGIN = 86, 1.0
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
HEADS = ("effects", "truth", "seeds", "suites with a wrong verdict (%)", "wrong verdicts (%)", "suites, t alone (%)")


TEST = Test.model_validate(
    {"name": "effect", "says": "it is there", "measure": "test.nll", "expect": "higher", "margin": MARGIN}
)


def count_errors(seeds: Sequence[Evidence], wrong: str) -> int:
    """Return the number of wrong verdicts of a suite that has this evidence, one test for each claim."""
    rules = {str(claim): Rules(["effect"], ["effect"]) for claim in range(len(seeds))}
    suite = {claim: {"": {"effect": one}} for claim, one in zip(rules, seeds, strict=True)}
    return sum(case[""].verdict == wrong for case in judge_suite(suite, rules).values())


def simulate(rng: np.random.Generator, noise: str, truth: str, num_seeds: int, num_studies: int) -> dict[str, str]:
    """Return a row of the table."""
    mean, wrong = TRUTHS[truth]
    errors, alone = np.zeros(num_studies, int), np.zeros(num_studies, int)
    for study in range(num_studies):
        seeds = [find_evidence(TEST, mean + NOISES[noise](rng, num_seeds)) for _ in range(NUM_CLAIMS)]
        errors[study] = count_errors(seeds, wrong)
        alone[study] = count_errors([dataclasses.replace(one, skew=math.nan) for one in seeds], wrong)
    shares = (errors > 0).mean(), errors.sum() / (num_studies * NUM_CLAIMS), (alone > 0).mean()
    return dict(zip(HEADS, (noise, truth, str(num_seeds), *(f"{100 * share:.2f}" for share in shares)), strict=True))


if __name__ == "__main__":
    print_table(__doc__, HEADS, simulate, NOISES, TRUTHS, (20, 48))
