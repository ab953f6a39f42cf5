"""Lost runs, those that diverged or are not finished: what the effects would be, had they counted."""

import numpy as np
import pandas as pd

from regjax.analysis.convolution import share_total
from regjax.analysis.inference import NO_DIFFERENCE, contrast_weights, infer, join_effects, judge, seed_effects
from regjax.analysis.table import At, Table, at_label, curves, same_at, state_values

# Metrics that lie in [0, 1] whatever the network does.
SHARES = ("accuracy", "balanced_accuracy", "ece", "zero_fraction", "near_zero_fraction")
HEADS, NUMBERS = ("contrast", "kind", "metric", "at", "lost", "way"), ("n", "effect", "low", "high", "verdict")
WITHOUT, WITH, WORST = "without", "with", "worst case"


def lost_effects(table: Table, at: At | None = None, metric: str | None = None) -> pd.DataFrame:
    """Return three effects of every contrast that weighs a cell with a lost run.

    "without": seeds with such a run are left out, as in `make_effects`. "with": a diverged run counts with its last
    record before it diverged; one that is not finished is left out. "worst case": every lost run has the worst or the
    best possible value, whichever is against the effect: 0 or 1 for shares, else the extremes that any run of the
    study has recorded. Against "no difference" is what makes the effect larger. Intervals are simultaneous for the
    contrasts declared confirmatory, as in `make_effects`; all three are exploratory and have no p-value.

    Args:
      table: loaded run directory.
      at: state; the primary one when None.
      metric: "<split>.<name>"; the primary one when None.

    Returns:
      One row per contrast and way: contrast, kind, metric, at, lost (runs), way, n, effect, low, high, verdict.
    """
    primary, contrasts = table.plan["primary"], table.plan["contrasts"]
    metric, at = metric or primary["metric"], at or primary["at"]
    declared = metric == primary["metric"] and same_at(at, primary["at"])
    confirmatory = np.array([declared and bool(c["confirmatory"]) for c in contrasts], dtype=bool)
    margin = primary.get("margin") if metric == primary["metric"] else None
    weights = contrast_weights(contrasts, len(table.cells))
    values, total = state_values(table, metric, at), share_total(table.plan, metric)
    count = ((weights != 0) @ np.isnan(values).sum(axis=1)).astype(np.int64)
    heads = [{"contrast": c["name"], "kind": c["kind"], "metric": metric, "at": at_label(at)} for c in contrasts]
    if not count.any():
        return pd.DataFrame(columns=[*HEADS, *NUMBERS])
    without = _judged(infer(seed_effects(weights, values, total), confirmatory), margin)
    ways = {WITHOUT: without}
    ways[WITH] = _judged(infer(seed_effects(weights, last_sound(table, metric, values), total), confirmatory), margin)
    worst = [
        seed_effects(row[None], _against(row, values, extremes(table, metric), effect, verdict), total)
        for row, effect, verdict in zip(weights, without["effect"], without["verdict"], strict=True)
    ]
    ways[WORST] = _judged(infer(join_effects(worst), confirmatory), margin)
    return pd.DataFrame(
        {**heads[i], "lost": count[i], "way": way, **{name: found[name][i] for name in NUMBERS}}
        for i in np.flatnonzero(count)
        for way, found in ways.items()
    )


def _judged(found: dict[str, np.ndarray], margin: float | None) -> dict[str, np.ndarray]:
    verdicts = [judge(low, high, margin) for low, high in zip(found["low"], found["high"], strict=True)]
    return {**found, "verdict": np.array(verdicts, dtype=object)}


def last_sound(table: Table, metric: str, values: np.ndarray) -> np.ndarray:
    """Return values [cell, seed] in which a diverged run without one has its last record before it diverged."""
    _, curve = curves(table, metric)
    if not curve.size:
        return values
    sound = ~np.isnan(curve)
    last = curve.shape[2] - 1 - np.argmax(sound[..., ::-1], axis=2)
    found = np.take_along_axis(curve, last[..., None], axis=2)[..., 0]
    return np.where(np.isnan(values) & (table.status.diverged >= 0), found, values)


def extremes(table: Table, metric: str) -> tuple[float, float]:
    """Return the least and the largest value that a run may have: 0 and 1 of shares, else those on record."""
    if metric.rpartition(".")[2] in SHARES and not metric.startswith("gap."):
        return 0.0, 1.0
    recorded = curves(table, metric)[1]
    recorded = recorded[np.isfinite(recorded)]
    return (float(recorded.min()), float(recorded.max())) if len(recorded) else (np.nan, np.nan)


def _against(
    weights: np.ndarray, values: np.ndarray, ends: tuple[float, float], effect: float, verdict: str
) -> np.ndarray:
    """Return values in which lost runs stand against what a contrast seems to show."""
    lower = (effect < 0) == (verdict == NO_DIFFERENCE)
    gains = (weights > 0)[:, None]
    worst = np.where(gains == lower, *ends)
    return np.where(np.isnan(values) & (weights != 0)[:, None], worst, values)
