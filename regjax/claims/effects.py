"""From the results of studies to the evidence of a test: which cells are compared, and how."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from regjax.analysis.inference import ALPHA
from regjax.analysis.levels import LevelTest
from regjax.analysis.table import state_values
from regjax.claims.declare import BEST, Case, Test
from regjax.claims.verdict import ROUNDING, Evidence
from regjax.config import ConfigError, Problem
from regjax.config.problems import quote, show, unknown
from regjax.metrics import larger_is_better
from regjax.results import Results

Levels = Mapping[str, Any]
# Decimals of the numbers that a level is chosen by.
TIE_DIGITS = 9
# Of a results object: a measure's numbers, [cell, seed].
Take = Callable[[Results, str, Mapping[str, Any], Any], np.ndarray]


def find_cell(plan: Mapping[str, Any], levels: Levels, place: str) -> int:
    """Return the index of the cell with these levels, all other factors at their first; `place` is named in errors.

    Raises:
      ConfigError: a factor or a level is unknown, or the design has no such cell.
    """
    factors = {factor["path"]: factor["levels"] for factor in plan["factors"]}
    for path, level in levels.items():
        if path not in factors:
            raise ConfigError([unknown(place, f"factor {show(path)}", path, list(factors), "the study has")])
        if level not in factors[path]:
            raise ConfigError([Problem(f"{place}.{quote(path)}", show(level), f"one of {show(factors[path])}")])
    wanted = {path: levels.get(path, known[0]) for path, known in factors.items()}
    for cell in plan["cells"]:
        if cell["levels"] == wanted:
            return int(cell["index"])
    raise ConfigError([Problem(place, f"levels {show(dict(levels))}", "those of a cell of the study's design")])


def side_values(results: Results, test: Test, sides: Sequence[Levels], values: np.ndarray) -> np.ndarray:
    """Return the numbers of one side of a test, [seed]; of several cells one is chosen on the other half of the seeds.

    Seeds are halved by turns. Each half is given the cell whose mean of `choose_on` is best on the other one.

    Args:
      results: of the study.
      test: says what is chosen by, and at which state.
      sides: levels of each side that may be chosen; one level may be "best", for those after the factor's first.
      values: of the measure, [cell, seed].
    """
    cells = side_cells(results, test, sides)
    if len(cells) == 1:
        return values[cells[0]]
    made = np.full(values.shape[1], math.nan)
    for half, cell in enumerate(choose_cells(results, test, cells)):
        made[half::2] = values[cell, half::2]
    return made


def side_cells(results: Results, test: Test, sides: Sequence[Levels]) -> list[int]:
    """Return the cells of one side of a test that may be chosen, one where nothing is chosen."""
    return [cell for levels in sides for cell in candidate_cells(results.plan, levels, f"tests.{test.name}")]


def choose_cells(results: Results, test: Test, cells: Sequence[int]) -> list[int]:
    """Return which of the cells each half of the seeds is given: the 1st, 3rd, ... seed, and the 2nd, 4th, ... one.

    Each half is given the cell whose mean of `choose_on` is best on the other half, of a tie the first in the order of
    the study's levels. Of a single seed there is none.
    """
    sign = 1 if larger_is_better(test.choose_on) else -1
    scores = sign * state_values(results.table, test.choose_on, parse_state(test.at))[list(cells)]
    # A cell that lost a run is not chosen.
    scores = np.where(np.isfinite(scores), scores, -np.inf)
    halves = range(2) if scores.shape[1] > 1 else ()
    # Equal but for rounding is a tie.
    means = [scores[:, 1 - half :: 2].mean(axis=1).round(TIE_DIGITS) for half in halves]
    return [cells[int(mean.argmax())] for mean in means]


def candidate_cells(plan: Mapping[str, Any], levels: Levels, place: str) -> list[int]:
    """Return the cells that levels stand for: one, or with a "best" level one for each level after the first.

    Errors name `place`.

    Raises:
      ConfigError: a factor or a level is unknown, several levels are "best", or the design has no such cell.
    """
    open_ = [path for path, level in levels.items() if level == BEST]
    if not open_:
        return [find_cell(plan, levels, place)]
    if len(open_) > 1:
        raise ConfigError([Problem(place, " and ".join(open_), "at most one best level")])
    known = {factor["path"]: factor["levels"] for factor in plan["factors"]}
    if open_[0] not in known:
        raise ConfigError([unknown(place, f"factor {show(open_[0])}", open_[0], list(known), "the study has")])
    return [find_cell(plan, {**levels, open_[0]: level}, place) for level in known[open_[0]][1:]]


def combine_levels(plan: Mapping[str, Any], paths: Sequence[str]) -> list[dict[str, Any]]:
    """Return every combination of the levels of some factors; one without any level for no factor.

    >>> combine_levels({"factors": [{"path": "a", "levels": [1, 2]}, {"path": "b", "levels": [0]}]}, ["a", "b"])
    [{'a': 1, 'b': 0}, {'a': 2, 'b': 0}]
    """
    known = {factor["path"]: factor["levels"] for factor in plan["factors"]}
    return [dict(zip(paths, levels, strict=True)) for levels in product(*(known[path] for path in paths))]


def parse_state(at: str) -> dict[str, Any]:
    """Return the state that a claim names, as `state_values` takes it.

    >>> parse_state("best"), parse_state("200")
    ({'kind': 'best'}, {'kind': 'step', 'step': 200})
    """
    return {"kind": "step", "step": int(at)} if at.isdigit() else {"kind": at}


def test_values(results: Results, test: Test, case: Case, take: Take) -> np.ndarray:
    """Return the effect of a test in a case for each seed, [seed]; NaN where a run of it has no number.

    With d(a, x) the difference of - against at levels a of the averaged factors and x of the trend's factor,

        effect = sum_x (u_x - mean u) mean_a d(a, x) / sum_x (u_x - mean u)^2,   u_x = log2 x,

    and the mean of d alone without a trend. All combinations of the averaged levels count alike; a "best" level is
    chosen anew for each of them.
    """
    options = {**test.options, **case.options}
    values = take(results, test.measure, options, parse_state(test.at))
    if test.scale == "log":
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(values > 0, np.log(values), math.nan)
    averaged = combine_levels(results.plan, test.averaged)

    def mean_difference(where: Levels) -> np.ndarray:
        found = [_difference(results, test, case, values, {**where, **levels}) for levels in averaged]
        return np.mean(found, axis=0)

    if not test.trend:
        return mean_difference({})
    levels = combine_levels(results.plan, [test.trend])
    effects = np.stack([mean_difference(where) for where in levels])
    x = np.log2(np.array([where[test.trend] for where in levels], dtype=float))
    x -= x.mean()
    return x @ effects / (x @ x)


def _difference(results: Results, test: Test, case: Case, values: np.ndarray, where: Levels) -> np.ndarray:
    sides, others = find_sides(test, case, where)
    of = side_values(results, test, sides, values)
    if test.than is not None:
        return of - (math.log(test.than) if test.scale == "log" else test.than)
    return of - side_values(results, test, others, values)


def find_sides(test: Test, case: Case, where: Levels) -> tuple[list[Levels], list[Levels]]:
    """Return the levels that may be chosen of `of` and of `against`, in a case and at levels that both have."""
    both = {**case.where, **where}
    of: list[Levels] = [{**both, **test.of, **case.of, **one} for one in test.of_any or [{}]]
    return of, [{**both, **test.against, **case.against, **one} for one in test.against_any or [{}]]


def find_evidence(test: Test, effects: np.ndarray) -> Evidence:
    """Return the evidence of effects of seeds; seeds without one are left out, the effect is their mean."""
    assert test.expect is not None
    kept = effects[np.isfinite(effects)]
    n = len(kept)
    se = float(kept.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    mean = float(kept.mean()) if n else math.nan
    return Evidence(mean, se, n, test.expect, test.bound, skew=find_skew(kept))


def find_skew(effects: np.ndarray) -> float:
    """Return the skewness of effects, m_3 / m_2^(3/2) of the moments about their mean; NaN where they do not differ.

    >>> find_skew(np.array([0.0, 0.0, 0.0, 4.0])), find_skew(np.array([1.0, 1.0]))
    (1.1547005383792517, nan)
    """
    away = effects - effects.mean() if len(effects) else effects
    spread = float(np.sqrt((away**2).mean())) if len(effects) else 0.0
    return float((away**3).mean()) / spread**3 if spread > ROUNDING else math.nan


def contrast_evidence(test: Test, found: LevelTest) -> Evidence:
    """Return the evidence of a test of the best level that a study declares.

    Its interval may be wider than that of its standard error (a trend joins two intervals): the error is then the one
    whose t interval at the same level holds it, so that a verdict here never says more than the study's own.
    """
    from scipy.stats import t

    assert test.expect is not None
    n, effect, se = found.found.n, found.effect, found.found.se
    if n > 1 and math.isfinite(found.low) and math.isfinite(found.high):
        half = max(found.high - effect, effect - found.low)
        se = max(se, half / float(t.ppf(1 - ALPHA / found.num_tests / 2, n - 1)))
    else:
        se = math.nan
    return Evidence(effect, se, n, test.expect, test.bound)
