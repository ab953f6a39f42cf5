"""The effect of the best level of a factor, where the level is chosen on other seeds than those it is judged on.

Write v_ls for the validation metric (larger is better) of level l at seed s, d_ls for the primary metric there less
that of the first level, w_s >= 0 for a weight per seed. For a half H of the seeds

    c_H = argmax over l of sum over s in H of w_s v_ls
    e_H = sum over s not in H of w_s d_(c_H)s / sum over s not in H of w_s

and the effect is theta(w) = mean of e_H over many halvings, each with its opposite, at w = 1. It estimates the expected
effect of the procedure "choose on half of the seeds, apply": no seed helps to choose the level it judges. The best mean
on the seeds that also judge it is larger even where no level matters.

The interval repeats the choice on resampled seeds: with w drawn from Multinomial(n; 1/n, ..., 1/n) and the same halves,

    se^2 = n / (n - 1) Var(theta(w)),   theta(1) +- t_(n-1) se

A seed drawn twice stays on one side of every halving, so it never judges a level that it helped to choose.

Reference: Efron, Tibshirani, "Improvements on cross-validation: the .632+ bootstrap method" (1997), for choosing and
judging on different cases. Departure: halves of seeds in place of folds; t quantiles and n / (n - 1).
"""

from typing import NamedTuple

import numpy as np

ALPHA = 0.05
SEED = 20_260_102
# Halvings, each also the other way round.
NUM_HALVINGS = 50
NUM_RESAMPLES = 300
# With fewer seeds a half is too small to choose by.
FEWEST_SEEDS = 6


class Choice(NamedTuple):
    """The effect of the chosen level against the first.

    Attributes:
      effect: mean over halvings, NaN below two seeds.
      low, high: 95% interval, NaN below `FEWEST_SEEDS` seeds.
      n: seeds.
      shares: [level], share of halvings in which each level is chosen; NaN below two seeds.
      level: index of the level that all seeds choose.
      naive_level: index of the level with the best mean of the primary metric on all seeds.
      naive: its effect on the same seeds, which is optimistic.
      se: standard error of the effect, NaN below `FEWEST_SEEDS` seeds.
    """

    effect: float
    low: float
    high: float
    n: int
    shares: np.ndarray
    level: int
    naive_level: int
    naive: float
    se: float = np.nan


def make_halves(num_seeds: int, rng: np.random.Generator, num_halvings: int = NUM_HALVINGS) -> np.ndarray:
    """Return halves of the seeds to choose on, [2 num_halvings, seed] bool; every half is followed by the other one.

    >>> halves = make_halves(5, np.random.default_rng(0), 2)
    >>> halves.sum(axis=1).tolist(), bool((halves[::2] != halves[1::2]).all())
    ([2, 3, 2, 3], True)
    """
    order = rng.permuted(np.tile(np.arange(num_seeds), (num_halvings, 1)), axis=1)
    first = order < num_seeds // 2
    return np.stack([first, ~first], axis=1).reshape(-1, num_seeds)


def crossfit(scores: np.ndarray, effects: np.ndarray, halves: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return theta(w) for each row of weights, [row]; halvings with a half without weight do not count.

    Args:
      scores: [level, seed], v of the module; larger is better.
      effects: [level, seed], d of the module.
      halves: [halving, seed] bool, the seeds to choose on.
      weights: [row, seed], not negative.
    """
    inside = weights[:, None, :] * halves
    outside = weights[:, None, :] * ~halves
    # Multiplied, not divided: a half without weight then chooses level 0 and is left out below.
    chosen = (inside @ scores.T).argmax(axis=2)
    sums = np.take_along_axis(outside @ effects.T, chosen[..., None], axis=2)[..., 0]
    sizes = outside.sum(axis=2)
    counts = (sizes > 0) & (inside.sum(axis=2) > 0)
    means = np.where(counts, sums / np.where(counts, sizes, 1.0), 0.0)
    return means.sum(axis=1) / np.maximum(counts.sum(axis=1), 1)


def bootstrap_error(scores: np.ndarray, effects: np.ndarray, halves: np.ndarray, rng: np.random.Generator) -> float:
    """Return the standard error of theta, the choice repeated on resampled seeds; arguments as for `crossfit`."""
    n = scores.shape[1]
    weights = rng.multinomial(n, np.full(n, 1 / n), size=NUM_RESAMPLES).astype(float)
    drawn = crossfit(scores, effects, halves, weights)
    return float(np.sqrt(n / (n - 1)) * drawn.std(ddof=1))


def choose_level(scores: np.ndarray, primary: np.ndarray, sign: int = 1) -> Choice:
    """Return the effect of the level chosen without the seeds that judge it, with a 95% interval.

    Args:
      scores: [level, seed], the metric to choose by, larger is better; -inf where a level must not be chosen.
      primary: [level, seed], the primary metric; NaN only where `scores` is -inf, never at the first level.
      sign: 1 where larger values of the primary metric are better, -1 where smaller ones are.
    """
    from scipy.stats import t

    num_levels, n = scores.shape
    allowed = np.isfinite(scores).all(axis=1)
    places = np.flatnonzero(allowed)
    shares = np.full(num_levels, np.nan)
    if n < 2:
        return Choice(np.nan, np.nan, np.nan, n, shares, 0, 0, np.nan)
    kept, effects = scores[allowed], primary - primary[0]
    # A constant per seed changes no choice; without it the sums lose no digits.
    kept = kept - kept.mean(axis=0)
    rng = np.random.default_rng(SEED)
    halves = make_halves(n, rng)
    chosen_effects = effects[allowed]
    theta = float(crossfit(kept, chosen_effects, halves, np.ones((1, n)))[0])
    se = bootstrap_error(kept, chosen_effects, halves, rng) if n >= FEWEST_SEEDS else np.nan
    picks = places[(halves.astype(float) @ kept.T).argmax(axis=1)]
    shares = np.bincount(picks, minlength=num_levels) / len(picks)
    best = int(np.where(allowed, sign * effects.mean(axis=1), -np.inf).argmax())
    half = float(t.ppf(1 - ALPHA / 2, n - 1)) * se
    level = int(places[kept.mean(axis=1).argmax()])
    naive = float(effects[best].mean())
    return Choice(theta, theta - half, theta + half, n, shares, level, best, naive, se)
