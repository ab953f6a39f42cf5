"""Slopes: what least squares over the drawn cells of a design says about every factor, as weights of cells.

With z_ic the code of factor i in cell c and y_c the mean of the metric there, the model is

    y_c = a + sum over i of b_i z_ic + rest

A range has one code: 0 at its low end, 1 at its high one, linear in the level or in its logarithm, so that b_i is the
change of the metric from the low to the high end. A list of levels has one code for each level but the first: 1 in its
cells, 0 elsewhere, so that b_i is the change from the first level to that one. Both with the other factors held equal.

Reference: Draper, Smith, "Applied regression analysis" (1998).
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from regjax.design.cells import Axis, Levels
from regjax.design.grid import Grid, Named

if TYPE_CHECKING:
    from regjax.config import Design


class Code(NamedTuple):
    """A column of the regression: name of its slope, path of its factor, scale of the codes, codes [cell]."""

    name: str
    path: str
    scale: str
    values: np.ndarray


def slope_codes(axes: Sequence[Axis], cells: Sequence[Levels]) -> list[Code]:
    """Return the columns of the regression on these cells: scale "log10", "linear" or, of lists, "levels"."""
    codes = []
    for axis in axes:
        span, column = axis.span, [cell[axis.name] for cell in cells]
        if span is not None:
            name = f"{axis.name}: {span.low:g} to {span.high:g}"
            values = np.array([span.code(level) for level in column])
            codes.append(Code(name, axis.name, "log10" if span.log else "linear", values))
            continue
        for levels, name in zip(axis.levels[1:], axis.names[1:], strict=True):
            values = np.array([float(level == levels[axis.name]) for level in column])
            codes.append(Code(f"{axis.name}: {name} vs {axis.names[0]}", axis.name, "levels", values))
    return codes


def model_matrix(codes: Sequence[np.ndarray], num_cells: int) -> np.ndarray:
    """Return the columns of the model, [cell, 1 + code]: ones, then the codes."""
    return np.column_stack([np.ones(num_cells), *codes])


def drawn_cells(design: "Design") -> slice:
    """Return which cells of a space-filling design were drawn: all but the one with everything off."""
    return slice(len(design.and_also), None)


def slope_effects(grid: Grid) -> Iterator[Named]:
    """Yield the slopes: weights [cell] of least squares, 0 for the cell with everything off."""
    cells = [
        {axis.name: axis.levels[level][axis.name] for axis, level in zip(grid.axes, row, strict=True)}
        for row in grid.rows[drawn_cells(grid.design)].tolist()
    ]
    codes = slope_codes(grid.axes, cells)
    solved = np.linalg.pinv(model_matrix([code.values for code in codes], len(cells)))[1:]
    left_out = np.zeros(len(grid.rows) - len(cells))
    for code, weights in zip(codes, solved, strict=True):
        keys: dict[str, Any] = {"factor": code.path, "scale": code.scale}
        keys["codes"] = [*left_out.tolist(), *code.values.tolist()]
        yield Named(code.name, np.concatenate([left_out, weights]), keys)


def largest_correlation(codes: Sequence[Code]) -> float:
    """Return the largest absolute correlation between codes of different factors; 0 of one factor."""
    table = np.abs(np.corrcoef([code.values for code in codes])) if len(codes) > 1 else np.zeros((1, 1))
    other = np.array([[a.path != b.path for b in codes] for a in codes])
    return float(np.where(other, table, 0.0).max())
