"""Declared contrasts of the best level of a factor: `of = "best_level(<factor>)"`, read and checked."""

from collections.abc import Iterator, Mapping
from typing import Any

from regjax.config.fields import words
from regjax.config.problems import Problem, nearest, quote, show, unknown
from regjax.config.study import Contrast, LevelContrast, show_plain
from regjax.config.tables import Design, Primary, Seeds, Task
from regjax.design import LEVEL_KINDS, SPACE_FILLING, fewest_seeds, find_factor, level_cells, make_levels
from regjax.design.names import name_all
from regjax.metrics import TASK_METRICS

KEYS = ("name", "of", "by", "choose_on", "test")
FORM = '"best_level(<factor>)", such as "best_level(l2.strength)"'
VALIDATION = "validation"
FEWEST_LEVELS = 3
Problems = Iterator[Problem]


def is_level_contrast(row: Any) -> bool:
    """Return whether a table of [[contrasts]] asks for the best level of a factor."""
    return isinstance(row, dict) and isinstance(row.get("of"), str)


def parse_level_contrast(row: Mapping[str, Any], place: str) -> tuple[LevelContrast | None, list[Problem]]:
    """Return the contrast of a table whose `of` is a text, and what is wrong with it; its name is checked elsewhere."""
    problems = [unknown(f"{place}.{quote(k)}", f"key {show(k)}", k, KEYS, f"{place} has") for k in row if k not in KEYS]
    if not find_factor(row["of"]):
        problems.append(Problem(f"{place}.of", show(row["of"]), FORM))
    tests = tuple(LEVEL_KINDS)
    if row.get("test") not in tests:
        hint = nearest(str(row["test"]), tests) if row.get("test") else ""
        problems.append(Problem(f"{place}.test", show(row.get("test")), words(tests), hint))
    for key in ("by", "choose_on"):
        if row.get(key) is not None and not isinstance(row[key], str):
            problems.append(Problem(f"{place}.{key}", show(row[key]), "a text"))
    if problems:
        return None, problems
    chosen_on = row.get("choose_on") or VALIDATION
    return LevelContrast(str(row.get("name", "")).strip(), row["of"], row["test"], row.get("by"), chosen_on), []


def check_level_contrasts(
    contrasts: tuple[Contrast | LevelContrast, ...],
    design: Design,
    factors: Mapping[str, tuple],
    seeds: Seeds,
    primary: Primary,
    task: Task,
) -> Problems:
    """Find contrasts of the best level that the design, the seeds or the metrics have no answer for."""
    declared = {i: c for i, c in enumerate(contrasts) if isinstance(c, LevelContrast)}
    if not declared:
        return
    rest = len(contrasts) - len(declared)
    if rest or design.family:
        others = f"{rest} of another form" if rest else f"design.family = {show(list(design.family))}"
        yield Problem("contrasts", f"contrasts of the best level beside {others}", "one or the other in a study",
                      "they are no weighted sums of cells and cannot be adjusted together; ask in two studies, which "
                      "may share a run directory")  # fmt: skip
    if design.kind in SPACE_FILLING:
        yield Problem("contrasts", f"contrasts of the best level of a {design.kind} design", "a design with levels",
                      "cells drawn from ranges share no level")  # fmt: skip
        return
    before: set[str] = set()
    for index, contrast in declared.items():
        place = f"contrasts[{index}]"
        if contrast.name in before:
            yield Problem(f"{place}.name", show(contrast.name), "a name that no other contrast has")
        before.add(contrast.name)
        yield from _check_factor(contrast, place, design, factors)
        yield from _check_metric(contrast, place, primary, task)
    yield from _check_seeds(list(declared.values()), factors, seeds)


def _check_factor(contrast: LevelContrast, place: str, design: Design, factors: Mapping[str, tuple]) -> Problems:
    path, by = contrast.factor, contrast.by
    known = ", ".join(factors)
    if path not in factors:
        yield Problem(f"{place}.of", show(path), f"one of the factors: {known}", nearest(path, factors))
    elif contrast.test == "trend" and not _are_numbers(factors[path], FEWEST_LEVELS):
        expected = f"a factor with {FEWEST_LEVELS} or more levels that are all numbers"
        yield Problem(f"{place}.of", _write_levels(path, factors), f"{expected}, for a trend")
    if by is None:
        if contrast.test == "trend":
            yield Problem(f"{place}.by", "nothing", "a stratum with two or more levels, over which the trend is")
    elif by not in design.strata or by not in factors or by == path:
        strata = ", ".join(name for name in design.strata if name != path) or "none so far"
        yield Problem(f"{place}.by", show(by), f"one of design.strata: {strata}", "name it in design.strata too")
    elif contrast.test == "trend" and (not _are_numbers(factors[by], 2) or float("inf") in factors[by]):
        yield Problem(f"{place}.by", _write_levels(by, factors), "levels that are finite numbers")
    elif path in factors:
        yield from _check_cells(contrast, place, design, factors)


def _check_cells(contrast: LevelContrast, place: str, design: Design, factors: Mapping[str, tuple]) -> Problems:
    from regjax.config.designs import find_design_problems

    if find_design_problems(design, factors):
        return
    cells = make_levels(design, factors)
    for level in factors[contrast.by] if contrast.by else (None,):
        stratum = {contrast.by: level} if contrast.by else {}
        if not level_cells(cells, factors, contrast.factor, stratum).any(axis=1).all():
            where = f" at {contrast.by} = {show_plain(level)}" if contrast.by else ""
            yield Problem(f"{place}.of", f"levels of {contrast.factor} without a cell{where}",
                          f"a design that runs all of them, not {design.kind} with these factors")  # fmt: skip
            return


def _check_metric(contrast: LevelContrast, place: str, primary: Primary, task: Task) -> Problems:
    metrics = TASK_METRICS[task.name] if task.name else tuple(dict.fromkeys(sum(TASK_METRICS.values(), ())))
    known = [f"{VALIDATION}.{name}" for name in metrics]
    if contrast.choose_on == VALIDATION:
        if f"{VALIDATION}.{primary.metric.rpartition('.')[2]}" not in known:
            yield Problem(f"{place}.choose_on", f'"{VALIDATION}", of which there is no {primary.metric}',
                          f"one of {', '.join(known)}")  # fmt: skip
    elif contrast.choose_on not in known:
        expected = f'"{VALIDATION}" or one of {", ".join(known)}'
        hint = "test examples judge the level that is chosen" if "test" in contrast.choose_on else ""
        yield Problem(f"{place}.choose_on", show(contrast.choose_on), expected, hint)


def _check_seeds(declared: list[LevelContrast], factors: Mapping[str, tuple], seeds: Seeds) -> Problems:
    if seeds.count is None:
        yield Problem("seeds.pilot", str(seeds.pilot), "seeds.count beside contrasts of the best level",
                      "the two-stage intervals are of weighted sums of cells")  # fmt: skip
        return
    tests = sum(len(factors.get(c.by, (0,))) if c.by and c.test == "effect" else 1 for c in declared)
    if seeds.count < fewest_seeds(tests):
        share = f" / {tests}" if tests > 1 else ""
        yield Problem("seeds.count", str(seeds.count), f"at least {fewest_seeds(tests)} for contrasts of best levels",
                      f"fewer cannot give a p-value of 0.05{share}")  # fmt: skip


def _write_levels(path: str, factors: Mapping[str, tuple]) -> str:
    return f"{show(path)} = [{', '.join(name_all(factors[path]))}]"


def _are_numbers(levels: tuple, fewest: int) -> bool:
    return len(levels) >= fewest and all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in levels)
