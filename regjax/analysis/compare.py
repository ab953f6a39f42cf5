"""Two studies of one question compared: which cells and effects changed, by how much, and what else differs.

Every row is a weighted sum of the cells that both studies have: a cell by itself, or a contrast of their plans. With
x_s and y_s its values of seed s in the first and the second study, the change is mean(y) - mean(x). Where both studies
give a seed the same examples to train on, d_s = y_s - x_s is taken seed by seed and its interval is that of all paired
effects (sign flips). Else the studies are two samples:

    change +- t sqrt(s_x^2 / n_x + s_y^2 / n_y),   t with Welch's degrees of freedom

Intervals hold for a row alone and there are no p-values: what is compared was not declared before the runs.

Reference: Welch, "The generalization of 'Student's' problem when several different population variances are involved"
(1947).
"""

import json
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.convolution import share_total
from regjax.analysis.effects import good_sign
from regjax.analysis.inference import ALPHA, contrast_values, infer, seed_effects
from regjax.analysis.same import Difference, Sameness, cell_levels, compare_records, find_differences, split_of
from regjax.analysis.table import Table, at_label, same_at, state_values
from regjax.files import RegjaxError


class Comparison(NamedTuple):
    """What two studies say against each other.

    Attributes:
      metric, at: what is compared, the primary metric at the primary state of both.
      pairing: why values are paired by seed, or why not.
      paired: whether they are.
      rows: columns kind ("cell" or that of the contrast), name, n_first, n_second, first, second (means), change, low,
        high (95%, of this row alone), better (is the change in the good direction; None where that is open).
      differences: what the plans say differently.
      lone: {"first", "second"}: names of cells that only one study has.
      same: how many runs of both agree in every bit.
    """

    metric: str
    at: str
    pairing: str
    paired: bool
    rows: pd.DataFrame
    differences: tuple[Difference, ...]
    lone: dict[str, tuple[str, ...]]
    same: Sameness


def compare(first: Table, second: Table) -> Comparison:
    """Return what changed from one study to another.

    Args:
      first, second: loaded run directories.

    Raises:
      RegjaxError: data, task, primary metric or primary state differ, or no cell has equal levels in both.
    """
    refuse_unlike(first, second)
    matched = match_cells(*cell_levels(first, second))
    if not matched:
        raise RegjaxError(
            f"the studies share no cell: the first has {'; '.join(first.cells[:5])}, the second "
            f"{'; '.join(second.cells[:5])}; cells are matched by the levels of all factors of both studies"
        )
    primary = first.plan["primary"]
    metric, at = str(primary["metric"]), primary["at"]
    left, right = state_values(first, metric, at), state_values(second, metric, at)
    here, there = (np.array(side) for side in zip(*matched, strict=True))
    heads, weights = list_rows(first, second, matched)
    paired, pairing = pair_seeds(first, second)
    if first.plan.get("stein") or second.plan.get("stein"):
        pairing += " How many seeds there are follows from a pilot, which these intervals do not allow for."
    if paired:
        seeds = [seed for seed in first.seeds if seed in second.seeds]
        left, right = (
            values[:, [table.seeds.index(seed) for seed in seeds]] for values, table in ((left, first), (right, second))
        )
    change = paired_change if paired else unpaired_change
    found = change(weights, left[here], right[there], share_total(first.plan, metric))
    signs = good_sign(metric) * found["change"].to_numpy()
    better = pd.Series([bool(s > 0) if s and not np.isnan(s) else None for s in signs], dtype=object)
    return Comparison(
        metric,
        at_label(at),
        pairing,
        paired,
        heads.join(found).assign(better=better),
        find_differences(first, second),
        {
            "first": tuple(name for i, name in enumerate(first.cells) if i not in here),
            "second": tuple(name for i, name in enumerate(second.cells) if i not in there),
        },
        compare_records(first, second, matched),
    )


def refuse_unlike(first: Table, second: Table) -> None:
    """Raise RegjaxError, naming the keys, where two studies do not measure the same thing on the same data."""
    sides = [_measured(table) for table in (first, second)]
    # A state may have another label and be the same step.
    same_state = same_at(first.plan["primary"]["at"], second.plan["primary"]["at"])
    unlike = [key for key in sides[0] if sides[0][key] != sides[1][key] and not (key == "primary.at" and same_state)]
    if unlike:
        told = "; ".join(f"{key}: {json.dumps(sides[0][key])} and {json.dumps(sides[1][key])}" for key in unlike)
        raise RegjaxError(f"these studies cannot be compared, they differ in {told}; compare studies that agree there")


def _measured(table: Table) -> dict[str, Any]:
    plan = table.plan
    data, task = plan.get("data", {}), plan.get("study", {}).get("task", {})
    return {
        "data.digest": data.get("digest"),
        "task.name": task.get("name") or ("classification" if data.get("num_classes") else "regression"),
        "primary.metric": plan["primary"]["metric"],
        "primary.at": at_label(plan["primary"]["at"]),
    }


def match_cells(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Return (index in the first, index in the second) of cells with equal levels; of twins the first stands.

    >>> match_cells([{"l2": None}, {"l2": 0.1}], [{"l2": 0.1}, {"l2": 0.2}])
    [(1, 0)]
    """
    places: dict[str, int] = {}
    for index, levels in enumerate(second):
        places.setdefault(json.dumps(levels, sort_keys=True), index)
    found: dict[int, int] = {}
    for index, levels in enumerate(first):
        place = places.get(json.dumps(levels, sort_keys=True))
        if place is not None and place not in found:
            found[place] = index
    return sorted((index, place) for place, index in found.items())


def list_rows(first: Table, second: Table, matched: list[tuple[int, int]]) -> tuple[pd.DataFrame, np.ndarray]:
    """Return columns kind and name, and weights [row, matched cell]: the cells, then the contrasts that both have.

    A contrast is in both where one of the same name weighs the same cells alike.
    """
    here, there = zip(*matched, strict=True)
    rows = [("cell", first.cells[index]) for index in here]
    weights = [*np.eye(len(matched))]
    others = {contrast["name"]: np.array(contrast["weights"], float) for contrast in second.plan["contrasts"]}
    for contrast in first.plan["contrasts"]:
        mine, other = np.array(contrast["weights"], float), others.get(contrast["name"])
        if other is None or not np.array_equal(mine[list(here)], other[list(there)]):
            continue
        if np.delete(mine, here).any() or np.delete(other, there).any():
            continue
        rows.append((contrast["kind"], contrast["name"]))
        weights.append(mine[list(here)])
    return pd.DataFrame(rows, columns=["kind", "name"]), np.array(weights)


def pair_seeds(first: Table, second: Table) -> tuple[bool, str]:
    """Return whether the runs of a seed belong together in both studies, and why, as a sentence."""
    seeds = set(first.seeds) & set(second.seeds)
    if not seeds:
        return False, "Unpaired: the studies have no seed in common."
    unlike = sorted(key for key, value in split_of(first).items() if split_of(second)[key] != value)
    if unlike:
        return False, f"Unpaired: a seed has other examples in each study, they differ in {', '.join(unlike)}."
    every = len(seeds) == len(first.seeds) == len(second.seeds)
    left = "" if every else f"; the other {len({*first.seeds, *second.seeds} - seeds)} have no partner and are left out"
    return True, f"Paired by seed: {len(seeds)} seeds have the same data and splits in both studies{left}."


def paired_change(weights: np.ndarray, left: np.ndarray, right: np.ndarray, total: int) -> pd.DataFrame:
    """Return columns n_first, n_second, first, second, change, low, high of rows whose seeds are paired.

    Args:
      weights: [row, cell].
      left, right: values [cell, seed] of the first and the second study, NaN where a run has none.
      total: number of examples of which the values are shares, 0 where they are no such shares.
    """
    both = np.concatenate([-weights, weights], axis=1)
    found = infer(seed_effects(both, np.concatenate([left, right]), total), np.zeros(len(weights), bool))
    sides = [contrast_values(weights, values) for values in (left, right)]
    known = ~np.isnan(sides[0]) & ~np.isnan(sides[1])
    means = [_row_means(np.where(known, side, np.nan)) for side in sides]
    columns = {"n_first": found["n"], "n_second": found["n"], "first": means[0], "second": means[1]}
    return pd.DataFrame({**columns, "change": found["effect"], "low": found["low"], "high": found["high"]})


def unpaired_change(weights: np.ndarray, left: np.ndarray, right: np.ndarray, total: int = 0) -> pd.DataFrame:
    """Return the columns of `paired_change` for two samples, by Welch's interval; arguments as there.

    >>> rows = unpaired_change(np.eye(1), np.array([[0.0, 1.0, 2.0]]), np.array([[4.0, 5.0, 6.0]]))
    >>> [round(float(rows[name][0]), 3) for name in ("change", "low", "high")]
    [4.0, 1.733, 6.267]
    """
    del total  # Welch's interval does not need to know what the values are
    sides = [contrast_values(weights, values) for values in (left, right)]
    rows = [_welch(x[~np.isnan(x)], y[~np.isnan(y)]) for x, y in zip(*sides, strict=True)]
    return pd.DataFrame(rows, columns=["n_first", "n_second", "first", "second", "change", "low", "high"])


def _welch(x: np.ndarray, y: np.ndarray) -> tuple[float, ...]:
    from scipy.stats import t

    means = [side.mean() if len(side) else np.nan for side in (x, y)]
    change = means[1] - means[0]
    if min(len(x), len(y)) < 2:
        return (len(x), len(y), *means, change, np.nan, np.nan)
    parts = [side.var(ddof=1) / len(side) for side in (x, y)]
    if not sum(parts):
        return (len(x), len(y), *means, change, change, change)
    free = sum(parts) ** 2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (x, y), strict=True))
    half = t.ppf(1 - ALPHA / 2, free) * np.sqrt(sum(parts))
    return (len(x), len(y), *means, change, change - half, change + half)


def _row_means(values: np.ndarray) -> np.ndarray:
    return np.array([row[~np.isnan(row)].mean() if (~np.isnan(row)).any() else np.nan for row in values])
