"""Contrasts: a weight per cell; the effect of seed s is sum_c weights[c] * metric[c, s]."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from regjax.design.cells import (
    Axis,
    Cell,
    Factors,
    Levels,
    find_rows,
    make_axes,
    make_rows,
    match_cells,
    set_level,
    split_axes,
)
from regjax.design.fractions import Word, find_aliases
from regjax.design.grid import FRACTIONS, Grid, Named, factorial_effect, make_strata
from regjax.design.ranges import SPACE_FILLING
from regjax.design.slopes import slope_effects

if TYPE_CHECKING:
    from regjax.config import Design, Study

# Exploratory kinds of contrasts beyond this many weights in all are left out; plan.json would grow by tens of MB.
MOST_WEIGHTS = 2_000_000
ORDERS = {"main": 1, "two_way": 2, "three_way": 3}


def count_contrasts(kind: str, design: "Design", factors: Factors, num_cells: int) -> int:
    """Return the number of contrasts of a kind that a design has; at most, if cells lack."""
    axes = make_axes(factors, design.zip)
    free, strata = split_axes(design, axes)
    if kind == "simple":
        return num_cells - 1
    if kind == "slope":
        return sum(1 if axis.span else len(axis.levels) - 1 for axis in axes)
    others = [len(axes[axis].levels) - 1 for axis in free]
    across = math.prod(len(axes[axis].levels) for axis in strata)
    return across * sum(math.prod(chosen) for chosen in itertools.combinations(others, ORDERS[kind]))


def make_contrasts(study: "Study", cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Return the contrasts of a study: what is confirmatory and, for a factorial of several factors, what is not.

    Args:
      study: a checked study.
      cells: from `make_cells`.

    Returns:
      One dict per contrast: name; kind, "declared", "simple", "main", "two_way", "three_way", "interaction_gap" or
      "slope"; weights, one float per cell; confirmatory; in strata `stratum`, {path: level}; in fractions `aliases`,
      names; of slopes (see `regjax.design.slopes`) `factor`, its path, `scale` and `codes`, one per cell.
      Main effect of level l of a factor: mean over the cells with l less mean over those with its baseline. Two-way:
      (mean[l, m] - mean[0, m]) - (mean[l, 0] - mean[0, 0]), each mean over the other factors; three-way: the two-way
      effect at a level of a third factor less that at its baseline. Where cells are excluded the means are over those
      combinations of the other factors for which all sides exist. Simple: a cell less the baseline cell of its stratum;
      in leave_one_out the all-on cell less the cell without one part. Interaction gap: (all on less without X) less
      (X alone less all off). Exploratory kinds are left out where they would take more than MOST_WEIGHTS weights.
    """
    design = study.design
    levels = [cell.levels for cell in cells]
    axes = make_axes(study.factors, design.zip)
    strata = make_strata(design, axes, find_rows(axes, levels))
    made = []
    for declared in study.contrasts:
        if isinstance(declared.of, str):
            continue  # of the best level: no weights, see `make_level_contrasts`
        of, against = (match_cells(levels, when) for when in (declared.of, declared.against))
        made.append(_contrast("declared", True, Named(declared.name, of / of.sum() - against / against.sum())))
    for kind, effects in KINDS.items():
        confirmatory = kind in design.family
        if confirmatory or _is_offered(kind, design, study.factors, len(cells)):
            found = itertools.chain.from_iterable(map(_add_stratum(effects), strata))
            made += [_contrast(kind, confirmatory, named) for named in found]
    return made


def _is_offered(kind: str, design: "Design", factors: Factors, num_cells: int) -> bool:
    """Return whether a kind is listed though nobody asked for it."""
    if kind == "interaction_gap":
        return {"leave_one_out", "add_one_in"} <= {design.kind, *design.and_also}
    if kind == "slope" or design.kind in SPACE_FILLING:
        reference = design.kind in SPACE_FILLING and "all_off" in design.and_also
        return design.kind in SPACE_FILLING if kind == "slope" else kind == "simple" and reference
    several = design.kind in FRACTIONS or (design.kind == "full_factorial" and _count_free(design, factors) > 1)
    has = design.kind not in FRACTIONS if kind == "simple" else several
    return has and count_contrasts(kind, design, factors, num_cells) * num_cells <= MOST_WEIGHTS


def _count_free(design: "Design", factors: Factors) -> int:
    return len(split_axes(design, make_axes(factors, design.zip))[0])


def _contrast(kind: str, confirmatory: bool, named: Named) -> dict[str, Any]:
    weights = named.weights.tolist()
    return {"name": named.name, "kind": kind, "weights": weights, "confirmatory": confirmatory, **named.keys}


def _add_stratum(effects: "Effects") -> Callable[[tuple[Grid, Levels]], Iterator[Named]]:
    """Return a maker of the contrasts of a stratum, whose names end with its levels."""

    def make(stratum: tuple[Grid, Levels]) -> Iterator[Named]:
        grid, levels = stratum
        plain = {path: "off" if level == float("inf") else level for path, level in levels.items()}
        plain = {path: list(level) if isinstance(level, tuple) else level for path, level in plain.items()}
        names = [
            f"{axis.name}={axis.names[axis.levels.index({axis.name: levels[axis.name]})]}"
            for axis in grid.axes
            if axis.name in levels
        ]
        for named in effects(grid):
            if levels:
                yield Named(f"{named.name} ({', '.join(names)})", named.weights, {**named.keys, "stratum": plain})
            else:
                yield named

    return make


def find_missing(kind: str, design: "Design", factors: Factors) -> list[str]:
    """Return the effects of a kind that an incomplete grid has no cells for, by name."""
    axes = make_axes(factors, design.zip)
    return [
        name
        for grid, _ in make_strata(design, axes, make_rows(design, axes))
        for name, at, levels in _list_effects(grid, ORDERS[kind])
        if factorial_effect(grid, at, levels) is None
    ]


def _list_effects(grid: Grid, order: int) -> Iterator[tuple[str, tuple[int, ...], tuple[int, ...]]]:
    """Yield name, axes and levels of every effect of an order."""
    for axes in itertools.combinations(grid.free, order):
        for levels in itertools.product(*(range(1, len(grid.axes[axis].levels)) for axis in axes)):
            words = [f"{grid.axes[a].name} {grid.axes[a].names[lev]}" for a, lev in zip(axes, levels, strict=True)]
            yield (grid.name_change(axes[0], levels[0]) if order == 1 else " x ".join(words)), axes, levels


def _factorial_effects(order: int) -> "Effects":
    def make(grid: Grid) -> Iterator[Named]:
        if grid.design.kind in FRACTIONS:
            yield from _fraction_effects(grid, order)
            return
        for name, axes, levels in _list_effects(grid, order):
            weights = factorial_effect(grid, axes, levels)
            if weights is not None:
                yield Named(name, weights)

    return make


def _fraction_effects(grid: Grid, order: int) -> Iterator[Named]:
    """Yield the effects of an order with their aliases: mean over the high cells less mean over the low ones.

    Of two-way effects one per alias chain, and none that is aliased with a main effect.
    """
    if order > (2 if grid.design.kind == "fractional" else 1):
        return
    signs = 2 * grid.rows - 1
    done: set[Word] = set()
    for word, aliases in find_aliases(grid.rows).items():
        full = {other for coefficient, other in aliases if abs(coefficient) == 1}
        if len(word) != order or word in done or (order == 2 and any(len(other) == 1 for other in full)):
            continue
        done |= full
        # A difference of differences is twice the difference of the cells with equal and with unequal signs.
        weights = signs[:, sorted(word)].prod(axis=1) * (2.0**order / len(signs))
        name = grid.name_change(next(iter(word)), 1) if order == 1 else name_effect(grid.axes, word)
        yield Named(name, weights, {"aliases": [name_alias(grid.axes, c, other) for c, other in aliases]})


def name_effect(axes: Sequence[Axis], word: Word) -> str:
    """Return the factors of an effect."""
    return " x ".join(axes[axis].name for axis in sorted(word))


def name_alias(axes: Sequence[Axis], coefficient: Any, word: Word) -> str:
    """Return an aliased effect with its coefficient unless that is 1."""
    sign = "-" if coefficient < 0 else ""
    size = "" if abs(coefficient) == 1 else f"{abs(coefficient)} "
    return f"{sign}{size}{name_effect(axes, word)}"


def _simple_effects(grid: Grid) -> Iterator[Named]:
    if grid.design.kind in ("leave_one_out", "add_one_in"):
        yield from _differ(_one_part_effects(grid))
        return
    found = grid.find()
    reference = found.get((0,) * len(grid.free))
    for row, cell in found.items():
        if reference is not None and cell != reference:
            yield Named(_name_simple(grid, row), _difference(grid, cell, reference))


def _difference(grid: Grid, cell: int, other: int) -> np.ndarray:
    weights = np.zeros(len(grid.rows))
    weights[cell], weights[other] = 1.0, -1.0
    return weights


def _name_simple(grid: Grid, row: tuple[int, ...]) -> str:
    changed = [(axis, level) for axis, level in zip(grid.free, row, strict=True) if level]
    if grid.design.kind == "one_at_a_time" or len(grid.free) == 1:
        return grid.name_change(*changed[0])
    return (
        ", ".join(f"{grid.axes[axis].name}={grid.axes[axis].names[level]}" for axis, level in changed) + " vs baseline"
    )


def _one_part_effects(grid: Grid) -> Iterator[Named]:
    """Yield what each part adds to all the others, what each adds alone, and what all of them give together."""
    found, (on, off) = grid.find(), _ends(grid)
    parts = (grid.design.kind, *grid.design.and_also)
    # Leaving out asks what a part adds to the others, so there the reference has the positive sign.
    for place, axis in enumerate(grid.free if "leave_one_out" in parts else ()):
        without = found[set_level(on, place, 0)]
        yield Named(f"all on vs without {grid.axes[axis].name}", _difference(grid, found[on], without))
    for place, axis in enumerate(grid.free if "add_one_in" in parts else ()):
        alone = found[set_level(off, place, on[place])]
        yield Named(f"{grid.axes[axis].name} alone vs all off", _difference(grid, alone, found[off]))
    if {"leave_one_out", "all_off"} <= set(parts) or {"leave_one_out", "add_one_in"} <= set(parts):
        yield Named("all on vs all off", _difference(grid, found[on], found[off]))


def _gap_effects(grid: Grid) -> Iterator[Named]:
    """Yield by how much each part's effect depends on the others: (all on - without X) - (X alone - all off)."""
    found, (on, off) = grid.find(), _ends(grid)
    gaps = []
    for place, axis in enumerate(grid.free):
        beside = _difference(grid, found[on], found[set_level(on, place, 0)])
        alone = _difference(grid, found[set_level(off, place, on[place])], found[off])
        gaps.append(Named(f"{grid.axes[axis].name}: left out vs added in", beside - alone))
    yield from _differ(gaps)


def _ends(grid: Grid) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(len(grid.axes[axis].levels) - 1 for axis in grid.free), (0,) * len(grid.free)


def _differ(named: "Sequence[Named] | Iterator[Named]") -> Iterator[Named]:
    """Yield the contrasts that compare something, each once: of one or two parts some are the same."""
    seen = set()
    for one in named:
        key = tuple(one.weights.tolist())
        if key not in seen and any(key):
            seen.add(key)
            yield one


Effects = Callable[[Grid], Iterator[Named]]
KINDS: dict[str, Effects] = {
    "slope": slope_effects,
    "main": _factorial_effects(1),
    "two_way": _factorial_effects(2),
    "three_way": _factorial_effects(3),
    "simple": _simple_effects,
    "interaction_gap": _gap_effects,
}
