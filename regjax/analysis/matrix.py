"""Main effects and two-way interactions of all factors as one matrix."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.convolution import share_total
from regjax.analysis.effects import make_effects
from regjax.analysis.inference import infer, seed_effects
from regjax.analysis.table import Table, state_values
from regjax.design import name_level

COLUMNS = ["row", "column", "contrast", "confirmatory", "n", "effect", "low", "high"]


class Step(NamedTuple):
    """A level of a factor against the factor's first level: index of the factor, name, the two masks over cells."""

    factor: int
    name: str
    on: np.ndarray
    off: np.ndarray


def find_steps(plan: Mapping[str, Any]) -> list[Step]:
    """Return every level but the first of every factor, none where the design does not cross the factors evenly.

    Even: of every two factors all pairs of levels are in the same number of cells. Of a Plackett-Burman design no
    interaction can be told apart from main effects, and strata are not compared: these have no matrix.
    """
    factors, cells = plan["factors"], [cell["levels"] for cell in plan["cells"]]
    design = plan.get("design") or {}
    if len(factors) < 2 or design.get("kind") == "plackett_burman" or design.get("strata"):
        return []
    masks = [np.array([[cell.get(f["path"]) == level for cell in cells] for level in f["levels"]]) for f in factors]
    counts = [(a.astype(int) @ b.T.astype(int)).ravel() for a, b in itertools.combinations(masks, 2)]
    if any(count.min() < 1 or count.min() != count.max() for count in counts):
        return []
    return [
        Step(
            i,
            f"{f['path']} {name_level(level, f['levels'])} vs {name_level(f['levels'][0], f['levels'])}",
            mask,
            of_levels[0],
        )
        for i, (f, of_levels) in enumerate(zip(factors, masks, strict=True))
        for level, mask in zip(f["levels"][1:], of_levels[1:], strict=True)
    ]


def main_weights(step: Step) -> np.ndarray:
    """Return the weights [cell] of a main effect: mean of the cells with the level less mean of those with the first.

    >>> on = np.array([False, False, True, True])
    >>> main_weights(Step(0, "", on, ~on)).tolist()
    [-0.5, -0.5, 0.5, 0.5]
    """
    return step.on / step.on.sum() - step.off / step.off.sum()


def pair_weights(first: Step, second: Step) -> np.ndarray:
    """Return the weights [cell] of an interaction: the effect of one at the other's level less that at its first level.

    >>> a, b = np.array([False, False, True, True]), np.array([False, True, False, True])
    >>> pair_weights(Step(0, "", a, ~a), Step(1, "", b, ~b)).tolist()
    [1.0, -1.0, -1.0, 1.0]
    """
    signed = [(first.on, second.on, 1), (first.on, second.off, -1), (first.off, second.on, -1)]
    total = np.zeros(len(first.on))
    for a, b, sign in [*signed, (first.off, second.off, 1)]:
        here = a & b
        total += sign * here / here.sum()
    return total


def make_matrix(table: Table, steps: Sequence[Step] | None = None) -> pd.DataFrame:
    """Return one row per main effect (row equals column) and two-way interaction on the primary metric.

    What the plan declares is taken from its family, with simultaneous intervals; all else has an interval of its own.

    Args:
      table: loaded run directory.
      steps: from `find_steps`, where they are at hand.

    Returns:
      Columns row, column (indices of levels as `find_steps` lists them, row >= column), contrast, confirmatory, n,
      effect, low, high; no rows where the design does not allow it.
    """
    steps = find_steps(table.plan) if steps is None else steps
    places = [(i, j) for i in range(len(steps)) for j in range(i + 1) if i == j or steps[i].factor != steps[j].factor]
    if not places:
        return pd.DataFrame(columns=COLUMNS)
    weights = np.array([main_weights(steps[i]) if i == j else pair_weights(steps[j], steps[i]) for i, j in places])
    primary = table.plan["primary"]
    values = state_values(table, primary["metric"], primary["at"])
    effects = seed_effects(weights, values, share_total(table.plan, primary["metric"]))
    found = infer(effects, np.zeros(len(weights), dtype=bool))
    names = [steps[i].name if i == j else f"{steps[j].name} x {steps[i].name}" for i, j in places]
    frame = pd.DataFrame({"row": [i for i, _ in places], "column": [j for _, j in places], "contrast": names})
    frame = frame.assign(confirmatory=False, **{name: found[name] for name in ("n", "effect", "low", "high")})
    if any(contrast["confirmatory"] for contrast in table.plan["contrasts"]):
        _take_declared(frame, weights, table)
    return frame[COLUMNS]


def _take_declared(frame: pd.DataFrame, weights: np.ndarray, table: Table) -> None:
    """Replace the intervals of what the plan declares by those of its family."""
    declared = make_effects(table)
    for contrast, row in zip(table.plan["contrasts"], declared.to_dict("records"), strict=True):
        if row["confirmatory"]:
            same = np.isclose(weights, np.asarray(contrast["weights"], float), atol=1e-9).all(axis=1)
            frame.loc[same, ["confirmatory", "low", "high"]] = True, row["low"], row["high"]
