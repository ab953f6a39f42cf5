"""All sign flips of a contrast at any number of seeds, where its effects are whole numbers of one step.

An accuracy is a count of right answers / number of examples, so a contrast of accuracies is k_s times one step for seed
s, with k_s an integer. What a flip beats depends on it through two integers only (see `signflip`): how many seeds keep
their sign, n+, and the sum A of a_s = (k_s - least k) / divisor over them, since

    sum over the seeds of sign + of (d_s - m) = step * divisor * (n A - n+ sum a) / n

The share of flips for every (n+, A) follows from adding one seed after the other, a convolution: a flip keeps the
sign of the seed or does not, each with probability 1/2. So all 2^n flips are taken at the cost of the table's size.

Reference: Pagano, Tritchler, "On obtaining permutation distributions in polynomial time" (1983). Departure: the table
has n+ as a second index, which the studentised interval needs.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import Any, NamedTuple

import numpy as np

from regjax.analysis.signflip import SignFlip

# Numbers in all tables of a call, and in one of them; beyond, drawn flips are cheaper and take less memory.
MOST_STATES, MOST_IN_ONE = 20_000_000, 2_000_000
# Weights of contrasts are shares of numbers of cells; beyond this common denominator they are taken for no such thing.
MOST_CELLS = 10_000


class Counts(NamedTuple):
    """Effects as whole numbers of steps: `counts` [contrast, seed], NaN where there is none, and `step` [contrast]."""

    counts: np.ndarray
    step: np.ndarray


def count_effects(weights: np.ndarray, values: np.ndarray, total: int) -> Counts | None:
    """Return effects of shares of `total` examples as whole numbers of steps; None where they are no such shares.

    Args:
      weights: [contrast, cell].
      values: [cell, seed] shares, exact but for float32 rounding; NaN where a run has none.
      total: number of examples.

    >>> count_effects(np.array([[-0.5, -0.5, 1.0]]), np.array([[0.5], [0.6], [0.9]]), 10)
    Counts(counts=array([[7.]]), step=array([0.05]))
    """
    right = values * total
    whole = np.round(right)
    # Half a step would be any number: beyond 2^20 examples float32 does not hold the count.
    if total > 2**20 or (np.abs(right - whole) > np.finfo(np.float32).eps * total).any():
        return None
    scales = [_common_denominator(row) for row in weights]
    if None in scales:
        return None
    scale = np.array(scales, dtype=np.float64)
    missing = np.isnan(values)
    counts = np.round(weights * scale[:, None]) @ np.where(missing, 0.0, whole)
    absent = (weights != 0).astype(np.float64) @ missing > 0
    return Counts(np.where(absent, np.nan, counts), 1.0 / (scale * total))


def _common_denominator(weights: np.ndarray) -> int | None:
    """Return the least number that makes all weights integers, None where there is no small one."""
    denominators = [Fraction(float(weight)).limit_denominator(MOST_CELLS).denominator for weight in np.unique(weights)]
    scale = lcm(*denominators)
    # Weights of least squares have no small denominator; as a float the number would overflow.
    if scale > MOST_CELLS:
        return None
    far = np.abs(weights * scale - np.round(weights * scale)) > 1e-9
    return None if far.any() else scale


def fits(counts: np.ndarray) -> bool:
    """Return whether the tables that `flip_counts` makes for counts [contrast, seed] are small."""
    sizes = [(len(row) + 1) * (sum(row) + 1) for row in map(_reduce, counts)]
    return sum(sizes) <= MOST_STATES and max(sizes, default=0) <= MOST_IN_ONE


def _reduce(row: np.ndarray) -> list[int]:
    """Return the integers of a row less their least and over their greatest common divisor."""
    whole = [int(value) for value in row[~np.isnan(row)]]
    least = min(whole, default=0)
    divisor = gcd(*(value - least for value in whole)) or 1
    return [(value - least) // divisor for value in whole]


def flip_counts(found: Counts, alpha: float = 0.05) -> SignFlip:
    """Return what `sign_flip` does with `joint=False`, from all flips at any number of seeds.

    Args:
      found: effects as whole numbers of steps.
      alpha: level, in (0, 1).

    >>> found = flip_counts(Counts(np.arange(1.0, 31.0)[None], np.array([0.1])))
    >>> found.exact, found.num_flips == 2**29, bool(found.p[0] == 2 / 2**30)
    (True, True, True)
    """
    rows = [_infer(row[~np.isnan(row)], float(step), alpha) for row, step in zip(*found, strict=True)]
    n, effect, sd, low, high, p = np.array(rows, dtype=np.float64).reshape(len(rows), 6).T
    num_seeds = int((~np.isnan(found.counts)).any(axis=0).sum())
    return SignFlip(n.astype(np.int64), effect, sd, low, high, p, True, 2 ** max(num_seeds - 1, 0))


def _infer(row: np.ndarray, step: float, alpha: float) -> tuple[float, ...]:
    """Return n, effect, sd, low, high and p of one contrast."""
    n = len(row)
    if n == 0:
        return 0, *([np.nan] * 5)
    effect = step * float(row.sum()) / n
    sd = step * float(row.std(ddof=1)) if n > 1 else np.nan
    whole = _reduce(row)
    # Equal counts leave every group mean where it is.
    scale = float(np.ptp(row)) / max(whole) if max(whole) else 1.0
    lower, upper, share = _reaches(whole)
    distance = abs(float(row.sum())) / n
    low, below = _quantile(lower * scale, share, distance, alpha)
    high, above = _quantile(upper * scale, share, distance, alpha)
    return n, effect, sd, effect - step * low, effect + step * high, below if effect >= 0 else above


def _reaches(whole: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how far below and above the mean each kind of flip beats, as `signflip._reach`, and its share of all."""
    n, total = len(whole), sum(whole)
    plus, part = np.nonzero(share := _tabulate(whole))
    centred = n * part.astype(np.int64) - plus * total
    minus = n - plus
    same = (plus == 0) | (minus == 0)
    above, below = np.where(centred >= 0, plus, minus), np.where(centred >= 0, minus, plus)
    size = np.abs(centred) / n
    lower, upper = (np.where(same, np.inf, size / np.maximum(group, 1)) for group in (below, above))
    return lower, upper, share[plus, part]


def _tabulate(whole: Sequence[int]) -> np.ndarray:
    """Return the share of flips that keep the sign of i seeds with the sum A, [i, A]."""
    table = np.zeros((len(whole) + 1, sum(whole) + 1))
    table[0, 0] = 1.0
    reached = 0
    for number, value in enumerate(whole):
        table[: number + 1] *= 0.5
        kept = table[: number + 1, : reached + 1].copy()
        table[1 : number + 2, value : value + reached + 1] += kept
        reached += value
    return table


def _quantile(reach: np.ndarray, share: np.ndarray, distance: float, alpha: float) -> tuple[float, float]:
    """Return the largest reach that more than `alpha` of the flips attain, and the share that attains `distance`.

    Both are read from one array of sums, so that the first is below the distance just where the second is <= alpha.
    """
    # The reach of integers is a fraction with small denominators: what is this near is equal.
    reach = np.where(np.abs(reach - distance) <= 1e-12 * distance, distance, reach)
    order = np.argsort(reach, kind="stable")
    ordered = reach[order]
    at_least = np.minimum(np.cumsum(share[order][::-1])[::-1], 1.0)
    at_least[0] = 1.0
    first = np.searchsorted(ordered, distance)
    enough = np.flatnonzero(at_least > alpha)
    return float(ordered[enough[-1]]), float(at_least[first])


def share_total(plan: Mapping[str, Any], metric: str) -> int:
    """Return over how many examples a metric is a share of right ones; 0 where it is no such share.

    >>> share_total({"data": {"num_test": 100}}, "test.accuracy"), share_total({"data": {}}, "test.nll")
    (100, 0)
    """
    split, _, name = metric.rpartition(".")
    return int(plan.get("data", {}).get(f"num_{split}", 0)) if name == "accuracy" else 0
