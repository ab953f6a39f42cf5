"""Which combinations of levels are run."""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regjax.design.fractions import fraction_generators, fraction_rows, screening_rows, screening_size
from regjax.design.names import name_all, name_levels
from regjax.design.ranges import SPACE_FILLING, Drawn, Range, draw_choices, draw_shares

if TYPE_CHECKING:
    from regjax.config import Design, Study

Factors = Mapping[str, Sequence[Any]]  # path -> levels, the baseline first
Levels = dict[str, Any]  # path -> level
Row = tuple[int, ...]  # position of the level of each axis


@dataclass(frozen=True)
class Cell:
    """One combination of levels: its place in the grid, its name, {path: level} of every factor."""

    index: int
    name: str
    levels: Levels


@dataclass(frozen=True)
class Axis:
    """A factor, or several that change together: its name, levels as {path: level}, their names, its range if any."""

    name: str
    levels: tuple[Levels, ...]
    names: tuple[str, ...]
    span: Range | None = None


def make_axes(factors: Factors, joint: Sequence[Sequence[str]] = ()) -> list[Axis]:
    """Return the axes of a grid: each group of `joint` is one, in the place of its first factor.

    >>> [(axis.name, axis.names) for axis in make_axes({"a": (1, 2), "b": (0, 3), "c": (4, 5)}, [["a", "c"]])]
    [('a & c', ('1 & 4', '2 & 5')), ('b', ('0', '3'))]
    """
    group_of = {path: tuple(group) for group in joint for path in group}
    names = {path: name_all(levels) for path, levels in factors.items()}
    axes = []
    for paths in dict.fromkeys(group_of.get(path, (path,)) for path in factors):
        levels = tuple(dict(zip(paths, row, strict=True)) for row in zip(*(factors[p] for p in paths), strict=True))
        together = tuple(" & ".join(row) for row in zip(*(names[path] for path in paths), strict=True))
        alone = factors[paths[0]]
        span = alone.span if len(paths) == 1 and isinstance(alone, Drawn) else None
        axes.append(Axis(" & ".join(paths), levels, together, span))
    return axes


def full_factorial(factors: Factors) -> list[Levels]:
    """Return every combination, the all-baseline one first, the last factor changing fastest.

    >>> full_factorial({"a": (0, 1), "b": (0, 2)})
    [{'a': 0, 'b': 0}, {'a': 0, 'b': 2}, {'a': 1, 'b': 0}, {'a': 1, 'b': 2}]
    """
    return [dict(zip(factors, levels, strict=True)) for levels in itertools.product(*factors.values())]


def full_rows(sizes: Sequence[int]) -> list[Row]:
    """Return every combination of levels, the last axis changing fastest."""
    return list(itertools.product(*map(range, sizes)))


def one_at_a_time_rows(sizes: Sequence[int]) -> list[Row]:
    """Return the all-baseline row, then each other level of each axis alone.

    >>> one_at_a_time_rows([2, 3])
    [(0, 0), (1, 0), (0, 1), (0, 2)]
    """
    off = (0,) * len(sizes)
    return [off, *(set_level(off, axis, level) for axis, size in enumerate(sizes) for level in range(1, size))]


def leave_one_out_rows(sizes: Sequence[int]) -> list[Row]:
    """Return the row of all last levels, then for each axis the same with its first level.

    >>> leave_one_out_rows([2, 2, 2])
    [(1, 1, 1), (0, 1, 1), (1, 0, 1), (1, 1, 0)]
    """
    on = tuple(size - 1 for size in sizes)
    return [on, *(set_level(on, axis, 0) for axis in range(len(sizes)))]


def add_one_in_rows(sizes: Sequence[int]) -> list[Row]:
    """Return the row of all first levels, then for each axis the same with its last level.

    >>> add_one_in_rows([2, 2, 2])
    [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    """
    off = (0,) * len(sizes)
    return [off, *(set_level(off, axis, size - 1) for axis, size in enumerate(sizes))]


def set_level(row: Row, axis: int, level: int) -> Row:
    """Return a row with another level of one axis."""
    return (*row[:axis], level, *row[axis + 1 :])


PARTS: dict[str, Callable[[Sequence[int]], list[Row]]] = {
    "leave_one_out": leave_one_out_rows,
    "add_one_in": add_one_in_rows,
    "all_off": lambda sizes: [(0,) * len(sizes)],
}


def drawn_rows(axes: Sequence[Axis], design: "Design") -> list[Row]:
    """Return the points of a space-filling design."""
    columns = []
    for axis in axes:
        if axis.span is None:
            columns.append(draw_choices(design, axis.name, len(axis.levels)).tolist())
        else:
            places = {levels[axis.name]: index for index, levels in enumerate(axis.levels)}
            columns.append([places[level] for level in axis.span.place(draw_shares(design, axis.name))])
    return list(zip(*columns, strict=True))


def _sizes(axes: Sequence[Axis]) -> list[int]:
    return [len(axis.levels) for axis in axes]


DESIGNS: dict[str, Callable[[Sequence[Axis], "Design"], list[Row]]] = {
    "full_factorial": lambda axes, _: full_rows(_sizes(axes)),
    "one_at_a_time": lambda axes, _: one_at_a_time_rows(_sizes(axes)),
    "leave_one_out": lambda axes, _: leave_one_out_rows(_sizes(axes)),
    "add_one_in": lambda axes, _: add_one_in_rows(_sizes(axes)),
    "fractional": lambda axes, design: fraction_rows(len(axes), design.generators, design.resolution),
    "plackett_burman": lambda axes, design: screening_rows(len(axes), design.runs),
    **dict.fromkeys(SPACE_FILLING, drawn_rows),
}


def make_rows(design: "Design", axes: Sequence[Axis]) -> np.ndarray:
    """Return the cells as positions of levels, [cell, axis]: the design of the free axes, once per stratum."""
    free, strata = split_axes(design, axes)
    chosen = [axes[axis] for axis in free]
    inside = DESIGNS[design.kind](chosen, design)
    beside = [row for part in design.and_also for row in PARTS[part](_sizes(chosen))]
    # The cell that others are compared to comes first; drawn points hold none.
    inside = [*beside, *inside] if design.kind in SPACE_FILLING else [*inside, *beside]
    across = full_rows([len(axes[axis].levels) for axis in strata])
    order = np.argsort([*strata, *free])
    rows = np.array([(*outer, *row) for outer in across for row in dict.fromkeys(inside)], dtype=int)[:, order]
    return rows[~_find_excluded(design, axes, rows)]


def split_axes(design: "Design", axes: Sequence[Axis]) -> tuple[list[int], list[int]]:
    """Return the positions of the axes that effects are asked of, and of the strata."""
    strata = [index for index, axis in enumerate(axes) if axis.name in design.strata]
    return [index for index in range(len(axes)) if index not in strata], strata


def _find_excluded(design: "Design", axes: Sequence[Axis], rows: np.ndarray) -> np.ndarray:
    """Return a mask [cell] of the combinations that the study leaves out."""
    excluded = np.zeros(len(rows), dtype=bool)
    for when in design.exclude:
        matches = np.ones(len(rows), dtype=bool)
        for index, axis in enumerate(axes):
            wanted = {path: level for path, level in when.items() if path in axis.levels[0]}
            has = np.array([all(levels[path] == level for path, level in wanted.items()) for levels in axis.levels])
            matches &= has[rows[:, index]]
        excluded |= matches
    return excluded


def count_cells(design: "Design", factors: Factors) -> int:
    """Return the number of cells of a design without making them; those excluded count."""
    axes = make_axes(factors, design.zip)
    free, strata = split_axes(design, axes)
    sizes = [len(axes[axis].levels) for axis in free]
    across = math.prod(len(axes[axis].levels) for axis in strata)
    if design.kind == "full_factorial":
        return across * math.prod(sizes)
    if design.kind == "one_at_a_time":
        return across * (1 + sum(size - 1 for size in sizes))
    if design.kind == "fractional":
        return 2 ** (len(sizes) - len(fraction_generators(len(sizes), design.generators, design.resolution)))
    if design.kind == "plackett_burman":
        return screening_size(len(sizes), design.runs)
    return len(make_rows(design, axes))


def make_cells(study: "Study") -> tuple[Cell, ...]:
    """Return the cells of a study in order, the one the others are compared to first."""
    names = name_levels(study.factors)
    return tuple(
        Cell(index, ", ".join(f"{path}={names[path][level]}" for path, level in levels.items()), levels)
        for index, levels in enumerate(make_levels(study.design, study.factors))
    )


def make_levels(design: "Design", factors: Factors) -> list[Levels]:
    """Return {path: level} of every cell of a design, paths in the order of the factors."""
    axes = make_axes(factors, design.zip)
    made = []
    for row in make_rows(design, axes):
        levels = merge(axis.levels[level] for axis, level in zip(axes, row, strict=True))
        made.append({path: levels[path] for path in factors})
    return made


def merge(parts: Iterable[Levels]) -> Levels:
    """Return the union of levels of different axes."""
    return {path: level for part in parts for path, level in part.items()}


def find_rows(axes: Sequence[Axis], cells: Sequence[Levels]) -> np.ndarray:
    """Return the positions of the levels of cells, [cell, axis]."""
    places = [{tuple(levels.values()): index for index, levels in enumerate(axis.levels)} for axis in axes]
    paths = [tuple(axis.levels[0]) for axis in axes]
    rows = [[at[tuple(cell[p] for p in own)] for at, own in zip(places, paths, strict=True)] for cell in cells]
    return np.array(rows, dtype=int).reshape(len(cells), len(axes))


def match_cells(cells: Sequence[Levels], when: Levels) -> np.ndarray:
    """Return a mask [cell] of the cells that have all these levels."""
    return np.array([all(cell[path] == level for path, level in when.items()) for cell in cells], dtype=bool)
