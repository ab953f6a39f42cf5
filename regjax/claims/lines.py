"""The curves of a claim's figure: a measure over the levels of a factor, a line for each case, level or option."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from regjax.analysis.levels import as_number
from regjax.claims.declare import BEST, Case, Figure
from regjax.claims.effects import Take, find_cell, parse_state
from regjax.config import ConfigError
from regjax.design import name_level
from regjax.results import Results


def draw_lines(results: Results, figure: Figure, cases: Sequence[Case], take: Take) -> list[dict[str, Any]]:
    """Return a row per point: line, level, place (null of a level that is no number), mean, low, high, n.

    The interval is the 95% t interval of the mean over seeds. Cells that the design does not have are left out.

    Args:
      results: of the study.
      figure: what is drawn.
      cases: of the claim.
      take: from results to the numbers of a measure.
    """
    known = {factor["path"]: factor["levels"] for factor in results.plan["factors"]}
    lines: dict[str, Mapping[str, Any]] = {"": {}}
    if figure.lines == "cases":
        lines = {case.name: {**case.where, **case.of} for case in cases}
    elif figure.lines:
        lines = {name_level(level, known[figure.lines]): {figure.lines: level} for level in known[figure.lines]}
    rows = []
    for option, options in figure.line_options().items():
        values = np.asarray(take(results, figure.measure, options, parse_state(figure.at)))
        for name, line in lines.items():
            rows += [{"line": option or name, **point} for point in draw_points(results.plan, figure, line, values)]
    return rows


def draw_points(
    plan: Mapping[str, Any], figure: Figure, line: Mapping[str, Any], values: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Yield the points of a line, see `draw_lines`; `line` are its levels and `values` [cell, seed]."""
    known = next(factor["levels"] for factor in plan["factors"] if factor["path"] == figure.over)
    fixed = {path: level for path, level in line.items() if path != figure.over and level != BEST}
    for level in known:
        try:
            cell = find_cell(plan, {**figure.where, **fixed, figure.over: level}, "figure")
        except ConfigError:
            continue
        place = as_number(level)
        shown = place if place is not None and math.isfinite(place) else None
        yield {"level": name_level(level, known), "place": shown, **summarise(values[cell])}


def summarise(values: np.ndarray) -> dict[str, Any]:
    """Return mean, low, high and n of the finite numbers; null where they are not known.

    >>> summarise(np.array([1.0, 3.0, np.nan]))["mean"], summarise(np.array([np.nan]))
    (2.0, {'mean': None, 'low': None, 'high': None, 'n': 0})
    """
    from scipy.stats import t

    kept = values[np.isfinite(values)]
    n = len(kept)
    if n < 2:
        return {"mean": float(kept[0]) if n else None, "low": None, "high": None, "n": n}
    mean, half = float(kept.mean()), float(t.ppf(0.975, n - 1) * kept.std(ddof=1) / math.sqrt(n))
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": n}
