"""Effects: paired differences over seeds with intervals, p-values and verdicts, and what the cells themselves gave."""

from typing import Any

import numpy as np
import pandas as pd

from regjax.analysis.convolution import share_total
from regjax.analysis.inference import (
    ALPHA,
    NO_DIFFERENCE,
    SEED,
    contrast_values,
    contrast_weights,
    infer_study,
    judge,
    rounding,
    seed_effects,
    seed_rounding,
)
from regjax.analysis.levels import level_effects
from regjax.analysis.lost import WORST, find_lost, lost_effects
from regjax.analysis.newdata import new_intervals
from regjax.analysis.table import At, Table, at_label, same_at, state_values
from regjax.metrics import larger_is_better

__all__ = [
    "ALPHA",
    "NO_DIFFERENCE",
    "SEED",
    "all_effects",
    "contrast_values",
    "declared_effects",
    "describe_cells",
    "good_sign",
    "judge",
    "make_effects",
    "rounding",
    "seed_rounding",
]


def good_sign(metric: str) -> int:
    """Return 1 where larger values of a metric are better, -1 where smaller ones are, 0 where that is not known.

    >>> good_sign("test.accuracy"), good_sign("test.nll"), good_sign("batch.loss"), good_sign("test.brightness")
    (1, -1, -1, 0)
    >>> good_sign("test.r2"), good_sign("gap.r2"), good_sign("weight_norm")
    (1, -1, 0)
    """
    larger = larger_is_better(metric)
    return 0 if larger is None else 1 if larger else -1


def make_effects(table: Table, at: At | None = None, metric: str | None = None) -> pd.DataFrame:
    """Return one row per contrast of the plan, in its order.

    The contrasts declared confirmatory, on the primary metric at the primary state, are tested together: p-values and
    intervals hold for all of them at once. All other rows are exploratory: the interval is of that contrast alone and
    there is no p-value.

    Args:
      table: loaded run directory.
      at: state; the primary one when None.
      metric: "<split>.<name>" or a measure of the weights; the primary one when None.

    Returns:
      Columns contrast, kind, metric, at (label), confirmatory, n (seeds), effect, low, high (95%), p, sd (of the effect
      over seeds), seeds_positive, seeds_negative, diverged (runs, in the cells that the contrast weighs), verdict
      ("raises", "lowers", "no difference beyond the margin", "undecided"), low_new, high_new and scope (the interval
      about new examples of the same source and of what low and high are then, see `newdata`; NaN and "" where the
      design gives none), worst_case (the verdict if lost runs stood against it, see `lost`; "" where there are none)
      and better (is the effect in the good
      direction; None where that is open). Effects are in the unit of the metric: accuracies as shares.

    Raises:
      ValueError: there is no such metric or state.
    """
    primary = table.plan["primary"]
    metric, at = metric or primary["metric"], at or primary["at"]
    contrasts = table.plan["contrasts"]
    declared = metric == primary["metric"] and same_at(at, primary["at"])
    confirmatory = np.array([declared and bool(c["confirmatory"]) for c in contrasts], dtype=bool)
    weights = contrast_weights(contrasts, len(table.cells))
    values = state_values(table, metric, at)
    effects = seed_effects(weights, values, share_total(table.plan, metric))
    found = infer_study(table.plan, effects, confirmatory)
    runs = (table.status.diverged >= 0).sum(axis=1)
    margin = primary.get("margin") if metric == primary["metric"] else None
    heads = pd.DataFrame({"contrast": [c["name"] for c in contrasts], "kind": [c["kind"] for c in contrasts]})
    frame = heads.assign(metric=metric, at=at_label(at), confirmatory=confirmatory, **found)
    frame["diverged"] = ((weights != 0) @ runs).astype(np.int64)
    frame["verdict"] = [judge(low, high, margin) for low, high in zip(found["low"], found["high"], strict=True)]
    new = new_intervals(table, weights, effects.values, metric, at)
    frame = frame.assign(low_new=new.low, high_new=new.high, scope=new.scope)
    lost, frame["worst_case"] = lost_effects(table, at, metric), ""
    lacking = (weights != 0) @ find_lost(table, values).sum(axis=1) > 0
    frame.loc[lacking, "worst_case"] = lost.loc[lost["way"] == WORST, "verdict"].to_numpy()
    signs = [good_sign(metric) * effect for effect in found["effect"]]
    frame["better"] = pd.Series([bool(s > 0) if s != 0 and not np.isnan(s) else None for s in signs], dtype=object)
    return frame


def declared_effects(table: Table) -> pd.DataFrame:
    """Return `make_effects` on the primary metric at the primary state, and what is declared of best levels."""
    found = [make_effects(table), level_effects(table)]
    # An empty frame has no types of its own.
    return pd.concat([frame for frame in found if len(frame)] or found[:1], ignore_index=True)


def all_effects(table: Table) -> pd.DataFrame:
    """Return the effects on the primary metric: at the primary state, then at each state of `also_at` (exploratory)."""
    also = table.plan["primary"].get("also_at") or []
    return pd.concat([declared_effects(table), *(make_effects(table, at) for at in also)], ignore_index=True)


def describe_cells(table: Table, at: At | None = None, metric: str | None = None) -> pd.DataFrame:
    """Return one row per cell, in the plan's order: what its seeds gave.

    Args:
      table: loaded run directory.
      at: state; the primary one when None.
      metric: "<split>.<name>"; the primary one when None.

    Returns:
      Columns cell, metric, at, n (seeds with a value), mean, sd (ddof 1), low, high (95% t interval of the mean, NaN
      below two seeds), median, min, max, diverged and stopped (runs).

    Raises:
      ValueError: there is no such metric or state.
    """
    primary = table.plan["primary"]
    metric, at = metric or primary["metric"], at or primary["at"]
    values = state_values(table, metric, at)
    frame = pd.DataFrame([{"cell": c, **_describe(row)} for c, row in zip(table.cells, values, strict=True)])
    frame.insert(1, "metric", metric)
    frame.insert(2, "at", at_label(at))
    frame["diverged"] = (table.status.diverged >= 0).sum(axis=1)
    frame["stopped"] = (table.status.stopped >= 0).sum(axis=1)
    return frame


def _describe(row: np.ndarray) -> dict[str, Any]:
    from scipy.stats import t

    row = row[~np.isnan(row)]
    n = len(row)
    mean = row.mean() if n else np.nan
    sd = row.std(ddof=1) if n > 1 else np.nan
    half = t.ppf(1 - ALPHA / 2, n - 1) * sd / np.sqrt(n) if n > 1 else np.nan
    median, low, high = (np.median(row), row.min(), row.max()) if n else (np.nan, np.nan, np.nan)
    interval = {"low": mean - half, "high": mean + half}
    return {"n": n, "mean": mean, "sd": sd, **interval, "median": median, "min": low, "max": high}
