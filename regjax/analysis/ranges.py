"""Designs that draw their cells from ranges: how well straight lines fit, and what choosing the best cell is worth."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.choice import Choice, choose_level
from regjax.analysis.effects import describe_cells, good_sign
from regjax.analysis.table import Table, reference_cell, state_values
from regjax.design import SPACE_FILLING

FEWEST_SEEDS = 6  # for a choice on one half of the seeds and a verdict on the other


class Fit(NamedTuple):
    """Least squares of the means of the drawn cells on the codes of the factors (see `regjax.design.slopes`).

    Attributes:
      seeds: number of seeds that have a value in every drawn cell; the means are over these.
      means: [cell] of the drawn cells.
      fitted: [cell] by the model.
      lines: {name of slope: (value at code 0, value at code 1)}, the other codes at their means.
      r2, adjusted: share of the variance of the means that the model explains, and the same adjusted for the number of
        slopes, 1 - (1 - r2) (N - 1) / (N - k - 1); NaN where the means are equal.
    """

    seeds: int
    means: np.ndarray
    fitted: np.ndarray
    lines: dict[str, tuple[float, float]]
    r2: float
    adjusted: float


def is_drawn(plan: Mapping[str, Any]) -> bool:
    """Return whether the cells of a plan are drawn from ranges."""
    return (plan.get("design") or {}).get("kind") in SPACE_FILLING


def drawn_places(plan: Mapping[str, Any]) -> np.ndarray:
    """Return the indices of the drawn cells: all but the one with everything off."""
    return np.array([cell["index"] for cell in plan["cells"] if cell["index"] != reference_cell(plan)], dtype=int)


def fit_slopes(table: Table) -> Fit | None:
    """Return the linear model behind the slopes of a study, on the primary metric; exploratory.

    Args:
      table: loaded run directory of a random or Latin hypercube design.

    Returns:
      None where no seed has a value in every drawn cell. The lines rise by the effects that `make_effects` gives.

    Reference: Draper, Smith, "Applied regression analysis" (1998), for the adjusted share.
    """
    primary, places = table.plan["primary"], drawn_places(table.plan)
    values = state_values(table, primary["metric"], primary["at"])[places]
    whole = ~np.isnan(values).any(axis=0)
    if not whole.any():
        return None
    means = values[:, whole].mean(axis=1)
    slopes = [c for c in table.plan["contrasts"] if c["kind"] == "slope"]
    codes = np.array([c["codes"] for c in slopes], dtype=float)[:, places].T
    rises = np.array([c["weights"] for c in slopes], dtype=float)[:, places] @ means
    fitted = means.mean() + (codes - codes.mean(axis=0)) @ rises
    starts = means.mean() - codes.mean(axis=0) * rises
    lines = {c["name"]: (float(a), float(a + b)) for c, a, b in zip(slopes, starts, rises, strict=True)}
    left, total = ((means - fitted) ** 2).sum(), ((means - means.mean()) ** 2).sum()
    num, k = codes.shape
    r2 = float(1 - left / total) if total > 0 else np.nan
    return Fit(int(whole.sum()), means, fitted, lines, r2, 1 - (1 - r2) * (num - 1) / (num - k - 1))


def rank_drawn(table: Table) -> pd.DataFrame:
    """Return the drawn cells with the best mean of the primary metric first; exploratory.

    The best of many means is too good: it was chosen on the very seeds that it is the mean of (see `choose_cell`).

    Returns:
      The columns of `describe_cells` and index, of the cell; cells without a value come last.
    """
    frame = describe_cells(table).assign(index=np.arange(len(table.cells))).iloc[drawn_places(table.plan)]
    sign = good_sign(table.plan["primary"]["metric"])
    return frame.sort_values("mean", ascending=sign < 0, kind="stable", na_position="last", ignore_index=True)


def choose_cell(table: Table) -> Choice | None:
    """Return what choosing the best drawn cell gains over one drawn cell at random, on seeds that did not choose.

    A cell is chosen by the validation metric on one half of the seeds and judged by the primary metric on the other,
    over many halvings (see `regjax.analysis.choice`); the effect is its value less the mean of the drawn cells. Cells
    with a diverged run are not chosen and not in that mean.

    Returns:
      None below 6 seeds that all drawn cells have finished, where the metric has no validation counterpart, or where
      fewer than two cells are left. `level` and `naive_level` are places among the drawn cells, `shares` is [place].
    """
    metric, at, places = table.plan["primary"]["metric"], table.plan["primary"]["at"], drawn_places(table.plan)
    chosen_on = f"validation.{metric.rpartition('.')[2]}"
    sign, direction = good_sign(chosen_on), good_sign(metric)
    if not sign or not direction or chosen_on not in table.records.columns:
        return None
    done = table.status.done[places].all(axis=0)
    scores, shown = (state_values(table, name, at)[places][:, done] for name in (chosen_on, metric))
    sound = (np.isfinite(scores) & np.isfinite(shown)).all(axis=1)
    if done.sum() < FEWEST_SEEDS or sound.sum() < 2:
        return None
    # The mean of all stands in the place of the first level, which effects are taken against, and is never chosen.
    scores = np.where(sound[:, None], sign * scores, -np.inf)
    scores = np.vstack([np.full(scores.shape[1], -np.inf), scores])
    found = choose_level(scores, np.vstack([shown[sound].mean(axis=0), shown]), direction)
    return found._replace(level=found.level - 1, naive_level=found.naive_level - 1, shares=found.shares[1:])
