"""Coverage of intervals for the effect of a chosen level: how often each method holds the truth, and how wide it is.

    python scripts/simulate_choice.py --studies 1000 --seed 1

Every study draws, for five levels and n seeds, a validation and a test metric that share half of their variance. The
truth is the expected test effect of "choose on half of the seeds by validation, apply". Unit: SD of a run.
"""

from collections.abc import Callable

import numpy as np
from scipy.stats import t
from simulated_tables import print_table

from regjax.analysis.choice import ALPHA, NUM_RESAMPLES, crossfit, make_halves

SCENARIOS = {
    "none matters": [0, 0, 0, 0, 0],
    "one clearly best": [0, 0.2, 2, 0.2, 0],
    "several equal": [0, 1, 1, 1, 0],
    "rising": [0, 0.3, 0.6, 0.9, 1.2],
    "one bad": [0, 0, 0, 0, -3],
    "off is best": [0, -0.5, -1, -1.5, -2],
}
NOISES: dict[str, Callable] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "skewed": lambda rng, size: rng.exponential(size=size) - 1.0,
}
HEADS = ("noise", "scenario", "n", "truth", "bias", "naive", "SD halves", "SD many", "t halves", "t seeds",
         "jackknife", "bootstrap", "bootstrap se", "bootstrap-t", "half width")  # fmt: skip
Scores = tuple[np.ndarray, np.ndarray]


def draw(rng: np.random.Generator, noise: str, means: np.ndarray, num_seeds: int) -> Scores:
    """Return the validation and test metric of a study, [level, seed] each."""
    shared, own, other = (NOISES[noise](rng, (len(means), num_seeds)) for _ in range(3))
    return tuple(means[:, None] + np.sqrt(0.5) * (shared + part) for part in (own, other))


def find_truth(rng: np.random.Generator, noise: str, means: np.ndarray, num_seeds: int) -> float:
    """Return the expected effect of the level that half of the seeds choose."""
    draws = 20_000
    found = [
        means[draw(rng, noise, means, size)[0].mean(axis=1).argmax()] - means[0]
        for size in (num_seeds // 2, num_seeds - num_seeds // 2)
        for _ in range(draws // 2)
    ]
    return float(np.mean(found))


def seed_effects(scores: np.ndarray, effects: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Return the effect of every seed, the mean over the halvings that chose without it, [seed]."""
    chosen = effects[(halves.astype(float) @ scores.T).argmax(axis=1)]
    return (chosen * ~halves).sum(axis=0) / (~halves).sum(axis=0)


def intervals(rng: np.random.Generator, scores: np.ndarray, effects: np.ndarray) -> dict[str, tuple[float, float]]:
    """Return {method: (low, high)}."""
    n = scores.shape[1]
    quantile = t.ppf(1 - ALPHA / 2, n - 1)
    parity = np.stack([np.arange(n) % 2 == 0, np.arange(n) % 2 == 1])
    many = make_halves(n, rng)
    found = {}
    for name, halves in (("t halves", parity), ("t seeds", many)):
        each = seed_effects(scores, effects, halves)
        half = quantile * each.std(ddof=1) / np.sqrt(n)
        found[name] = (each.mean() - half, each.mean() + half)
    theta, se = jackknife(scores, effects, many)
    found["jackknife"] = (theta - quantile * se, theta + quantile * se)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=NUM_RESAMPLES).astype(float)
    drawn = crossfit(scores, effects, many, weights)
    found["bootstrap"] = tuple(np.quantile(drawn, [ALPHA / 2, 1 - ALPHA / 2]))
    half = quantile * np.sqrt(n / (n - 1)) * drawn.std(ddof=1)
    found["bootstrap se"] = (theta - half, theta + half)
    found["bootstrap-t"] = studentised(scores, effects, many, weights, drawn)
    return found


def jackknife(scores: np.ndarray, effects: np.ndarray, halves: np.ndarray) -> tuple[float, float]:
    """Return theta and its standard error, the choice repeated without one seed at a time."""
    n = scores.shape[1]
    found = crossfit(scores, effects, halves, np.concatenate([np.ones((1, n)), 1.0 - np.eye(n)]))
    without = found[1:]
    return float(found[0]), float(np.sqrt((n - 1) / n * np.square(without - without.mean()).sum()))


def studentised(
    scores: np.ndarray, effects: np.ndarray, halves: np.ndarray, weights: np.ndarray, drawn: np.ndarray
) -> tuple[float, float]:
    """Return the bootstrap-t interval; the standard error within a resample is that of its weighted seed effects."""
    n = scores.shape[1]

    def error(row: np.ndarray) -> float:
        each = seed_effects(scores * row, effects, halves)
        mean = (row * each).sum() / n
        return float(np.sqrt((row * np.square(each - mean)).sum() / (n - 1) / n))

    theta = crossfit(scores, effects, halves, np.ones((1, n)))[0]
    errors = np.array([error(row) for row in weights])
    ratios = (drawn - theta) / np.where(errors > 0, errors, np.inf)
    low, high = np.quantile(ratios, [ALPHA / 2, 1 - ALPHA / 2])
    own = error(np.ones(n))
    return theta - high * own, theta - low * own


def simulate(rng: np.random.Generator, noise: str, scenario: str, num_seeds: int, num_studies: int) -> dict[str, str]:
    """Return a row of the table."""
    means = np.array(SCENARIOS[scenario], dtype=float)
    truth = find_truth(rng, noise, means, num_seeds)
    middles, naive, widths, hits = [], [], [], []
    for _ in range(num_studies):
        validation, test = draw(rng, noise, means, num_seeds)
        effects = test - test[0]
        found = intervals(rng, validation - validation.mean(axis=0), effects)
        hits.append({name: low - 1e-12 <= truth <= high + 1e-12 for name, (low, high) in found.items()})
        middles.append([np.mean(found[name]) for name in ("t halves", "t seeds")])
        naive.append(effects.mean(axis=1).max())
        widths.append(found["bootstrap se"][1] - found["bootstrap se"][0])
    spread = np.std(middles, axis=0, ddof=1)
    numbers = [truth, np.mean(middles, axis=0)[1] - truth, np.mean(naive) - truth, *spread]
    shares = [f"{100 * np.mean([hit[name] for hit in hits]):.1f}" for name in HEADS[8:14]]
    texts = [noise, scenario, str(num_seeds), *(f"{x:.2f}" for x in numbers), *shares, f"{np.mean(widths) / 2:.2f}"]
    return dict(zip(HEADS, texts, strict=True))


if __name__ == "__main__":
    print_table(__doc__, HEADS, simulate, NOISES, SCENARIOS, (6, 10, 20, 30))
