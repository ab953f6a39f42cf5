"""Declared contrasts of the best level of a factor: which cells hold each level, and how they stand in a plan."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from regjax.design.names import name_level

if TYPE_CHECKING:
    from regjax.config import Study
    from regjax.config.study import LevelContrast

LEVEL_KINDS = {"effect": "best_level", "trend": "trend"}
BEST_LEVEL = re.compile(r"best_level\(\s*([^()]*?)\s*\)")
ALPHA = 0.05


def find_factor(of: str) -> str | None:
    """Return the factor of "best_level(factor)", None where a text is written otherwise.

    >>> find_factor("best_level(l2.strength)"), find_factor("best(l2.strength)")
    ('l2.strength', None)
    """
    found = BEST_LEVEL.fullmatch(of.strip())
    return found[1] if found else None


def level_cells(
    cells: Sequence[Mapping[str, Any]], factors: Mapping[str, Sequence[Any]], path: str, stratum: Mapping[str, Any]
) -> np.ndarray:
    """Return which cells stand for each level of a factor in a stratum, [level, cell] bool.

    Where every combination is run a level is that of all others' combinations, else the others are at their first.

    Args:
      cells: {path: level} of every cell.
      factors: {path: levels}, the first level first.
      path: the factor.
      stratum: {path: level}, factors that are held at a level.
    """
    averaged = len(cells) == np.prod([len(levels) for levels in factors.values()], dtype=object)
    firsts = {name: levels[0] for name, levels in factors.items() if name != path}
    when = {**({} if averaged else firsts), **stratum}
    here = np.array([all(cell.get(name) == level for name, level in when.items()) for cell in cells])
    return np.array([[cell.get(path) == level for cell in cells] for level in factors[path]]) & here


def fewest_seeds(num_tests: int) -> int:
    """Return how many seeds it takes that so many tests, each at 0.05 / tests, can show anything: 2 / 2^n of each.

    >>> fewest_seeds(1), fewest_seeds(3)
    (6, 7)
    """
    return next(n for n in range(1, 64) if num_tests * 2.0 ** (1 - n) <= ALPHA)


def make_level_contrasts(study: "Study") -> list[dict[str, Any]]:
    """Return the declared contrasts of the best level as a plan holds them; none in most studies.

    Returns:
      One dict per contrast: name; kind, "best_level" or "trend"; factor; by, the stratum or None; choose_on, a metric;
      tests, [name] of the hypotheses: one, or of an effect by strata one per stratum.
    """
    made = []
    asked: list[LevelContrast] = [c for c in study.contrasts if isinstance(c.of, str)]
    for declared in asked:
        chosen_on = declared.choose_on
        if chosen_on == "validation":
            chosen_on = f"validation.{study.primary.metric.rpartition('.')[2]}"
        tests = [declared.name]
        if declared.test == "effect" and declared.by is not None:
            levels = study.factors[declared.by]
            tests = [f"{declared.name} ({declared.by}={name_level(level, levels)})" for level in levels]
        kind = LEVEL_KINDS[declared.test]
        about = {"name": declared.name, "kind": kind, "factor": declared.factor, "by": declared.by}
        made.append({**about, "choose_on": chosen_on, "tests": tests})
    return made
