"""Other statistics of the same effects, which reviewers ask for; all exploratory, none of them decides anything."""

import numpy as np
import pandas as pd

from regjax.analysis.effects import ALPHA, SEED, contrast_values, seed_rounding
from regjax.analysis.inference import contrast_weights
from regjax.analysis.table import At, Table, at_label, state_values

# Below this the bootstrap sees too few distinct samples for its interval to cover what it says.
LEAST_BOOTSTRAP = 20
NUM_RESAMPLES = 9_999


def make_appendix(table: Table, at: At | None = None, metric: str | None = None) -> pd.DataFrame:
    """Return one row per contrast of the plan: other statistics of its effects d_s over the seeds that have all cells.

    The arms of a contrast are a_s, the sum of its cells with positive weights, and b_s, that of those with negative
    ones, so that d_s = a_s - b_s. Differences of the size of float32 rounding count as none.

    Args:
      table: loaded run directory.
      at: state; the primary one when None.
      metric: "<split>.<name>"; the primary one when None.

    Returns:
      Columns contrast, kind, metric, at, n (seeds), effect (mean d) and

      - wilcoxon_p: signed-rank test, two-sided, zeros dropped (zero method "wilcox"); 1 where all are zero;
      - bca_low, bca_high: 95% BCa bootstrap interval of the mean from 20 seeds on; a point where all d are equal;
      - iqm: mean of d without the floor(n / 4) smallest and largest;
      - d_z: mean / SD of d; 0 where all d are 0, infinite where all are equal otherwise;
      - win: share of seeds with d > 0, those with d = 0 counted half (one pair of runs per seed);
      - correlation of a and b over seeds; NaN where an arm does not vary;
      - variance_ratio: (s_a^2 + s_b^2) / s_d^2, how many times as many seeds an unpaired comparison would need;
        NaN where neither arm varies, infinite where only d does not;
      - tost_p: two one-sided paired t-tests of |mean d| < margin of the study, the larger p; without a margin of this
        metric NaN. Where all d are equal it is 0 inside the margin, else 1.

      NaN where n is 0; from n = 1 follow only effect, wilcoxon_p, iqm and win. Where a pilot chose the number of seeds
      there are no p-values and no bootstrap interval, which take it as given.

    Raises:
      ValueError: there is no such metric or state.

    Reference: Wilcoxon, "Individual comparisons by ranking methods" (1945); Efron, "Better bootstrap confidence
    intervals" (1987); Schuirmann, "A comparison of the two one-sided tests procedure" (1987).
    Departure: p-values are of each contrast alone, not adjusted.
    """
    primary = table.plan["primary"]
    metric, at = metric or primary["metric"], at or primary["at"]
    margin = primary.get("margin") if metric == primary["metric"] else None
    contrasts = table.plan["contrasts"]
    weights = contrast_weights(contrasts, len(table.cells))
    values = state_values(table, metric, at)
    filled = np.where(np.isnan(values), 0.0, values)
    arms = np.maximum(weights, 0.0) @ filled, np.maximum(-weights, 0.0) @ filled
    effects, ties = contrast_values(weights, values), seed_rounding(weights, values)
    rows, fixed = [], not table.plan.get("stein")
    for k, contrast in enumerate(contrasts):
        seen = ~np.isnan(effects[k])
        found = {"n": int(seen.sum()), **describe(effects[k, seen], ties[k, seen], margin)}
        largest = float(ties[k, seen].max(initial=0.0))
        found.update(describe_pairing(arms[0][k, seen], arms[1][k, seen], effects[k, seen], largest))
        found.update({} if fixed else dict.fromkeys(OF_FIXED_SEEDS, np.nan))
        rows.append(
            {"contrast": contrast["name"], "kind": contrast["kind"], "metric": metric, "at": at_label(at), **found}
        )
    return pd.DataFrame(rows, columns=COLUMNS)


COLUMNS = [
    "contrast", "kind", "metric", "at", "n", "effect", "wilcoxon_p", "bca_low", "bca_high", "iqm", "d_z", "win",
    "correlation", "variance_ratio", "tost_p",
]  # fmt: skip
# scipy, too, tests so many by all flips of their signs where there are ties, but goes through them one by one.
MOST_FLIPPED = 13
# They take the number of seeds as given; where a pilot chose it they hold no level.
OF_FIXED_SEEDS = ("wilcoxon_p", "bca_low", "bca_high", "tost_p")


def describe(effects: np.ndarray, ties: np.ndarray, margin: float | None) -> dict[str, float]:
    """Return the statistics that need only the effects.

    Args:
      effects: [seed], no NaN.
      ties: [seed], what is rounding of each.
      margin: smallest effect that matters, or None.
    """
    from scipy.stats import trim_mean

    n, tie = len(effects), float(ties.max(initial=0.0))
    mean = float(effects.mean()) if n else np.nan
    sd = _spread(effects, tie)
    low, high = bca(effects, tie)
    return {
        "effect": mean,
        "wilcoxon_p": signed_rank(effects, ties),
        "bca_low": low,
        "bca_high": high,
        "iqm": float(trim_mean(effects, 0.25)) if n else np.nan,
        "d_z": np.nan if np.isnan(sd) else _ratio(0.0 if abs(mean) <= tie else mean, sd, 0.0),
        "win": float((effects > 0).mean() + (effects == 0).mean() / 2) if n else np.nan,
        "tost_p": np.nan if margin is None else tost(mean, sd, n, margin),
    }


def describe_pairing(above: np.ndarray, below: np.ndarray, effects: np.ndarray, tie: float) -> dict[str, float]:
    """Return the correlation of the arms, [seed] each, and what pairing them saves in variance."""
    s_a, s_b, s_d = (_spread(row, tie) for row in (above, below, effects))
    both = s_a > 0 and s_b > 0
    correlation = float(np.corrcoef(above, below)[0, 1]) if both else np.nan
    return {"correlation": correlation, "variance_ratio": _ratio(s_a**2 + s_b**2, s_d**2, np.nan)}


def _spread(row: np.ndarray, tie: float) -> float:
    """Return the SD (ddof 1): 0 where the row varies by rounding alone, NaN below two seeds."""
    if len(row) < 2:
        return np.nan
    return float(row.std(ddof=1)) if np.ptp(row) > tie else 0.0


def _ratio(top: float, bottom: float, empty: float) -> float:
    """Return top / bottom, with `empty` for 0 / 0 and an infinity for c / 0."""
    if bottom == 0:
        return empty if top == 0 else float(np.copysign(np.inf, top))
    return top / bottom


def signed_rank(effects: np.ndarray, tie: np.ndarray | float = 0.0) -> float:
    """Return the two-sided p-value of Wilcoxon's signed-rank test, zeros dropped; sizes within `tie` share their rank.

    Args:
      effects: [n].
      tie: one number, or of each effect, [n]: up to it an effect is zero, and two sizes are one up to the smaller.

    >>> round(signed_rank(np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])), 5), signed_rank(np.zeros(4))
    (0.03125, 1.0)
    """
    from scipy.stats import wilcoxon

    if not len(effects):
        return np.nan
    counts = np.abs(effects) > tie
    kept = effects[counts]
    if not len(kept):
        return 1.0
    joined = np.sign(kept) * join_ties(np.abs(kept), np.broadcast_to(tie, effects.shape)[counts])
    if len(joined) <= MOST_FLIPPED:
        return _flip_ranks(joined)
    return float(wilcoxon(joined, zero_method="wilcox").pvalue)


def _flip_ranks(effects: np.ndarray) -> float:
    """Return the p-value over all flips of the signs, from how many give each sum of ranks."""
    from scipy.stats import rankdata

    ranks = np.rint(2 * rankdata(np.abs(effects))).astype(int)  # twice, so that ranks of ties are whole
    ways = np.ones(1)
    for rank in ranks:
        ways = np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))
    found = ranks[effects > 0].sum()
    return float(min(1.0, 2 * min(ways[: found + 1].sum(), ways[found:].sum()) / ways.sum()))


def join_ties(values: np.ndarray, tie: np.ndarray | float) -> np.ndarray:
    """Return values of which neighbours in size that differ by `tie` at most are equal, chains of them too.

    Of two neighbours with ties of their own the smaller counts.

    >>> join_ties(np.array([2.0, 1.0, 1.0000001]), 1e-6).tolist()
    [2.0, 1.0, 1.0]
    """
    order = np.argsort(values, kind="stable")
    known, ties = values[order], np.broadcast_to(tie, values.shape)[order]
    apart = np.diff(known, prepend=-np.inf) > np.minimum(ties, np.roll(ties, 1))
    joined = np.empty_like(known)
    joined[order] = known[np.maximum.accumulate(np.where(apart, np.arange(len(known)), 0))]
    return joined


def bca(effects: np.ndarray, tie: float = 0.0) -> tuple[float, float]:
    """Return the 95% BCa bootstrap interval of the mean; NaN below 20 seeds, a point where all are equal."""
    from scipy.stats import norm

    n = len(effects)
    if n < LEAST_BOOTSTRAP:
        return np.nan, np.nan
    mean = float(effects.mean())
    if np.ptp(effects) <= tie:
        return mean, mean
    centred = effects - mean
    # A generator of its own: a contrast's interval must not depend on which others the study has.
    drawn = np.random.default_rng(SEED).integers(n, size=(NUM_RESAMPLES, n))
    means = centred[drawn].mean(axis=1)
    below = ((means < 0).mean() + (means <= 0).mean()) / 2
    # Never beyond what the resamples can resolve, so that the ends stay finite.
    bias = norm.ppf(np.clip(below, 0.5 / NUM_RESAMPLES, 1 - 0.5 / NUM_RESAMPLES))
    acceleration = (centred**3).sum() / (6 * (centred**2).sum() ** 1.5)
    z = bias + norm.ppf([ALPHA / 2, 1 - ALPHA / 2])
    low, high = np.quantile(means, norm.cdf(bias + z / (1 - acceleration * z)))
    return mean + float(low), mean + float(high)


def tost(mean: float, sd: float, n: int, margin: float) -> float:
    """Return the p-value of equivalence within (-margin, margin) by two one-sided paired t-tests."""
    from scipy.stats import t

    if np.isnan(sd):
        return np.nan
    if sd == 0:
        return 0.0 if abs(mean) < margin else 1.0
    return float(t.sf((margin - abs(mean)) / (sd / np.sqrt(n)), n - 1))
