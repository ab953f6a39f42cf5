"""Stein's two-stage procedure: a pilot says how many seeds an interval of a wanted width takes, and keeps its promise.

n0 pilot seeds give the SD s_k of every confirmatory contrast k. With t = t_{1 - alpha / (2 m), n0 - 1}, m contrasts,

    N_k = max(n0, ceil((t s_k / h)^2)),  N = min(max, largest N_k),
    interval: (mean over all N seeds) +- t s_k / sqrt(N)

For normal effects N depends on the pilot through SDs, which are independent of means, so that
(mean - mu) sqrt(N) / s_k has exactly Student's t distribution with n0 - 1 df, whatever sigma and N: each interval
covers with 1 - alpha / m, all of them with 1 - alpha at least (Bonferroni). The SD must stay that of the pilot: with
that of all seeds, as with adding seeds until an interval is narrow, stopping early goes with an SD that is too small.

Reference: Stein, "A two-sample test for a linear hypothesis whose power is independent of the variance" (1945).
Departure: several contrasts share N, and N is capped.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np


def pilot_sd(effects: np.ndarray, resolution: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return the SD (ddof 1) of each contrast's pilot seeds and their number, [contrast] each.

    The SD is NaN below two seeds, and 0 where it is rounding.

    Args:
      effects: of the pilot seeds, [contrast, seed]; NaN where a seed has none.
      resolution: [contrast] or one number: SDs up to it are rounding.

    >>> sd, n = pilot_sd(np.array([[1.0, 2.0, 3.0], [1.0, np.nan, np.nan]]))
    >>> sd.tolist(), n.tolist()
    ([1.0, nan], [3, 1])
    """
    present = ~np.isnan(effects)
    n = present.sum(axis=1)
    mean = np.where(present, effects, 0.0).sum(axis=1) / np.maximum(n, 1)
    squares = np.where(present, np.square(effects - mean[:, None]), 0.0).sum(axis=1)
    sd = np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan)
    return np.where(sd <= resolution, 0.0, sd), n


def quantile(n: np.ndarray, level: np.ndarray | float) -> np.ndarray:
    """Return Student's t_{1 - level/2, n - 1}, NaN below two seeds."""
    from scipy.stats import t

    return np.where(n > 1, t.isf(np.asarray(level) / 2, np.maximum(n - 1, 1)), np.nan)


def needed_seeds(
    names: Sequence[str],
    effects: np.ndarray,
    *,
    pilot: int,
    most: int,
    halfwidth: float,
    alpha: float = 0.05,
    resolution: np.ndarray | float = 0.0,
) -> dict[str, Any]:
    """Return how many seeds a study takes, as plan.json keeps it.

    Args:
      names: of the confirmatory contrasts.
      effects: of the pilot seeds, [contrast, seed].
      pilot: number of pilot seeds.
      most: cap.
      halfwidth: wanted half of the intervals' width, unit of the effects.
      alpha: level of the family.
      resolution: as for `pilot_sd`.

    Returns:
      pilot, max and halfwidth as given; needed, the largest N_k, which may exceed max; seeds, what is taken; sd,
      {contrast: SD}, None for a contrast with fewer than two pilot seeds, which does not count.

    >>> found = needed_seeds(["a"], np.array([[1.0, 2.0, 3.0]]), pilot=3, most=50, halfwidth=1.0)
    >>> found["needed"], found["seeds"], found["sd"]
    (19, 19, {'a': 1.0})
    """
    sd, n = pilot_sd(effects, resolution)
    level = alpha / max(len(names), 1)
    # Held far above any cap, so that the square of a tiny width is no overflow.
    wanted = np.square(np.minimum(quantile(n, level) * sd / halfwidth, 1e6))
    needed = max([pilot, *(math.ceil(count) for count in wanted if not math.isnan(count))])
    sds = {name: None if math.isnan(s) else float(s) for name, s in zip(names, sd, strict=True)}
    return {
        "pilot": pilot,
        "max": most,
        "halfwidth": halfwidth,
        "needed": needed,
        "seeds": min(most, needed),
        "sd": sds,
    }


def stein_intervals(
    effects: np.ndarray, pilot: int, level: np.ndarray, resolution: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the two-stage intervals, [contrast] each.

    Effects that are equal in all seeds, pilot and others, give the point where 2 / 2^n0 <= level, n0 the pilot seeds
    with an effect: if effects are symmetric about another value than that point, all n0 lie on one side of it with this
    probability at most, whatever N is. Infinite where the pilot leaves no SD otherwise: fewer than two seeds with an
    effect, or effects that do not differ in the pilot (as coarse metrics can give) and do beyond it, or too few equal
    ones. NaN where no seed has an effect.

    Args:
      effects: of all seeds, the pilot first, [contrast, seed].
      pilot: number of pilot seeds.
      level: of each contrast, alpha / m for one of m that are judged together, [contrast].
      resolution: as for `pilot_sd`.

    >>> low, high = stein_intervals(np.array([[1.0, 2.0, 3.0, 2.0]]), 3, np.array([0.05]))
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (-0.151, 4.151)
    >>> stein_intervals(np.full((1, 7), 2.0), 6, np.array([0.05]))
    (array([2.]), array([2.]))
    """
    sd, n = pilot_sd(effects[:, :pilot], resolution)
    present = ~np.isnan(effects)
    count = present.sum(axis=1)
    mean = np.where(count > 0, np.where(present, effects, 0.0).sum(axis=1) / np.maximum(count, 1), np.nan)
    half = np.where(sd > 0, quantile(n, level) * sd / np.sqrt(np.maximum(count, 1)), np.inf)
    spread = np.where(present, effects, -np.inf).max(axis=1) - np.where(present, effects, np.inf).min(axis=1)
    half = np.where((spread <= resolution) & (2.0 ** (1 - n) <= level), 0.0, half)
    return mean - half, mean + half
