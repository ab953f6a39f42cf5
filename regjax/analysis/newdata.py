"""Intervals about new examples of the same source, beside those about the examples of this study.

The sign-flip interval of a fixed split is about these test examples: other seeds, same examples. Two designs say more.

Crossed: every seed s of n is judged on the same m test examples i, and predictions are kept. The paired differences
d[s, i] = mean + seed + example + rest have the mean squares MS_s, MS_i, MS_r of a two-way table, and

    var(mean) = s_seed^2 / n + s_example^2 / m + s_rest^2 / (n m)
    s_seed^2 = max(0, (MS_s - MS_r) / m),  s_example^2 = max(0, (MS_i - MS_r) / n),  s_rest^2 = MS_r

with Satterthwaite's degrees of freedom. Resampled: each of J seeds draws its own split of one pool; the splits overlap,

    var(mean) = s^2 (1 / J + rho / (1 - rho)),  rho = num_test / num_pool,  J - 1 degrees of freedom,

where rho, the correlation of the effects of two splits, is taken as the share of test examples that they share.

Reference: Searle, Casella, McCulloch, "Variance components" (1992); Satterthwaite, "An approximate distribution of
estimates of variance components" (1946); Nadeau, Bengio, "Inference for the generalization error" (2003). Departure:
their rho is num_test / (num_test + num_train), the same where a split takes every example; here a validation part and
unused examples are in the pool too. Both intervals rest on normal theory and are approximate.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from regjax.analysis.inference import ALPHA
from regjax.analysis.predictions import Predictions, stack_predictions
from regjax.analysis.table import At, Table, same_at

FIXED, SAME_TEST, RESAMPLED = "on this split", "on this test set", "over splits of these examples"
# Share of the largest value by which the mean over stored float32 predictions may miss the recorded metric.
AGREE = 1e-3


class NewData(NamedTuple):
    """Ends of the intervals [contrast], NaN where there is none, and of what the study's own interval is, "" there."""

    low: np.ndarray
    high: np.ndarray
    scope: np.ndarray


def crossed_interval(differences: np.ndarray, alpha: float = ALPHA) -> tuple[float, float]:
    """Return the 1 - alpha t interval of the mean of a table [seed, example] over new seeds and new examples.

    NaN below two seeds or two examples; a point where all differences are equal.

    >>> low, high = crossed_interval(np.array([[0.0, 1.0, 0.0], [1.0, 1.0, 0.0]]))
    >>> low < 0.5 < high
    True
    """
    from scipy.stats import t

    n, m = differences.shape
    if n < 2 or m < 2:
        return np.nan, np.nan
    mean, rows, columns = differences.mean(), differences.mean(axis=1), differences.mean(axis=0)
    rest = differences - rows[:, None] - columns[None] + mean
    of_rest = float((rest**2).sum()) / ((n - 1) * (m - 1))
    parts = [(m * float(rows.var(ddof=1)), n - 1), (n * float(columns.var(ddof=1)), m - 1)]
    # var(mean) n m = MS_r + sum of (MS - MS_r) over the components that are not negative.
    kept = [(square, free) for square, free in parts if square > of_rest]
    weight = 1 - len(kept)
    terms = [*kept, (weight * of_rest, (n - 1) * (m - 1))]
    variance = sum(square for square, _ in terms)
    if variance <= 0:
        return float(mean), float(mean)
    free = variance**2 / sum(square**2 / free for square, free in terms)
    half = t.ppf(1 - alpha / 2, free) * np.sqrt(variance / (n * m))
    return float(mean - half), float(mean + half)


def resampled_interval(effects: np.ndarray, ratio: float, alpha: float = ALPHA) -> tuple[float, float]:
    """Return the corrected t interval of effects of seeds that drew splits; `ratio` is rho / (1 - rho).

    NaN below two seeds; a point where all effects are equal.

    >>> low, high = resampled_interval(np.array([1.0, 2.0, 3.0]), 0.0)
    >>> round(low, 3), round(high, 3)
    (-0.484, 4.484)
    """
    from scipy.stats import t

    num_seeds = len(effects)
    if num_seeds < 2:
        return np.nan, np.nan
    half = t.ppf(1 - alpha / 2, num_seeds - 1) * effects.std(ddof=1) * np.sqrt(1 / num_seeds + ratio)
    return float(effects.mean() - half), float(effects.mean() + half)


def new_intervals(table: Table, weights: np.ndarray, effects: np.ndarray, metric: str, at: At) -> NewData:
    """Return the interval about new examples of every contrast, where the design gives one.

    Args:
      table: loaded run directory.
      weights: [contrast, cell].
      effects: [contrast, seed] of this metric at this state.
      metric: of the test examples; their mean where predictions are needed.
      at: state; predictions are of the primary one.
    """
    low, high = (np.full(len(weights), np.nan) for _ in range(2))
    scope = SAME_TEST if "split" in table.plan["vary"] else FIXED
    if metric.startswith("test.") and _is_resampled(table):
        ratio, scope = overlap_ratio(table.plan["data"]), RESAMPLED
        for i, row in enumerate(effects):
            low[i], high[i] = resampled_interval(row[~np.isnan(row)], ratio)
    elif metric.startswith("test.") and same_at(at, table.plan["primary"]["at"]):
        kept = stack_predictions(table)
        losses = None if kept is None else example_losses(kept, metric.removeprefix("test."))
        if losses is not None:
            for i, row in enumerate(weights):
                low[i], high[i] = _crossed(row, losses, effects[i])
    return NewData(low, high, np.where(np.isnan(low), "", scope).astype(object))


def overlap_ratio(data: Mapping[str, Any]) -> float:
    """Return rho / (1 - rho), rho the share of test examples that two splits of one pool have in common on average.

    Plans of old do not say how large the pool is: it holds the three parts at least.

    >>> overlap_ratio({"num_train": 6, "num_validation": 2, "num_test": 2, "num_pool": 12})
    0.2
    >>> overlap_ratio({"num_train": 6, "num_validation": 2, "num_test": 2})
    0.25
    """
    parts = sum(data.get(f"num_{part}", 0) for part in ("train", "validation", "test"))
    return float(data["num_test"] / (data.get("num_pool", parts) - data["num_test"]))


def _is_resampled(table: Table) -> bool:
    """Return whether every seed draws training and test examples of one pool, equally many in all cells."""
    if "split" not in table.plan["vary"] or not table.plan.get("data", {}).get("pooled"):
        return False
    return not any(factor["path"].startswith("data.") for factor in table.plan["factors"])


def _crossed(weights: np.ndarray, losses: np.ndarray, effects: np.ndarray) -> tuple[float, float]:
    used = np.flatnonzero(weights)
    differences = np.tensordot(weights[used], losses[used], axes=1)[~np.isnan(effects)]
    seen = effects[~np.isnan(effects)]
    # Predictions that do not give the recorded numbers are of other examples or another state.
    wide = AGREE * max(float(np.nanmax(np.abs(losses[used]), initial=0.0)), 1.0) if len(used) else 0.0
    if np.isnan(differences).any() or (np.abs(differences.mean(axis=1) - seen) > wide).any():
        return np.nan, np.nan
    return crossed_interval(differences)


def example_losses(kept: Predictions, name: str) -> np.ndarray | None:
    """Return the metric of every test example, [cell, seed, example]; None where it is no mean over examples."""
    outputs, labels = kept.outputs.astype(np.float64), kept.labels
    if name in ("mse", "mae"):
        away = outputs - labels.reshape(len(labels), -1)
        return (away**2 if name == "mse" else np.abs(away)).mean(axis=-1)
    if name not in ("accuracy", "nll", "brier") or labels.ndim > 1:
        return None
    binary = outputs.shape[-1] == 1
    p = np.concatenate([1 - outputs, outputs], axis=-1) if binary else outputs
    classes = labels.astype(np.int64)
    right = np.take_along_axis(p, classes[None, None, :, None], axis=-1)[..., 0]
    if name == "nll":
        return -np.log(np.maximum(right, np.finfo(np.float32).tiny))
    if name == "brier":
        both = ((p - np.eye(p.shape[-1])[classes]) ** 2).sum(axis=-1)
        return both / 2 if binary else both
    return np.where(np.isnan(right), np.nan, p.argmax(axis=-1) == classes)
