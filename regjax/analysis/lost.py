"""Lost runs, those that ended without a result: what the effects would be, had they counted."""

import numpy as np
import pandas as pd

from regjax.analysis.convolution import share_total
from regjax.analysis.inference import (
    NO_DIFFERENCE,
    Effects,
    contrast_values,
    contrast_weights,
    infer_study,
    join_effects,
    judge,
    seed_effects,
)
from regjax.analysis.table import At, Table, at_label, curves, same_at, state_values

# Metrics that lie in [0, 1] whatever the network does.
SHARES = ("accuracy", "balanced_accuracy", "ece", "zero_fraction", "near_zero_fraction")
HEADS, NUMBERS = ("contrast", "kind", "metric", "at", "lost", "way"), ("n", "effect", "low", "high", "verdict")
WITHOUT, WITH, WORST = "without", "with", "worst case"


def lost_effects(table: Table, at: At | None = None, metric: str | None = None) -> pd.DataFrame:
    """Return three effects of every contrast that weighs a cell with a lost run, see `find_lost`.

    "without": seeds with such a run are left out, as in `make_effects`. "with": it counts with its last finite record.
    "worst case": every lost run has the worst or the best possible value, whichever is against the effect: 0 or 1 for
    shares, else the extremes that any run of the study has recorded. Against "no difference" is what takes the effect
    farther from 0. Seeds with a run still to come are left out of all three.
    Intervals are made as in `make_effects`, simultaneous for the contrasts declared confirmatory and two-stage (Stein)
    where a pilot gave the number of seeds; all three are exploratory and have no p-value.

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
    lost = find_lost(table, values)
    count = ((weights != 0) @ lost.sum(axis=1)).astype(np.int64)
    heads = [{"contrast": c["name"], "kind": c["kind"], "metric": metric, "at": at_label(at)} for c in contrasts]
    if not count.any():
        return pd.DataFrame(columns=[*HEADS, *NUMBERS])

    def judged(effects: Effects) -> dict[str, np.ndarray]:
        return _judged(infer_study(table.plan, effects, confirmatory), margin)

    without = judged(seed_effects(weights, values, total))
    ways = {WITHOUT: without, WITH: judged(seed_effects(weights, last_sound(table, metric, values), total))}
    ends = extremes(table, metric)
    worst = [
        seed_effects(row[None], _fill(row, values, lost, ends, (effect, verdict)), total)
        for row, effect, verdict in zip(weights, without["effect"], without["verdict"], strict=True)
    ]
    ways[WORST] = judged(join_effects(worst))
    return pd.DataFrame(
        {**heads[i], "lost": count[i], "way": way, **{name: found[name][i] for name in NUMBERS}}
        for i in np.flatnonzero(count)
        for way, found in ways.items()
    )


def find_lost(table: Table, values: np.ndarray) -> np.ndarray:
    """Return a mask [cell, seed] of the runs that ended without a finite value: diverged, overflowed, or not recorded.

    A run of a run directory that is not done is still to come. Of numbers from elsewhere every missing one is lost.
    """
    return np.isnan(values) & (table.status.done if table.out is not None else True)


def _judged(found: dict[str, np.ndarray], margin: float | None) -> dict[str, np.ndarray]:
    verdicts = [judge(low, high, margin) for low, high in zip(found["low"], found["high"], strict=True)]
    return {**found, "verdict": np.array(verdicts, dtype=object)}


def last_sound(table: Table, metric: str, values: np.ndarray) -> np.ndarray:
    """Return values [cell, seed] in which a lost run has the last value that it recorded."""
    _, curve = curves(table, metric)
    sound = ~np.isnan(curve)
    last = curve.shape[2] - 1 - np.argmax(sound[..., ::-1], axis=2)
    found = np.take_along_axis(curve, last[..., None], axis=2)[..., 0]
    return np.where(find_lost(table, values), found, values)


def is_share(metric: str) -> bool:
    """Return whether a metric is a share of something, as its name says; a gap of shares lies in [-1, 1].

    >>> is_share("test.ece"), is_share("val_accuracy"), is_share("test.nll")
    (True, True, False)
    """
    return metric.endswith("accuracy") or metric.rpartition(".")[2] in SHARES


def extremes(table: Table, metric: str) -> tuple[float, float]:
    """Return the least and the largest value that a run may have: 0 and 1 of shares, else those on record."""
    if is_share(metric) and not metric.startswith("gap."):
        return 0.0, 1.0
    recorded = curves(table, metric)[1]
    recorded = recorded[np.isfinite(recorded)]
    return (float(recorded.min()), float(recorded.max())) if len(recorded) else (np.nan, np.nan)


def _fill(
    weights: np.ndarray, values: np.ndarray, lost: np.ndarray, ends: tuple[float, float], shown: tuple[float, str]
) -> np.ndarray:
    """Return values [cell, seed], lost ones at the end that stands against the effect and verdict that are shown."""
    lower, higher = (
        np.where(lost, np.where((weights > 0)[:, None] == least, *ends), values) for least in (True, False)
    )
    effect, verdict = shown
    if verdict == NO_DIFFERENCE:
        return max(lower, higher, key=lambda filled: abs(np.nanmean(contrast_values(weights[None], filled))))
    return higher if effect < 0 else lower
