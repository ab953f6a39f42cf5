"""What claims measure beyond the records: one function per measure, from results to numbers [cell, seed].

A measure that belongs to a run gives the run's number. One that belongs to a cell as a whole (a standard deviation over
seeds, a churn, a variance) gives jackknife pseudo-values of the n seeds,

    n theta - (n - 1) theta_(-s),

whose mean and standard error are those of theta. A run that diverged, or is not done, is NaN.

Reference: Tukey, "Bias and confidence in not-quite large samples" (1958); Miller, "Jackknifing variances" (1968).
"""

import inspect
from collections.abc import Iterable, Mapping
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
from regjax.claims.options import find_options
from regjax.config import ConfigError, Problem
from regjax.results import Results

__all__ = ["MEASURES", "Measure", "pseudo_values", "take_measure"]

_MODULES = (costs, courses, generalization, inside, rates, reliability, selection, shift, weights)


def join_measures(tables: Iterable[Mapping[str, Measure]]) -> dict[str, Measure]:
    """Return the measures of several modules by name.

    Raises:
      ValueError: two have one name, and claims would be tested by another measure than they name.
    """
    joined: dict[str, Measure] = {}
    for table in tables:
        if both := joined.keys() & table.keys():
            raise ValueError(f"got two measures named {', '.join(sorted(both))}, expected each name once")
        joined |= table
    return joined


MEASURES = join_measures(module.MEASURES for module in _MODULES)


def take_measure(results: Results, name: str, options: dict[str, Any], at: Any) -> np.ndarray:
    """Return a measure or a metric of the records, [cell, seed]; the state `at` is for metrics.

    Raises:
      ConfigError: the measure refuses the study or an option; it names measure and study.
    """
    from regjax.analysis.table import state_values

    if name not in MEASURES:
        return state_values(results.table, name, at)
    place, make = f"measure {name!r} of study {results.out.name!r}", MEASURES[name].make
    try:
        if problems := list(find_options(make, options, None)):
            raise ConfigError(problems)
        return np.asarray(make(results, **options), dtype=float)
    except ValueError as error:
        told = error.problems if isinstance(error, ConfigError) else [Problem("", str(error).removeprefix("got "))]
        raise ConfigError([Problem(f"{place}: {p.path}".removesuffix(": "), *p[1:]) for p in told]) from error


def measures_table() -> str:
    """Return all measures with their options as a Markdown table, for docs/claims.md."""
    rows = ["| measure | options | what it is |", "|---|---|---|"]
    for name, measure in sorted(MEASURES.items()):
        options = list(inspect.signature(measure.make).parameters.values())[1:]
        told = ", ".join(f"`{o.name}`" if o.default is o.empty else f"`{o.name} = {o.default!r}`" for o in options)
        rows.append(f"| `{name}` | {told} | {measure.about} |".replace("|  |", "| |"))
    return "\n".join(rows) + "\n"
