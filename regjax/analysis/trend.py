"""How the best level of a factor moves over strata: the slope of its place, with an interval over seeds.

Write m_gl for the mean over seeds of the metric (larger is better) of level l in stratum g, x_l for the place of level
l on its axis (log10 of it where the levels span a factor of 5), z_g for that of the stratum. The best place of a
stratum is the top of the parabola through its best level and the two beside it,

    b_g = x_l - 1/2 ((x_l - x_(l-1))^2 (m_l - m_(l+1)) - (x_l - x_(l+1))^2 (m_l - m_(l-1)))
              / ((x_l - x_(l-1)) (m_l - m_(l+1)) - (x_l - x_(l+1)) (m_l - m_(l-1)))     at l = argmax m_gl,

x_l itself at an end of the grid, and the slope is that of the least-squares line of b_g on z_g. The whole is repeated
on R resamples of the seeds, w ~ Multinomial(n; 1/n, ..., 1/n); a seed is drawn in all strata at once, as its cells are
paired. Two intervals follow, and what is given is the shortest that holds both:

    slope +- t_(n-1) se,  se^2 = n / (n - 1) Var(slope(w));
    from the k-th smallest to the k-th largest slope(w),  k = alpha / 2 (R + 1).

The first alone is too narrow where no level matters, for slopes then lie at both ends; the second alone with few seeds
and a clear best level. p is the larger of the two, so that 0 lies outside exactly where p <= alpha.

No seed is held back: the place of the best level is asked for, not its effect, which is what choosing makes optimistic.

Reference: Efron, Tibshirani, "An Introduction to the Bootstrap" (1993). Departure: t quantiles and
n / (n - 1), and two intervals joined.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

ALPHA = 0.05
SEED = 20_260_103
NUM_RESAMPLES = 1999
# Levels that span less have a plain axis, not a logarithmic one.
LOG_SPAN = 5.0


class Places(NamedTuple):
    """Where levels stand on an axis: `x` [level] in the order of the levels, `log` whether it is log10 of them."""

    x: np.ndarray
    log: bool


class Trend(NamedTuple):
    """How the best place moves over strata.

    Attributes:
      slope: of the best place on the strata's places; NaN below two seeds, or where a stratum has no level to choose.
      low, high: interval at the level asked for, NaN as the slope, infinite where so few seeds cannot give one.
      p: of no slope; at least `smallest_p`.
      se: standard error of the slope.
      n: seeds.
      best: [stratum], best place by all seeds.
      best_low, best_high: [stratum], 95% interval of it, within the grid.
      shares: [stratum, level], share of resamples in which each level has the best mean.
    """

    slope: float
    low: float
    high: float
    p: float
    se: float
    n: int
    best: np.ndarray
    best_low: np.ndarray
    best_high: np.ndarray
    shares: np.ndarray


def place_levels(levels: Sequence[float]) -> Places:
    """Return the places of levels: log10 where the positive ones span a factor of 5, else the levels themselves.

    A level that an axis has no place for stands one (median) step beside the others: 0 on a logarithmic axis below
    them, infinity above them.

    >>> place_levels([0.0, 0.001, 0.01, 0.1])
    Places(x=array([-4., -3., -2., -1.]), log=True)
    >>> place_levels([0.0, 0.25, 0.5]).x.tolist(), place_levels([float("inf"), 4.0, 3.0, 2.0]).x.tolist()
    ([0.0, 0.25, 0.5], [5.0, 4.0, 3.0, 2.0])
    """
    values = np.array(levels, dtype=float)
    doses = values[np.isfinite(values) & (values > 0)]
    log = bool((values >= 0).all() and len(doses) > 1 and doses.max() >= LOG_SPAN * doses.min())
    placed = np.isfinite(values) & ((values > 0) | (not log))
    x = np.zeros(len(values))
    x[placed] = np.log10(values[placed]) if log else values[placed]
    step = float(np.median(np.diff(np.unique(x[placed])))) if placed.sum() > 1 else 1.0
    x[~placed & (values <= 0)] = x[placed].min() - step
    x[np.isposinf(values)] = x[placed].max() + step
    return Places(x, log)


def best_places(means: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the place of the best level, smoothed by the parabola through it and its neighbours.

    Args:
      means: [..., level], larger is better; -inf where a level must not be chosen.
      x: [level], ascending.

    >>> best_places(np.array([[0.0, 2.0, 1.0], [0.0, 1.0, 2.0], [0.0, 2.0, -np.inf]]), np.array([0.0, 1.0, 2.0]))
    array([1.16666667, 2.        , 1.        ])
    """
    top = means.argmax(axis=-1)
    middle = np.clip(top, 1, len(x) - 2)
    around = middle[..., None] + np.array([-1, 0, 1])
    low, at, high = np.moveaxis(np.take_along_axis(means, around, axis=-1), -1, 0)
    inside = (top == middle) & np.isfinite(low) & np.isfinite(high)
    fall_low, fall_high = (np.where(inside, at - np.where(inside, side, 0.0), 0.0) for side in (low, high))
    left, right = x[middle] - x[middle - 1], x[middle + 1] - x[middle]
    bend = left * fall_high + right * fall_low
    shift = (right**2 * fall_low - left**2 * fall_high) / np.where(bend > 0, 2 * bend, 1.0)
    return x[top] + np.where(inside & (bend > 0), shift, 0.0)


def fit_slope(places: np.ndarray, strata: np.ndarray) -> np.ndarray:
    """Return the least-squares slopes of places [..., stratum] on the strata's places [stratum]."""
    centred = strata - strata.mean()
    return places @ centred / (centred @ centred)


def smallest_p(num_seeds: int) -> float:
    """Return the least p-value that is given: 2 / 2^n as of sign flips, and no less than 2 / (resamples + 1).

    >>> smallest_p(6), smallest_p(30)
    (0.03125, 0.001)
    """
    return min(1.0, max(2.0 ** (1 - num_seeds), 2 / (NUM_RESAMPLES + 1)))


def t_interval(estimate: float, se: float, num_seeds: int, alpha: float) -> tuple[float, float, float]:
    """Return low, high and p of an estimate with a standard error over seeds; p <= alpha exactly if 0 is outside.

    The interval is infinite where so few seeds cannot give such a p, and all are NaN below two seeds.
    """
    from scipy.stats import t

    if num_seeds < 2 or not math.isfinite(se):
        return math.nan, math.nan, math.nan
    least = smallest_p(num_seeds)
    half = float(t.ppf(1 - alpha / 2, num_seeds - 1)) * se if least <= alpha else math.inf
    ratio = abs(estimate) / se if se > 0 else math.inf
    p = float(2 * t.sf(ratio, num_seeds - 1)) if estimate else 1.0
    return estimate - half, estimate + half, max(p, least)


def percentile_interval(drawn: np.ndarray, alpha: float) -> tuple[float, float, float]:
    """Return low, high and p from the estimates of resamples [resample]; p <= alpha exactly if 0 is outside.

    >>> low, high, p = percentile_interval(np.arange(1.0, 1000.0), 0.05)
    >>> low, high, p
    (25.0, 975.0, 0.002)
    """
    ordered = np.sort(drawn)
    # Not below the smallest: where alpha is so small that no resample lies outside.
    rank = max(math.floor(alpha / 2 * (len(ordered) + 1) + 1e-9), 1)
    beyond = min(int((ordered <= 0).sum()), int((ordered >= 0).sum()))
    return float(ordered[rank - 1]), float(ordered[-rank]), min(1.0, 2 * (beyond + 1) / (len(ordered) + 1))


def join_intervals(*found: tuple[float, float, float]) -> tuple[float, float, float]:
    """Return the shortest interval that holds all of them, and the largest p."""
    lows, highs, ps = zip(*found, strict=True)
    return min(lows), max(highs), max(ps)


def find_trend(scores: np.ndarray, levels: np.ndarray, strata: np.ndarray, alpha: float = ALPHA) -> Trend:
    """Return the slope of the best place on the strata, with interval and p over seeds.

    Args:
      scores: [stratum, level, seed], larger is better; -inf where a level must not be chosen in a stratum.
      levels: [level], places, in any order, all different.
      strata: [stratum], places, not all equal.
      alpha: one less the coverage of the slope's interval.
    """
    order = np.argsort(levels)
    back, x = np.argsort(order), levels[order]
    num_strata, num_levels, n = scores.shape
    scores = scores[:, order]
    allowed = np.isfinite(scores).all(axis=2)
    if n < 2 or not allowed.any(axis=1).all():
        nothing, shares = np.full(num_strata, np.nan), np.full((num_strata, num_levels), np.nan)
        return Trend(np.nan, np.nan, np.nan, np.nan, np.nan, n, nothing, nothing, nothing, shares)
    barred = np.where(allowed, 0.0, -np.inf)
    scores = _centre(scores, allowed)
    weights = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=NUM_RESAMPLES)
    drawn = np.einsum("rs,gls->rgl", weights / n, scores, optimize=True) + barred
    best, moved = best_places(scores.mean(axis=2) + barred, x), best_places(drawn, x)
    slope, slopes = float(fit_slope(best, strata)), fit_slope(moved, strata)
    low, high, p, se = _infer(slope, slopes, n, alpha)
    ends = np.array([_infer(place, column, n, ALPHA)[:2] for place, column in zip(best, moved.T, strict=True)])
    ends = ends.clip(x[0], x[-1])
    picks = drawn.argmax(axis=2)
    shares = np.array([np.bincount(column, minlength=num_levels) for column in picks.T]) / len(picks)
    return Trend(slope, low, high, p, se, n, best, ends[:, 0], ends[:, 1], shares[:, back])


def _centre(scores: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return the scores [stratum, level, seed] less the mean of each seed in a stratum, seeds in an order of their own.

    A constant per seed changes no choice; without it the sums lose no digits. The order makes the resamples, which are
    drawn by position, hang on what the seeds gave and not on how they are numbered.
    """
    known = np.where(allowed[..., None], scores, 0.0)
    centred = known - known.sum(axis=1, keepdims=True) / allowed.sum(axis=1)[:, None, None]
    return centred[..., np.lexsort(centred.round(6).reshape(-1, scores.shape[2]))]


def _infer(estimate: float, drawn: np.ndarray, num_seeds: int, alpha: float) -> tuple[float, float, float, float]:
    """Return low, high, p and the standard error of an estimate from those of the resamples."""
    se = math.sqrt(num_seeds / (num_seeds - 1)) * float(drawn.std(ddof=1))
    return *join_intervals(t_interval(estimate, se, num_seeds, alpha), percentile_interval(drawn, alpha)), se
