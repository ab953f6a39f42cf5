"""Which levels "best" was: what each half of the seeds of a test was given, and whether a grid ended there."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from regjax.analysis.levels import as_number
from regjax.claims.declare import Case, Test
from regjax.claims.effects import Levels, choose_cells, combine_levels, find_sides, side_cells
from regjax.design import name_level
from regjax.results import Results


def find_choices(results: Results, test: Test, case: Case, values: np.ndarray) -> list[dict[str, Any]]:
    """Return a row for each side of a test of which a level was chosen; none where all levels are given,
    or where what is chosen makes no difference, as the number of a seed is the same for all of them.

    A row has the `side` ("of" or "against"), `at` the levels of averaged factors and of a trend's where it was chosen
    ("" without any), the `levels` that the 1st, 3rd, ... and the 2nd, 4th, ... seeds were given, and `ends`, whether
    each is the first or last number that could be chosen.

    Args:
      results: of the study.
      test, case: as declared.
      values: of the test's measure, [cell, seed].
    """
    known = {factor["path"]: factor["levels"] for factor in results.plan["factors"]}
    rows = []
    for where in combine_levels(results.plan, [*test.averaged, *([test.trend] if test.trend else [])]):
        of, against = find_sides(test, case, where)
        for side, levels in (("of", of), ("against", against if test.than is None else [])):
            cells = side_cells(results, test, levels)
            if len(cells) > 1 and matters(values[cells]) and (halves := choose_cells(results, test, cells)):
                words = [describe_cell(results.plan, cell, cells) for cell in halves]
                at = ", ".join(f"{path} {name_level(level, known[path])}" for path, level in where.items())
                rows.append(
                    {"side": side, "at": at, "levels": [name for name, _ in words], "ends": [end for _, end in words]}
                )
    return rows


def matters(values: np.ndarray) -> bool:
    """Return whether it makes a difference which cell a seed is given: [cell, seed] has other numbers for another cell.

    >>> matters(np.array([[1.0, np.nan], [1.0, np.nan]])), matters(np.array([[1.0, 2.0], [1.0, 3.0]]))
    (False, True)
    """
    return not all(np.array_equal(values[0], other, equal_nan=True) for other in values[1:])


def describe_cell(plan: Mapping[str, Any], cell: int, cells: Sequence[int]) -> tuple[str, bool]:
    """Return in words what sets a cell apart from the others that could be chosen, and whether a grid ends there.

    Args:
      plan: of the study.
      cell: what was chosen.
      cells: what could be chosen.
    """
    known = {factor["path"]: factor["levels"] for factor in plan["factors"]}
    levels: dict[int, Levels] = {one: plan["cells"][one]["levels"] for one in cells}
    mine = levels[cell]
    apart = [path for path in known if any(one[path] != mine[path] for one in levels.values())]
    # Of several factors the ones that are on: "l1.strength 0.1", not "l1.strength 0.1 + l2.strength 0".
    named = [path for path in apart if mine[path] != known[path][0]] or apart
    words = " + ".join(f"{path} {name_level(mine[path], known[path])}" for path in named)
    if len(named) != 1:
        return words, False
    grid = [one for one in levels.values() if all(one[path] == mine[path] for path in apart if path != named[0])]
    return words, ends_at(mine[named[0]], [one[named[0]] for one in grid])


def ends_at(level: Any, levels: Sequence[Any]) -> bool:
    """Return whether a level is the first or last of three numbers or more; of two each would be.

    >>> ends_at(0.3, [0.1, 0.2, 0.3]), ends_at(0.2, [0.1, 0.2, 0.3]), ends_at(2, [2, 5]), ends_at("a", ["a", "b", "c"])
    (True, False, False, False)
    """
    numbers = [number for one in levels if (number := as_number(one)) is not None]
    return 2 < len(numbers) == len(levels) and as_number(level) in (min(numbers), max(numbers))


def halves_of(effects: np.ndarray) -> list[float | None]:
    """Return the mean effects of the 1st, 3rd, ... and of the 2nd, 4th, ... seeds; null of a half without a number.

    >>> halves_of(np.array([1.0, 5.0, 2.0, np.nan])), halves_of(np.array([1.0]))
    ([1.5, 5.0], [1.0, None])
    """
    kept = [half[np.isfinite(half)] for half in (effects[::2], effects[1::2])]
    return [float(half.mean()) if len(half) else None for half in kept]
