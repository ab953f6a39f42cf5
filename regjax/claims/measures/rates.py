"""Which learning rates a network stands, and what one gains by a rate of its own."""

import math
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from regjax.analysis.table import state_values
from regjax.claims.measures.base import Measure
from regjax.claims.options import Factor, Metric, Names, Number, State
from regjax.metrics import larger_is_better
from regjax.results import Results

RATE = "optimizer.learning_rate"
TestMetric = Annotated[
    str, Names("metric"), Field(pattern=r"^test\.", description='a metric of the test set, such as "test.nll"')
]
Like = Annotated[dict[str, Any], Names("levels"), Field(description="a level of each factor but the borrowed one")]


def largest_rate(
    results: Results, metric: Metric = "train.accuracy", least: Number = 0.5, factor: Factor = RATE
) -> np.ndarray:
    """Return the largest level of `factor` at which a run still learns, [cell, seed].

    A run learns where it does not diverge and its last `metric` is at least `least`. Cells that differ in the factor
    alone have one number; NaN where the seed learns at no level.

    Args:
      results: of a study with the factor.
      metric: of the records.
      least: what it must reach.
      factor: numeric.
    """
    learns = state_values(results.table, metric, {"kind": "last"}) >= least
    values = np.full(learns.shape, math.nan)
    for cells in _families(results, factor).values():
        levels = np.array([results.plan["cells"][cell]["levels"][factor] for cell in cells], dtype=float)
        found = np.where(learns[cells], levels[:, None], -math.inf).max(axis=0)
        values[cells] = np.where(np.isfinite(found), found, math.nan)
    return values


def over_borrowed(
    results: Results, metric: TestMetric, like: Like, at: State = "best", factor: Factor = RATE
) -> np.ndarray:
    """Return by how much `metric` is higher at a run's own best level of `factor` than at that of others, [cell, seed].

    Each seed chooses on its own validation examples: its own best level among the cells that differ in the factor
    alone, and the best of those among them that have the levels `like`, which is borrowed. Cells that differ in the
    factor alone have one number. Chosen on other seeds both would mostly be one level, and the gain 0 without error.

    Args:
      results: of a study with the factor.
      metric: a metric of the records on the test set, such as "test.nll"; that on validation chooses.
      like: levels of all other factors, of those who lend their best level.
      at: "best" or "last".
      factor: whose level is borrowed.

    Raises:
      ValueError: there is no cell like that.
    """
    chosen_on = metric.replace("test.", "validation.")
    values, scores = (state_values(results.table, name, {"kind": at}) for name in (metric, chosen_on))
    scores = np.where(np.isfinite(scores), scores if larger_is_better(chosen_on) else -scores, -math.inf)
    families = _families(results, factor)
    lenders = [key for key in families if dict(key) == {path: str(level) for path, level in like.items()}]
    if not lenders:
        raise ValueError(f"got cells like {like}, expected a level of each other factor: {[dict(k) for k in families]}")
    borrowed = scores[families[lenders[0]]].argmax(axis=0)
    gains, seeds = np.full(values.shape, math.nan), np.arange(values.shape[1])
    for cells in families.values():
        own = scores[cells].argmax(axis=0)
        gains[cells] = values[cells][own, seeds] - values[cells][borrowed, seeds]
    return gains


def _families(results: Results, factor: str) -> dict[tuple[tuple[str, str], ...], list[int]]:
    """Return the cells that differ in `factor` alone, by their other levels as text; equally ordered by the factor."""
    families: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for cell in results.plan["cells"]:
        others = tuple((path, str(level)) for path, level in cell["levels"].items() if path != factor)
        families.setdefault(others, []).append(cell["index"])
    return families


MEASURES: dict[str, Measure] = {
    "largest_rate": Measure(
        largest_rate,
        "largest level of `factor` (the learning rate) at which a run does not diverge and ends with `metric` "
        "(train.accuracy) of at least `least` (0.5)",
    ),
    "over_borrowed": Measure(
        over_borrowed,
        "by how much `metric` of the test set is higher at the best level of `factor` (the learning rate), by a seed's "
        "own validation examples, than at the level that is best for the cells `like`",
    ),
}
