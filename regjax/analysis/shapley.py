"""Shapley values: how the effect of switching everything on divides among the factors of a full factorial."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from regjax.analysis.effects import ALPHA
from regjax.analysis.table import Table, state_values

MOST_FACTORS = 10


def shapley_weights(num_factors: int) -> np.ndarray:
    """Return weights [factor, set] of the Shapley values of a game.

        phi_j = sum over S without j of |S|! (k - |S| - 1)! / k! (v(S + j) - v(S))

    Args:
      num_factors: k >= 1. Set number i holds factor j where bit j of i is set.

    >>> shapley_weights(1).tolist()
    [[-1.0, 1.0]]

    Reference: Shapley, "A value for n-person games" (1953).
    """
    k = num_factors
    sets = np.arange(2**k)
    held = sets >> np.arange(k)[:, None] & 1
    size = held.sum(axis=0)
    # A set with j takes the weight of the set without it, one smaller.
    share = np.array([math.factorial(s) * math.factorial(k - s - 1) / math.factorial(k) for s in range(k)])
    return np.where(held == 1, share[np.maximum(size - 1, 0)], -share[np.minimum(size, k - 1)])


def find_lattice(plan: Mapping[str, Any]) -> np.ndarray | None:
    """Return the cell of every set of factors that are on, [set], None where the design is no 2^k factorial."""
    factors = plan["factors"]
    k = len(factors)
    if not 2 <= k <= MOST_FACTORS or len(plan["cells"]) != 2**k or any(len(f["levels"]) != 2 for f in factors):
        return None
    cells = np.full(2**k, -1)
    for place, cell in enumerate(plan["cells"]):
        cells[sum(2**j for j, f in enumerate(factors) if cell["levels"].get(f["path"]) == f["levels"][1])] = place
    return cells if (cells >= 0).all() else None


def shapley_values(table: Table) -> pd.DataFrame:
    """Return the Shapley value of every factor for the primary metric: exploratory, one interval each.

    v(S) of a seed is its primary metric in the cell where the factors of S are on. Values of a seed add up to all on
    less all off. Seeds without a value in some cell drop out.

    Returns:
      Columns factor, level (the one that is on), effect, low, high (95% t interval over seeds, NaN below two), n.

    Raises:
      ValueError: the design is no full factorial of 2 to 10 factors with two levels.
    """
    from scipy.stats import t

    cells = find_lattice(table.plan)
    if cells is None:
        raise ValueError(f"got another design, expected a full factorial of 2 to {MOST_FACTORS} factors of two levels")
    primary, factors = table.plan["primary"], table.plan["factors"]
    values = state_values(table, primary["metric"], primary["at"])[cells]
    values = values[:, ~np.isnan(values).any(axis=0)]
    n = values.shape[1]
    each = shapley_weights(len(factors)) @ values
    effect = each.mean(axis=1) if n else np.full(len(factors), np.nan)
    half = t.ppf(1 - ALPHA / 2, n - 1) * each.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.nan
    heads = {"factor": [f["path"] for f in factors], "level": [f["levels"][1] for f in factors]}
    return pd.DataFrame({**heads, "effect": effect, "low": effect - half, "high": effect + half, "n": n})
