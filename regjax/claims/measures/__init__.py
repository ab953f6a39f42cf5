"""What claims measure beyond the records: one function per measure, from results to numbers [cell, seed].

A measure that belongs to a run gives the run's number. One that belongs to a cell as a whole (a standard deviation over
seeds, a churn, a variance) gives jackknife pseudo-values of the n seeds,

    n theta - (n - 1) theta_(-s),

whose mean and standard error are those of theta. A run that diverged, or is not done, is NaN.

Reference: Tukey, "Bias and confidence in not-quite large samples" (1958); Miller, "Jackknifing variances" (1968).
"""

from typing import Any

import numpy as np

from regjax.claims.measures import (
    costs,
    courses,
    generalization,
    inside,
    rates,
    reliability,
    selection,
    shift,
    weights,
)
from regjax.claims.measures.base import Measure, pseudo_values
from regjax.results import Results

__all__ = ["MEASURES", "Measure", "pseudo_values", "take_measure"]

_MODULES = (costs, courses, generalization, inside, rates, reliability, selection, shift, weights)
MEASURES: dict[str, Measure] = {name: measure for module in _MODULES for name, measure in module.MEASURES.items()}


def take_measure(results: Results, name: str, options: dict[str, Any], at: Any) -> np.ndarray:
    """Return a measure or a metric of the records, [cell, seed]; the state `at` is for metrics."""
    from regjax.analysis.table import state_values

    if name in MEASURES:
        return np.asarray(MEASURES[name].make(results, **options), dtype=float)
    return state_values(results.table, name, at)
