"""Designs: which combinations of levels are run, and which contrasts between them are asked for.

A contrast is a weight per cell; the effect of seed s is sum_c weights[c] * metric[c, s].
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from regjax.config import Study

Factors = Mapping[str, Sequence[Any]]  # path -> levels, the baseline first
Levels = dict[str, Any]  # path -> level

# Exploratory kinds of contrasts beyond this many weights in all are left out; plan.json would grow by tens of MB.
MOST_WEIGHTS = 2_000_000


@dataclass(frozen=True)
class Cell:
    """One combination of levels: its place in the grid, its name, {path: level} of every factor."""

    index: int
    name: str
    levels: Levels


def full_factorial(factors: Factors) -> list[Levels]:
    """Return every combination, the all-baseline one first, the last factor changing fastest.

    >>> full_factorial({"a": (0, 1), "b": (0, 2)})
    [{'a': 0, 'b': 0}, {'a': 0, 'b': 2}, {'a': 1, 'b': 0}, {'a': 1, 'b': 2}]
    """
    return [dict(zip(factors, levels, strict=True)) for levels in itertools.product(*factors.values())]


def one_at_a_time(factors: Factors) -> list[Levels]:
    """Return the all-baseline combination, then each other level of each factor alone.

    >>> one_at_a_time({"a": (0, 1), "b": (0, 2)})
    [{'a': 0, 'b': 0}, {'a': 1, 'b': 0}, {'a': 0, 'b': 2}]
    """
    baseline = {path: levels[0] for path, levels in factors.items()}
    return [baseline, *({**baseline, path: level} for path, levels in factors.items() for level in levels[1:])]


def leave_one_out(factors: Factors) -> list[Levels]:
    """Return the combination of all last levels, then for each factor the same with its first level.

    >>> leave_one_out({"a": (0, 1), "b": (0, 2)})
    [{'a': 1, 'b': 2}, {'a': 0, 'b': 2}, {'a': 1, 'b': 0}]
    """
    everything = {path: levels[-1] for path, levels in factors.items()}
    return [everything, *({**everything, path: levels[0]} for path, levels in factors.items())]


DESIGNS: dict[str, Callable[[Factors], list[Levels]]] = {
    "full_factorial": full_factorial,
    "one_at_a_time": one_at_a_time,
    "leave_one_out": leave_one_out,
}


def count_cells(kind: str, factors: Factors) -> int:
    """Return the number of cells of a design without making them."""
    sizes = [len(levels) for levels in factors.values()]
    if kind == "full_factorial":
        return int(np.prod(sizes, dtype=object))
    return 1 + (len(sizes) if kind == "leave_one_out" else sum(size - 1 for size in sizes))


def count_contrasts(kind: str, factors: Factors, num_cells: int) -> int:
    """Return the number of "simple", "main" or "two_way" contrasts of a design."""
    others = [len(levels) - 1 for levels in factors.values()]
    if kind == "simple":
        return num_cells - 1
    return sum(others) if kind == "main" else sum(a * b for a, b in itertools.combinations(others, 2))


def name_level(level: Any, levels: Sequence[Any] = ()) -> str:
    """Return a level in words: numbers in short form, in full where two levels of the factor would read alike.

    >>> name_level(0.5), name_level(float("inf")), name_level(True), name_level((128, 64)), name_level("batch")
    ('0.5', 'off', 'true', '[128, 64]', 'batch')
    """
    short = _write(level, "g")
    return _write(level, "") if sum(_write(other, "g") == short for other in levels) > 1 else short


def _write(level: Any, form: str) -> str:
    if isinstance(level, bool):
        return "true" if level else "false"
    if isinstance(level, float):
        return "off" if level == float("inf") else format(level, form) if form else repr(level)
    if isinstance(level, tuple):
        return "[" + ", ".join(_write(item, form) for item in level) + "]"
    return str(level)


def name_levels(factors: Factors) -> dict[str, dict[Any, str]]:
    """Return {path: {level: its name}} of all factors."""
    return {path: {level: name_level(level, levels) for level in levels} for path, levels in factors.items()}


def make_cells(study: "Study") -> tuple[Cell, ...]:
    """Return the cells of a study in order, the one the others are compared to first."""
    names = name_levels(study.factors)
    return tuple(
        Cell(index, ", ".join(f"{path}={names[path][level]}" for path, level in levels.items()), levels)
        for index, levels in enumerate(DESIGNS[study.design.kind](study.factors))
    )


def match_cells(cells: Sequence[Levels], when: Levels) -> np.ndarray:
    """Return a mask [cell] of the cells that have all these levels."""
    return np.array([all(cell[path] == level for path, level in when.items()) for cell in cells], dtype=bool)


def make_contrasts(study: "Study", cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return the contrasts of a study: what is confirmatory and, for a factorial of several factors, what is not.

    Args:
      study: a checked study.
      cells: from `make_cells`.

    Returns:
      One dict per contrast: name; kind, "declared", "simple", "main" or "two_way"; weights, one float per cell;
      confirmatory. Main effect of level l of a factor: mean over the cells with l less mean over those with its
      baseline. Two-way: (mean[l, m] - mean[0, m]) - (mean[l, 0] - mean[0, 0]), each mean over the other factors.
      Simple: a cell less the baseline cell; in leave_one_out the all-on cell less the cell without one part.
      Exploratory kinds are left out where they would take more than MOST_WEIGHTS weights.
    """
    several = study.design.kind == "full_factorial" and len(study.factors) > 1
    grid = _make_grid(study, cells)
    made = [_contrast("declared", True, c.name, grid.mean(c.of) - grid.mean(c.against)) for c in study.contrasts]
    for kind, effects in EFFECTS.items():
        confirmatory = kind in study.design.family
        small = count_contrasts(kind, study.factors, len(cells)) * len(cells) <= MOST_WEIGHTS
        if (several or kind == "simple") and (confirmatory or small):
            made += [_contrast(kind, confirmatory, name, weights) for name, weights in effects(grid)]
    return made


def _contrast(kind: str, confirmatory: bool, name: str, weights: np.ndarray) -> dict[str, Any]:
    return {"name": name, "kind": kind, "weights": weights.tolist(), "confirmatory": confirmatory}


@dataclass(frozen=True)
class _Grid:
    """Cells with, by path and level, the level's name and the mask [cell] of the cells that have it."""

    kind: str
    factors: Factors
    cells: list[Levels]
    names: dict[str, dict[Any, str]]
    masks: dict[str, dict[Any, np.ndarray]]

    def mean(self, when: Levels) -> np.ndarray:
        """Return weights [cell] that take the mean over the cells with these levels."""
        mask = np.logical_and.reduce([self.masks[path][level] for path, level in when.items()])
        return mask / mask.sum()

    def name_change(self, path: str, level: Any) -> str:
        """Return the name of a level against the baseline of its factor."""
        return f"{path}: {self.names[path][level]} vs {self.names[path][self.factors[path][0]]}"


def _make_grid(study: "Study", cells: Sequence[Cell]) -> _Grid:
    levels = [cell.levels for cell in cells]
    masks = {
        path: {level: match_cells(levels, {path: level}) for level in all_} for path, all_ in study.factors.items()
    }
    return _Grid(study.design.kind, study.factors, levels, name_levels(study.factors), masks)


Named = Iterator[tuple[str, np.ndarray]]  # name of a contrast, weights [cell]


def _main_effects(grid: _Grid) -> Named:
    for path, levels in grid.factors.items():
        for level in levels[1:]:
            yield grid.name_change(path, level), grid.mean({path: level}) - grid.mean({path: levels[0]})


def _two_way_effects(grid: _Grid) -> Named:
    for (f, f_levels), (g, g_levels) in itertools.combinations(grid.factors.items(), 2):
        for level, other in itertools.product(f_levels[1:], g_levels[1:]):
            name = f"{f} {grid.names[f][level]} x {g} {grid.names[g][other]}"
            with_other = grid.mean({f: level, g: other}) - grid.mean({f: f_levels[0], g: other})
            without = grid.mean({f: level, g: g_levels[0]}) - grid.mean({f: f_levels[0], g: g_levels[0]})
            yield name, with_other - without


def _simple_effects(grid: _Grid) -> Named:
    # Leaving out asks what a part adds to the others, so there the reference has the positive sign.
    sign = -1.0 if grid.kind == "leave_one_out" else 1.0
    for index in range(1, len(grid.cells)):
        weights = np.zeros(len(grid.cells))
        weights[0], weights[index] = -sign, sign
        yield _name_simple(grid, grid.cells[index]), weights


def _name_simple(grid: _Grid, cell: Levels) -> str:
    changed = [path for path, level in cell.items() if level != grid.cells[0][path]]
    if grid.kind == "leave_one_out":
        return f"all on vs without {changed[0]}"
    if grid.kind == "one_at_a_time" or len(grid.factors) == 1:
        return grid.name_change(changed[0], cell[changed[0]])
    return ", ".join(f"{path}={grid.names[path][cell[path]]}" for path in changed) + " vs baseline"


EFFECTS: dict[str, Callable[[_Grid], Named]] = {
    "main": _main_effects,
    "two_way": _two_way_effects,
    "simple": _simple_effects,
}
