"""The declared contrasts of the best level of a factor: one family, each test at 0.05 over their number."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.choice import Choice, choose_level
from regjax.analysis.inference import ALPHA, judge
from regjax.analysis.table import Table, at_label, curves, state_values
from regjax.analysis.trend import Places, Trend, find_trend, place_levels, t_interval
from regjax.design import level_cells, name_level
from regjax.metrics import larger_is_better

KINDS = ("best_level", "trend")
# What `judge` says of an effect, said of a slope.
SLOPES = {"raises": "rises", "lowers": "falls"}


def as_number(level: Any) -> float | None:
    """Return a level of a plan as a number, None where it is none.

    >>> as_number("off"), as_number(1), as_number(True), as_number("batch")
    (inf, 1.0, None, None)
    """
    if level == "off":
        return float("inf")
    return float(level) if isinstance(level, (int, float)) and not isinstance(level, bool) else None


def level_values(means: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the mean of every level, [level, seed]; NaN where a cell of it has no value."""
    missing = np.isnan(values)
    return np.where((means > 0).astype(float) @ missing > 0, np.nan, means @ np.where(missing, 0.0, values))


class LevelTest(NamedTuple):
    """A test of the best level of a factor: what it is of, and what was found.

    Attributes:
      name: of the contrast, with the stratum where there are several.
      asked: its dict of the plan: kind, factor, by, choose_on.
      levels: of the factor.
      strata: levels of `by`, [None] without one.
      found: `Trend` over the strata, or `Choice` in the one stratum.
      level_places, stratum_places: of a trend, where they stand; None of an effect.
      low, high, p: at the level of the family, p adjusted.
      num_tests: in the family.
      diverged: runs in the cells that it looks at.
    """

    name: str
    asked: Mapping[str, Any]
    levels: list[Any]
    strata: list[Any]
    found: Trend | Choice
    level_places: Places | None
    stratum_places: Places | None
    low: float
    high: float
    p: float
    num_tests: int
    diverged: int

    @property
    def effect(self) -> float:
        """The slope of a trend, the effect of the best level."""
        return self.found.slope if isinstance(self.found, Trend) else self.found.effect


class _Scores(NamedTuple):
    """What a test is made of: scores [stratum, level, seed], larger better; the primary metric; who is in."""

    scores: np.ndarray
    primary: np.ndarray
    done: np.ndarray
    cells: np.ndarray


def level_tests(table: Table) -> list[LevelTest]:
    """Return the declared tests of the best level, in the order of the plan; none in most studies."""
    asked = table.plan.get("level_contrasts") or []
    num_tests = sum(len(one["tests"]) for one in asked)
    made = []
    for one in asked:
        factors = {factor["path"]: factor["levels"] for factor in table.plan["factors"]}
        strata = factors[one["by"]] if one["by"] else [None]
        if one["kind"] == "trend":
            made.append(_trend_test(table, one, factors, num_tests))
        else:
            made += [
                _effect_test(table, one, factors, (name, stratum), num_tests)
                for name, stratum in zip(one["tests"], strata, strict=True)
            ]
    return made


def _trend_test(table: Table, asked: Mapping[str, Any], factors: Mapping[str, list], num_tests: int) -> LevelTest:
    levels, strata = factors[asked["factor"]], factors[asked["by"]]
    found = _read(table, asked, factors, strata)
    kept = found.done
    scores = np.where(np.isfinite(found.scores), found.scores, -np.inf)[:, :, kept]
    places, over = (place_levels([as_number(level) or 0.0 for level in part]) for part in (levels, strata))
    trend = find_trend(scores, places.x, over.x, ALPHA / num_tests)
    p = float(np.minimum(1.0, num_tests * trend.p))
    runs = _count_diverged(table, found.cells)
    return LevelTest(
        asked["name"], asked, levels, strata, trend, places, over, trend.low, trend.high, p, num_tests, runs
    )


def _effect_test(
    table: Table, asked: Mapping[str, Any], factors: Mapping[str, list], named: tuple[str, Any], num_tests: int
) -> LevelTest:
    name, stratum = named
    levels = factors[asked["factor"]]
    found = _read(table, asked, factors, [stratum])
    scores, primary = found.scores[0], found.primary[0]
    kept = found.done & np.isfinite(scores[0]) & np.isfinite(primary[0])
    lost = ~(np.isfinite(scores) & np.isfinite(primary))
    sign = 1 if larger_is_better(table.plan["primary"]["metric"]) else -1
    choice = choose_level(np.where(lost, -np.inf, scores)[:, kept], primary[:, kept], sign)
    low, high, p = t_interval(choice.effect, choice.se, choice.n, ALPHA / num_tests)
    runs = _count_diverged(table, found.cells)
    # NaN stays NaN: Python's own min would make it 1.
    adjusted = float(np.minimum(1.0, num_tests * p))
    return LevelTest(name, asked, levels, [stratum], choice, None, None, low, high, adjusted, num_tests, runs)


def _read(table: Table, asked: Mapping[str, Any], factors: Mapping[str, list], strata: list[Any]) -> _Scores:
    at, metric = table.plan["primary"]["at"], asked["choose_on"]
    curves(table, metric)
    sign = 1 if larger_is_better(metric) else -1
    cells = [cell["levels"] for cell in table.plan["cells"]]
    where = [{asked["by"]: stratum} if asked["by"] else {} for stratum in strata]
    masks = np.array([level_cells(cells, factors, asked["factor"], when) for when in where])
    means = masks / masks.sum(axis=2, keepdims=True)
    chosen, primary = (state_values(table, name, at) for name in (metric, table.plan["primary"]["metric"]))
    scores, shown = (np.array([level_values(part, values) for part in means]) for values in (sign * chosen, primary))
    used = np.asarray(masks.any(axis=(0, 1)))
    done = np.asarray(table.status.done[used].all(axis=0))
    return _Scores(scores, shown, done, used)


def _count_diverged(table: Table, cells: np.ndarray) -> int:
    return int((table.status.diverged[cells] >= 0).sum())


def level_effects(table: Table) -> pd.DataFrame:
    """Return the declared tests of the best level as rows of `make_effects`, no row in most studies.

    `metric` of a trend is "slope of <factor> on <stratum>"; a slope has no SD over seeds, and neither kind has a count
    of seeds by sign, an interval about new examples or a worst case.
    """
    primary = table.plan["primary"]
    rows = []
    for test in level_tests(table):
        trend = test.asked["kind"] == "trend"
        margin = None if trend else primary.get("margin")
        verdict, larger = judge(test.low, test.high, margin), larger_is_better(primary["metric"])
        better = None if trend or larger is None or not test.effect else bool((test.effect > 0) == larger)
        rows.append(
            {
                "contrast": test.name,
                "kind": test.asked["kind"],
                "metric": slope_text(test) if trend else primary["metric"],
                "at": at_label(primary["at"]),
                "confirmatory": True,
                "n": test.found.n,
                "effect": test.effect,
                "low": test.low,
                "high": test.high,
                "p": test.p,
                "sd": math.nan,
                "seeds_positive": 0,
                "seeds_negative": 0,
                "diverged": test.diverged,
                "verdict": SLOPES.get(verdict, verdict) if trend else verdict,
                "low_new": math.nan,
                "high_new": math.nan,
                "scope": "",
                "worst_case": "",
                "better": None if math.isnan(test.effect) else better,
            }
        )
    return pd.DataFrame(rows)


def slope_text(test: LevelTest) -> str:
    """Return what a trend is the slope of, such as "slope of log10(l2.strength) on log10(data.train_size)"."""
    assert test.level_places is not None
    assert test.stratum_places is not None
    axes = ((test.asked["factor"], test.level_places), (test.asked["by"], test.stratum_places))
    of, on = (f"log10({path})" if places.log else path for path, places in axes)
    return f"slope of {of} on {on}"


def place_text(test: LevelTest, place: float) -> str:
    """Return a place on the axis of the factor as a level, "off" beyond the doses of a logarithmic axis."""
    places = test.level_places
    assert places is not None
    finite = [x for level, x in zip(test.levels, places.x, strict=True) if is_dose(level, places.log)]
    beside = [(x, level) for level, x in zip(test.levels, places.x, strict=True) if not is_dose(level, places.log)]
    for x, level in beside:
        inner = min(finite, key=lambda known: abs(known - x))
        if abs(place - x) < abs(place - inner) and not min(finite) <= place <= max(finite):
            return name_level(level)
    place = min(max(place, min(finite)), max(finite))
    return f"{10**place if places.log else place:.3g}"


def is_dose(level: Any, log: bool) -> bool:
    """Return whether a level is a number with a place of its own on an axis."""
    number = as_number(level)
    return number is not None and math.isfinite(number) and (number > 0 or not log)
