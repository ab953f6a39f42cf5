"""Coverage of intervals for the slope of the best level over strata, and how often a slope is found without one.

    python scripts/simulate_trend.py --studies 250 --seed 1

Every study draws the metric of 11 levels (1e-6 to 1e-1) and off in three strata (500, 2000, 8000) for n seeds. The mean
is a bump over log10 of the level whose top moves by the planted slope; off has none of it. Unit: SD of a run. Half of
the variance of a run is a tilt of the whole curve per seed and stratum, as of seeds that like more or less of it.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.stats import t
from simulated_tables import print_table

from regjax.analysis.trend import ALPHA, NUM_RESAMPLES, best_places, find_trend, fit_slope, place_levels

LEVELS = place_levels([0.0, *np.logspace(-6, -1, 11)]).x
STRATA = np.log10([500.0, 2000.0, 8000.0])
NOISES: dict[str, Callable] = {
    "normal": lambda rng, size: rng.normal(size=size),
    "skewed": lambda rng, size: rng.exponential(size=size) - 1.0,
}


class Truth(NamedTuple):
    """A dose-response: place of the top at the middle stratum, its slope, height [stratum], widths below and above."""

    middle: float
    slope: float
    height: tuple[float, float, float]
    widths: tuple[float, float]


SCENARIOS = {
    "none matters": Truth(-3.5, 0.0, (0, 0, 0), (1, 1)),
    "flat, stays": Truth(-3.6, 0.0, (1, 1, 1), (1.5, 1.5)),
    "peaked, stays": Truth(-3.6, 0.0, (4, 4, 4), (1, 1)),
    "lopsided, stays": Truth(-3.1, 0.0, (3, 3, 3), (1.5, 0.7)),
    "fading, stays": Truth(-2.6, 0.0, (4, 2, 0.5), (1, 1)),
    "flat, moves": Truth(-3.6, -0.7, (1, 1, 1), (1.5, 1.5)),
    "peaked, moves": Truth(-3.6, -0.7, (4, 4, 4), (1, 1)),
    "lopsided, moves": Truth(-3.1, -0.7, (3, 3, 3), (1.5, 0.7)),
    "fading, moves": Truth(-2.9, -0.7, (4, 2, 1), (1, 1)),
}
METHODS = ("argmax %", "argmax se", "parabola %", "parabola se", "five %", "five se", "halves se", "used")
HEADS = ("noise", "scenario", "n", "truth", "bias argmax", "bias parabola", "bias five", "bias halves", *METHODS,
         "half width", "power")  # fmt: skip


def find_means(truth: Truth) -> np.ndarray:
    """Return the mean of every level, [stratum, level]."""
    tops = truth.middle + truth.slope * (STRATA - STRATA.mean())
    away = LEVELS - tops[:, None]
    widths = np.where(away < 0, *truth.widths)
    means = np.array(truth.height)[:, None] * np.exp(-0.5 * np.square(away / widths))
    return np.where(LEVELS[0] == LEVELS, 0.0, means)


def draw(rng: np.random.Generator, noise: str, means: np.ndarray, num_seeds: int) -> np.ndarray:
    """Return the metric of a study, [stratum, level, seed]."""
    own = NOISES[noise](rng, (*means.shape, num_seeds))
    tilt = (LEVELS - LEVELS.mean())[:, None] / LEVELS.std() * NOISES[noise](rng, (len(means), 1, num_seeds))
    return means[..., None] + np.sqrt(0.5) * (own + tilt)


def top_of_five(means: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the top of the least-squares parabola through the five levels about the best, within their range."""
    middle = np.clip(means.argmax(axis=-1), 2, len(x) - 3)
    values = np.take_along_axis(means, middle[..., None] + np.arange(-2, 3), axis=-1)
    step = x[1] - x[0]
    rise = values @ np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) / 10
    bend = values @ np.array([2.0, -1.0, -2.0, -1.0, 2.0]) / 14
    shift = np.where(bend < 0, -rise / np.where(bend < 0, 2 * bend, 1.0), 2 * np.sign(rise))
    return x[middle] + step * np.clip(shift, -2, 2)


PLACES: dict[str, Callable] = {
    "argmax": lambda means, x: x[means.argmax(axis=-1)],
    "parabola": best_places,
    "five": top_of_five,
}


def halved(scores: np.ndarray, weights: np.ndarray, halves: np.ndarray) -> np.ndarray:
    """Return the mean slope over halves of the seeds of the level with the best mean there, [row of weights]."""
    found = np.zeros(len(weights))
    for half in halves:
        sums = np.einsum("rs,gls->rgl", weights * half, scores, optimize=True)
        found += fit_slope(LEVELS[sums.argmax(axis=-1)], STRATA)
    return found / len(halves)


def intervals(rng: np.random.Generator, scores: np.ndarray) -> tuple[list[float], dict[str, tuple[float, float]]]:
    """Return the slopes by each way to place the best level, and {method: (low, high)}."""
    n = scores.shape[2]
    quantile = t.ppf(1 - ALPHA / 2, n - 1) * np.sqrt(n / (n - 1))
    scores = scores - scores.mean(axis=1, keepdims=True)
    weights = rng.multinomial(n, np.full(n, 1 / n), size=NUM_RESAMPLES) / n
    drawn = np.einsum("rs,gls->rgl", weights, scores, optimize=True)
    slopes, found = [], {}
    for name, place in PLACES.items():
        slope = fit_slope(place(scores.mean(axis=2), LEVELS), STRATA)
        moved = fit_slope(place(drawn, LEVELS), STRATA)
        half = quantile * moved.std(ddof=1)
        slopes.append(slope)
        found[f"{name} %"] = tuple(np.quantile(moved, [ALPHA / 2, 1 - ALPHA / 2]))
        found[f"{name} se"] = (slope - half, slope + half)
    used = find_trend(scores, LEVELS, STRATA)
    found["used"] = used.low, used.high
    first = np.array([rng.permutation(n) < n // 2 for _ in range(10)])
    halves = np.concatenate([first, ~first])
    slope = halved(scores, np.ones((1, n)), halves)[0]
    half = quantile * halved(scores, weights[:200], halves).std(ddof=1)
    found["halves se"] = (slope - half, slope + half)
    return [*slopes, slope], found


def simulate(rng: np.random.Generator, noise: str, scenario: str, num_seeds: int, num_studies: int) -> dict[str, str]:
    """Return a row of the table."""
    truth = SCENARIOS[scenario]
    means = find_means(truth)
    slopes, hits, widths, power = [], [], [], []
    for _ in range(num_studies):
        middles, found = intervals(rng, draw(rng, noise, means, num_seeds))
        slopes.append(middles)
        hits.append([found[m][0] - 1e-12 <= truth.slope <= found[m][1] + 1e-12 for m in METHODS])
        low, high = found["used"]
        widths.append((high - low) / 2)
        power.append(low > 0 or high < 0)
    numbers = [f"{x:.2f}" for x in (truth.slope, *(np.mean(slopes, axis=0) - truth.slope))]
    shares = [f"{100 * share:.1f}" for share in np.mean(hits, axis=0)]
    texts = [
        noise,
        scenario,
        str(num_seeds),
        *numbers,
        *shares,
        f"{np.mean(widths):.2f}",
        f"{100 * np.mean(power):.1f}",
    ]
    return dict(zip(HEADS, texts, strict=True))


if __name__ == "__main__":
    print_table(__doc__, HEADS, simulate, NOISES, SCENARIOS, (6, 10, 20, 40))
