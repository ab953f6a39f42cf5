"""Answers in words and shares: where published numbers fall, how often one run each misleads, what a contrast says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from regjax.analysis.effects import rounding
from regjax.analysis.sentences import verdict_sentence
from regjax.analysis.signflip import smallest_p
from regjax.analysis.table import At, Table, at_label, state_values

__all__ = ["compares_two_cells", "mislead", "place_markers", "smallest_p", "verdict_sentence"]


def place_markers(table: Table) -> pd.DataFrame:
    """Return where the study's markers (published single numbers) fall among the seeds of their cell.

    Returns:
      One row per marker and state (the primary one, then the others that the study names): label, cell (name), value,
      at (label of the state), n (seeds), below (share of seeds with a smaller value), mean, sd (of the cell on the
      primary metric there) and z = (value - mean) / sd, NaN where the seeds do not differ.
    """
    primary = table.plan["primary"]
    rows = []
    for at in (primary["at"], *(primary.get("also_at") or [])):
        values = state_values(table, primary["metric"], at)
        rows += [{**_place(m, table.cells, values), "at": at_label(at)} for m in table.plan.get("markers") or []]
    return pd.DataFrame(rows, columns=["label", "cell", "value", "at", "n", "below", "mean", "sd", "z"])


def _place(marker: Mapping[str, Any], cells: tuple[str, ...], values: np.ndarray) -> dict[str, Any]:
    row = values[marker["cell"]]
    row = row[~np.isnan(row)]
    value = float(marker["value"])
    # Float32 records of the very number that was published are equal to it, not above or below.
    tie = float(rounding(np.ones((1, 1)), row[None])[0])
    mean = row.mean() if len(row) else np.nan
    sd = row.std(ddof=1) if len(row) > 1 else np.nan
    below = float((row < value - tie).mean()) if len(row) else np.nan
    z = (value - mean) / sd if sd > tie else np.nan
    found = {"n": len(row), "below": below, "mean": mean, "sd": sd, "z": z}
    return {"label": marker["label"], "cell": cells[marker["cell"]], "value": value, **found}


def compares_two_cells(table: Table, row: Mapping[str, Any]) -> bool:
    """Return whether the contrast of a row of effects is one cell less another: weights +1 and -1, all others 0."""
    weights = np.asarray(_find_contrast(table, row)["weights"])
    return sorted(weights[weights != 0].tolist()) == [-1.0, 1.0]


def mislead(table: Table, row: Mapping[str, Any]) -> dict[str, float]:
    """Return how often one run of each of two cells puts the worse one ahead.

    "Worse" is by the mean over all seeds. A study with one run a cell is one draw of such a pair.

    Args:
      table: loaded run directory.
      row: row of `all_effects` whose contrast compares two cells.

    Returns:
      pairs: number of pairs of runs, one of each cell, of any two seeds; wrong, tied: share of them in which the cell
      with the worse mean came out ahead, or neither did; paired_wrong, paired_tied: the same over runs of equal seeds.
      Shares are NaN where the means are equal or a cell has no run.

    Raises:
      ValueError: the contrast weighs other cells than one +1 and one -1.
    """
    if not compares_two_cells(table, row):
        raise ValueError(f"got contrast {row['contrast']!r}, expected one that compares two cells (weights +1 and -1)")
    weights = np.asarray(_find_contrast(table, row)["weights"])
    values = state_values(table, row["metric"], _find_at(table, row["at"]))
    pair = np.array([values[weights == 1.0][0], values[weights == -1.0][0]])
    tie = float(rounding(np.array([[1.0, -1.0]]), pair)[0])
    first, second = (run[~np.isnan(run)] for run in pair)
    lead = first.mean() - second.mean() if len(first) and len(second) else np.nan
    wrong, tied = _share((first[:, None] - second[None, :]).ravel(), lead, tie)
    both = ~np.isnan(pair).any(axis=0)
    paired_wrong, paired_tied = _share(pair[0, both] - pair[1, both], lead, tie)
    shares = {"wrong": wrong, "tied": tied, "paired_wrong": paired_wrong, "paired_tied": paired_tied}
    return {"pairs": len(first) * len(second), **shares}


def _share(differences: np.ndarray, lead: float, tie: float) -> tuple[float, float]:
    """Return the shares of differences against the sign of `lead` and of none."""
    if not len(differences) or not abs(lead) > tie:
        return np.nan, np.nan
    return float((differences * np.sign(lead) < -tie).mean()), float((np.abs(differences) <= tie).mean())


def _find_contrast(table: Table, row: Mapping[str, Any]) -> dict[str, Any]:
    for contrast in table.plan["contrasts"]:
        if contrast["name"] == row["contrast"]:
            return contrast
    raise ValueError(f"got contrast {row['contrast']!r}, expected one of the plan's")


def _find_at(table: Table, label: str) -> At:
    primary = table.plan["primary"]
    states = [primary["at"], *(primary.get("also_at") or []), {"kind": "best"}, {"kind": "last"}]
    for at in states:
        if at_label(at) == label:
            return at
    raise ValueError(f"got state {label!r}, expected one of {', '.join(dict.fromkeys(map(at_label, states)))}")
