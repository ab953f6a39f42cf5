"""Checks of `[design]` against the factors: only what passes them can be made into cells."""

import math
from collections.abc import Iterator, Mapping

from regjax.config.problems import Problem, dotted, show
from regjax.config.spaces import find_drawing_problems, find_range_problems
from regjax.config.study import show_plain
from regjax.config.tables import Design
from regjax.design import (
    DESIGNS,
    FRACTIONS,
    SPACE_FILLING,
    count_cells,
    count_contrasts,
    find_missing,
    make_axes,
    make_levels,
    make_rows,
    make_strata,
    match_cells,
)
from regjax.design.fractions import (
    CYCLES,
    LETTERS,
    defining_words,
    fraction_generators,
    screening_rows,
    screening_size,
)

Factors = Mapping[str, tuple]
Problems = Iterator[Problem]
GRIDS = ("full_factorial", "one_at_a_time")
SPACES = " or ".join(SPACE_FILLING)
SEVERAL = "effects need a full factorial of several factors"
MOST_CELLS = 100_000  # that `exclude` is tried on
OF_KIND = {
    "and_also": ("leave_one_out", "add_one_in", *SPACE_FILLING),
    "zip": tuple(kind for kind in DESIGNS if kind not in SPACE_FILLING),
    "strata": GRIDS,
    "exclude": GRIDS,
    "generators": ("fractional",),
    "resolution": ("fractional",),
    "runs": ("plackett_burman",),
    "points": SPACE_FILLING,
    "draw": SPACE_FILLING,
}


def count_free(design: Design, factors: Factors) -> int:
    """Return the number of axes that effects are asked of: factors of a zip are one, strata none."""
    return len(factors) - len(design.strata) - sum(len(group) - 1 for group in design.zip)


def find_design_problems(design: Design, factors: Factors) -> list[Problem]:
    """Return what keeps a design of these factors from being made."""
    return (
        [*_find_kind_problems(design), *find_range_problems(design, factors)]
        or [*_find_zip_problems(design, factors), *_find_strata_problems(design, factors)]
        or [*_find_level_problems(design, factors)]
        or [*_find_fraction_problems(design, factors), *_find_exclude_problems(design, factors)]
        or [*find_drawing_problems(design, factors)]
    )


def _find_kind_problems(design: Design) -> Problems:
    for key, kinds in OF_KIND.items():
        if getattr(design, key) and design.kind not in kinds:
            yield Problem(f"design.{key}", f"{key} beside {design.kind}", f"kind = {' or '.join(map(show, kinds))}")
    if design.kind in design.and_also:
        yield Problem("design.and_also", show(design.kind), "other parts than the kind itself")
    if design.kind == "fractional" and bool(design.generators) == bool(design.resolution):
        got = "both" if design.generators else "neither"
        yield Problem("design", got, 'one of generators, such as ["D=ABC"], and resolution, such as 4')


def _find_zip_problems(design: Design, factors: Factors) -> Problems:
    seen: set[str] = set()
    for index, group in enumerate(design.zip):
        place = f"design.zip[{index}]"
        absent = [path for path in group if path not in factors]
        if absent:
            yield Problem(place, show(absent[0]), f"factors: {', '.join(factors)}")
        elif len(group) < 2 or len(set(group)) < len(group) or seen & set(group):
            yield Problem(place, show(list(group)), "at least two factors, each in one group only")
        elif len({len(factors[path]) for path in group}) > 1:
            sizes = ", ".join(f"{len(factors[path])} of {path}" for path in group)
            yield Problem(place, f"numbers of levels that differ: {sizes}", "as many levels of each")
        seen |= set(group)


def _find_strata_problems(design: Design, factors: Factors) -> Problems:
    joint = {path for group in design.zip for path in group}
    for path in design.strata:
        if path not in factors:
            yield Problem("design.strata", show(path), f"factors: {', '.join(factors)}")
        elif path in joint:
            yield Problem("design.strata", f"{show(path)}, which is in zip", "a factor that changes by itself")
    if design.strata and len(factors) == len(design.strata):
        yield Problem("design.strata", "every factor", "at least one factor whose effect is asked within the strata")


def _find_level_problems(design: Design, factors: Factors) -> Problems:
    if design.kind in GRIDS or design.kind in SPACE_FILLING:
        return
    for path, levels in factors.items():
        if len(levels) > 2:
            yield Problem(dotted("factors", path), f"{len(levels)} levels", f"two: off and on, for {design.kind}")


def _find_fraction_problems(design: Design, factors: Factors) -> Problems:
    number = count_free(design, factors)
    if design.kind == "plackett_burman":
        try:
            screening_size(number, design.runs)
        except ValueError as error:
            runs = design.runs or max(CYCLES)
            yield Problem("factors", str(error), f"at most {runs - 1} in {runs} runs")
            return
        rows = screening_rows(number, design.runs)
        if len(set(rows)) < len(rows):
            got = f"{number} factors in {len(rows)} runs, of which some are the same"
            yield Problem("design.runs", got, "other runs, or more factors", "seeds replicate; of few factors take all")
    if design.kind != "fractional":
        return
    place = "design.generators" if design.generators else "design.resolution"
    if number > len(LETTERS):
        yield Problem("factors", f"{number} factors", f"at most {len(LETTERS)} for generators")
        return
    try:
        words = defining_words(fraction_generators(number, design.generators, design.resolution))
    except ValueError as error:
        expected = f"generators of {LETTERS[:number]}, all right-hand letters free"
        yield Problem(place, str(error), expected if design.generators else "a standard fraction of 3 to 11 factors")
        return
    if min(map(len, words)) < 3:
        yield Problem(place, f"resolution {min(map(len, words))}", "at least 3: main effects apart from each other")


def _find_exclude_problems(design: Design, factors: Factors) -> Problems:
    for index, when in enumerate(design.exclude):
        for path, level in when.items():
            place = dotted("design", "exclude", index, path)
            if path not in factors:
                yield Problem(place, "a path that is no factor", f"one of {', '.join(factors)}")
                return
            if level not in factors[path]:
                yield Problem(place, show_plain(level), "a level of the factor")
                return
    axes = make_axes(factors, design.zip)
    if not design.exclude or math.prod(len(axis.levels) for axis in axes) > MOST_CELLS:
        return
    rows = make_rows(design, axes)
    if not len(rows) or rows[0].any():
        yield Problem("design.exclude", "the cell of all baselines", "cells beside it: effects are taken against it")
        return
    for grid, stratum in make_strata(design, axes, rows):
        cells_of = grid.find()
        if cells_of and (0,) * len(grid.free) not in cells_of:
            got = f"the baseline cell of the stratum {show_plain(stratum)}"
            yield Problem("design.exclude", got, "cells beside it, or all: effects of a stratum are taken against it")
            return
    cells = make_levels(design, factors)
    for path, levels in factors.items():
        for level in levels:
            if not match_cells(cells, {path: level}).any():
                yield Problem(
                    "design.exclude", f"every cell with {path} = {show_plain(level)}", "some cell of each level"
                )


def has_averages(design: Design, factors: Factors) -> bool:
    """Return whether there are main effects apart from the simple ones."""
    return design.kind in FRACTIONS or (design.kind == "full_factorial" and count_free(design, factors) > 1)


def default_family(design: Design, factors: Factors) -> tuple[str, ...]:
    """Return the kinds that are confirmatory unless the study says so."""
    if design.kind in FRACTIONS:
        return ("main",)
    if design.kind in SPACE_FILLING:
        return ("slope",)
    return ("main", "two_way") if has_averages(design, factors) else ("simple",)


def find_family_problems(design: Design, factors: Factors) -> Problems:
    """Find kinds of contrasts that the design, which can be made, does not have."""
    number = count_free(design, factors)
    for kind in design.family:
        if design.kind in FRACTIONS:
            known = ("main", "two_way") if design.kind == "fractional" else ("main",)
            if kind not in known:
                yield Problem("design.family", show(kind), " or ".join(map(show, known)), f"for {design.kind}")
        elif design.kind in SPACE_FILLING:
            has = ["slope", *(["simple"] if "all_off" in design.and_also else [])]
            if kind not in has:
                hint = 'simple effects need and_also = ["all_off"]' if kind == "simple" else f"for {design.kind}"
                yield Problem("design.family", show(kind), " or ".join(map(show, has)), hint)
        elif kind == "slope":
            yield Problem("design.family", show(kind), '"simple" or "main"', f"slopes are of {SPACES}")
        elif kind != "simple" and (design.kind != "full_factorial" or number < 2):
            yield Problem("design.family", show(kind), '"simple"', f"{kind} {SEVERAL}")
        elif kind == "three_way" and number < 3:
            yield Problem("design.family", show(kind), '"main" or "two_way"', "three_way needs three factors")
        elif kind == "main" and design.exclude and count_cells(design, factors) <= MOST_CELLS:
            for name in find_missing(kind, design, factors)[:5]:
                got = f"no two cells that differ in {name} alone"
                hint = "exclude less, or leave main out of design.family"
                yield Problem("design.exclude", got, "a pair for each main effect", hint)
    yield from _find_empty_family(design, factors)


def _find_empty_family(design: Design, factors: Factors) -> Problems:
    """Find a family of interactions of which the excluded cells leave none."""
    cells = count_cells(design, factors)
    orders = {"two_way": 2, "three_way": 3}
    fits = design.kind == "full_factorial" and cells <= MOST_CELLS and count_free(design, factors) >= 2
    if not design.exclude or not fits or not design.family or set(design.family) - set(orders):
        return
    if all(len(find_missing(k, design, factors)) == count_contrasts(k, design, factors, cells) for k in design.family):
        sides = " or ".join({"two_way": "four", "three_way": "eight"}[kind] for kind in design.family)
        got = f"no {' or '.join(design.family)} contrast with all its {sides} cells"
        yield Problem("design.exclude", got, "some contrast of design.family", "exclude less, or name another kind")
