"""Designs whose cells are drawn from ranges: the levels of the factors, and what is wrong with them."""

from collections.abc import Iterator, Mapping

import numpy as np

from regjax.config.problems import Problem, dotted, show
from regjax.config.tables import Design
from regjax.design import SPACE_FILLING, Drawn, draw_levels, make_axes, make_levels, make_rows
from regjax.design.slopes import drawn_cells, model_matrix, slope_codes

Factors = Mapping[str, tuple]
Problems = Iterator[Problem]


def draw_factors(design: Design, factors: Factors) -> dict[str, tuple]:
    """Return the factors with the levels of ranges drawn, where the design draws them."""
    if design.kind not in SPACE_FILLING or not design.points:
        return dict(factors)
    return {
        path: draw_levels(design, path, levels.span) if isinstance(levels, Drawn) else levels
        for path, levels in factors.items()
    }


def find_range_problems(design: Design, factors: Factors) -> Problems:
    """Find ranges that no design draws from, and what a design that draws lacks or does not take."""
    ranges = {path: levels.span for path, levels in factors.items() if isinstance(levels, Drawn)}
    if design.kind not in SPACE_FILLING:
        for path in ranges:
            kinds = " or ".join(map(show, SPACE_FILLING))
            yield Problem(dotted("factors", path), "a range without points", f"points = n, or design.kind = {kinds}")
        return
    if design.points is None:
        yield Problem("design.points", "nothing", f"the number of cells that {design.kind} draws")
    for part in design.and_also:
        if part != "all_off":
            yield Problem("design.and_also", show(part), '"all_off"', f"for {design.kind}")
    for path, span in ranges.items():
        if span.off is None and "all_off" in design.and_also:
            yield Problem(dotted("factors", path), "a range without off", 'off beside it, for and_also = ["all_off"]')
        elif span.off is not None and "all_off" not in design.and_also:
            hint = "points are drawn from the range alone"
            yield Problem(dotted("factors", path), "off, which no cell has", 'design.and_also = ["all_off"]', hint)


def find_drawing_problems(design: Design, factors: Factors) -> Problems:
    """Find points that cannot tell the factors apart, and cells that are drawn twice."""
    if design.kind not in SPACE_FILLING or not factors:
        return
    axes = make_axes(factors)
    num_slopes = sum(1 if axis.span else len(axis.levels) - 1 for axis in axes)
    points = design.points or 0
    if points < num_slopes + 2:
        hint = "what is left over shows whether straight lines fit"
        expected = f"at least {num_slopes + 2}: slopes of the factors and two more"
        yield Problem("design.points", show(points), expected, hint)
        return
    same = points + len(design.and_also) - len(make_rows(design, axes))
    if same:
        hint = "seeds replicate; of few combinations take all"
        expected = "cells that differ: fewer points, or another design.draw"
        yield Problem("design.points", f"{points} points of which {same} repeat a cell", expected, hint)
        return
    cells = make_levels(design, factors)[drawn_cells(design)]
    codes = [code.values for code in slope_codes(axes, cells)]
    if np.linalg.matrix_rank(model_matrix(codes, len(cells))) <= num_slopes:
        yield Problem("design.points", f"{points} points that do not tell the factors apart",
                      "more points, or another design.draw")  # fmt: skip
