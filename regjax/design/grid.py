"""The cells of a stratum as positions of levels, and the weights of effects over them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from regjax.design.cells import Axis, Levels, split_axes

if TYPE_CHECKING:
    from regjax.config import Design

FRACTIONS = ("fractional", "plackett_burman")


class Named(NamedTuple):
    """A contrast before it is listed: its name, weights [cell] and further keys."""

    name: str
    weights: np.ndarray
    keys: dict[str, Any] = {}  # noqa: RUF012 - never changed


@dataclass(frozen=True)
class Grid:
    """The cells of one stratum within all cells.

    Attributes:
      design: the design.
      axes: its axes.
      rows: positions of levels of all cells, [cell, axis].
      free: the axes that effects are asked of.
      inside: mask [cell] of the stratum.
    """

    design: "Design"
    axes: list[Axis]
    rows: np.ndarray
    free: list[int]
    inside: np.ndarray

    def name_change(self, axis: int, level: int) -> str:
        """Return the name of a level against the baseline of its factor."""
        names = self.axes[axis].names
        return f"{self.axes[axis].name}: {names[level]} vs {names[0]}"

    def find(self) -> dict[tuple[int, ...], int]:
        """Return {levels of the free axes: cell} of the stratum."""
        return {tuple(self.rows[i, self.free].tolist()): i for i in np.flatnonzero(self.inside).tolist()}


def make_strata(design: "Design", axes: list[Axis], rows: np.ndarray) -> list[tuple[Grid, Levels]]:
    """Return the strata of a design with their levels; one without levels where there are no strata."""
    free, strata = split_axes(design, axes)
    found = []
    for outer in itertools.product(*(range(len(axes[axis].levels)) for axis in strata)):
        inside = (rows[:, strata] == np.array(outer, dtype=int)).all(axis=1)
        levels = {path: lev for a, o in zip(strata, outer, strict=True) for path, lev in axes[a].levels[o].items()}
        found.append((Grid(design, axes, rows, free, inside), levels))
    return found


def factorial_effect(grid: Grid, axes: Sequence[int], levels: Sequence[int]) -> np.ndarray | None:
    """Return the weights [cell] of a main effect or interaction, None where no combination of the others has all sides.

    sum over the corners c in {0, 1}^k of (-1)^(k - |c|) times the mean over the cells with that corner, where c_i = 1
    takes `levels[i]` of `axes[i]` and c_i = 0 its baseline.
    """
    others = [axis for axis in range(len(grid.axes)) if axis not in axes]
    sizes = [len(grid.axes[axis].levels) for axis in others]
    keys = np.zeros(len(grid.rows), dtype=np.int64)
    for axis, size in zip(others, sizes, strict=True):
        keys = keys * size + grid.rows[:, axis]
    corners = []
    for corner in itertools.product((0, 1), repeat=len(axes)):
        at = [level * side for level, side in zip(levels, corner, strict=True)]
        corners.append((sum(corner), grid.inside & (grid.rows[:, list(axes)] == at).all(axis=1)))
    common = reduce(np.intersect1d, [keys[mask] for _, mask in corners])
    if not len(common):
        return None
    weights = np.zeros(len(grid.rows))
    for high, mask in corners:
        weights += (-1.0) ** (len(axes) - high) * (mask & np.isin(keys, common)) / len(common)
    return weights
