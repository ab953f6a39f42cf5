"""Section of the report on declared contrasts of the best level: its effect, or how it moves over strata."""

from typing import Any

import numpy as np
import pandas as pd

from regjax.analysis.choice import Choice
from regjax.analysis.effects import judge
from regjax.analysis.levels import SLOPES, LevelTest, is_dose, level_tests, place_text, slope_text
from regjax.analysis.table import Table
from regjax.analysis.trend import Trend, fit_slope
from regjax.design import name_level
from regjax.report.dose import tick_names
from regjax.report.drawing import INK, PALETTE, SOFT, Drawing, draw, set_ticks
from regjax.report.extra import Extra
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import (
    clean,
    effect_unit,
    format_effect,
    format_effects,
    format_p,
    format_share,
    metric_words,
)

WIDTH, HEIGHT = 360.0, 250.0
TITLE = "Best levels, as declared"


def make_section(table: Table) -> Extra | None:
    """Return the section on declared contrasts of the best level, None where a study has none."""
    if not table.plan.get("level_contrasts") or not len(table.records):
        return None
    tests = level_tests(table)
    trends = [test for test in tests if isinstance(test.found, Trend)]
    effects = [test for test in tests if isinstance(test.found, Choice)]
    sentences = []
    if trends:
        sentences.append(
            "The best level of a stratum is the one with the best mean over all seeds, smoothed by a parabola through "
            "it and its neighbours. Slope and places are taken again on resamples of whole seeds; the interval is the "
            "shortest that holds both that by their standard error and that by their percentiles."
        )
    if effects:
        sentences.append("The best level is chosen on one half of the seeds and judged on the other.")
    if len(tests) > 1:
        sentences.append(f"Intervals and p-values are adjusted for the {len(tests)} tests (Bonferroni).")
    drawings = [draw_trend(test, f"trend{i}") for i, test in enumerate(trends) if np.isfinite(test.effect)]
    grids = [*(trend_grid(test) for test in trends), *([effects_grid(table, effects)] if effects else [])]
    return Extra("levels", TITLE, tuple(sentences), tuple(drawings), tuple(grids))


def trend_grid(test: LevelTest) -> Grid:
    """Return the table of a trend: the slope, then the best place in every stratum with its 95% interval."""
    assert isinstance(test.found, Trend)
    found, by = test.found, test.asked["by"]
    columns = (
        Column("What"), Column("Estimate", True), Column("95% interval", True), Column("Adjusted p", True),
        Column("Seeds", True), Column("Verdict, or how often a level is the best of a resample"),
    )  # fmt: skip
    verdict = judge(test.low, test.high, None)
    slope = (
        clean(slope_text(test)), format_effect("", test.effect), format_effects("", test.low, test.high),
        format_p(test.p), str(found.n), SLOPES.get(verdict, verdict),
    )  # fmt: skip
    rows = [Row(slope, "confirmatory")]
    for i, stratum in enumerate(test.strata if np.isfinite(test.effect) else []):
        ends = f"[{place_text(test, found.best_low[i])}, {place_text(test, found.best_high[i])}]"
        head = (clean(f"{by}={name_level(stratum)}"), place_text(test, found.best[i]), ends, format_p(np.nan))
        rows.append(Row((*head, str(found.n), clean(_shares(test, found.shares[i]))), "exploratory"))
    return Grid(clean(test.name), columns, tuple(rows))


def effects_grid(table: Table, tests: list[LevelTest]) -> Grid:
    """Return the table of the effects of best levels, a row per test."""
    metric = table.plan["primary"]["metric"]
    unit = f" ({effect_unit(metric)})" if effect_unit(metric) else ""
    columns = (
        Column("Contrast"), Column(f"Effect{unit}", True), Column("95% interval", True), Column("Adjusted p", True),
        Column("Seeds", True), Column("How often each level is chosen"),
    )  # fmt: skip
    rows = [
        Row(
            (clean(test.name), format_effect(metric, test.effect), format_effects(metric, test.low, test.high),
             format_p(test.p), str(test.found.n), clean(_shares(test, test.found.shares))), "confirmatory",
        )
        for test in tests
    ]  # fmt: skip
    return Grid(f"Effect of the best level on {metric_words(metric)}", columns, tuple(rows))


def _shares(test: LevelTest, shares: np.ndarray) -> str:
    order = np.argsort(-shares, kind="stable")
    return ", ".join(f"{name_level(test.levels[i])}: {format_share(shares[i])}" for i in order if shares[i] > 0)


def draw_trend(test: LevelTest, name: str) -> Drawing:
    """Return the figure of a trend: best place and interval per stratum, the line, and how often a level is best."""
    assert isinstance(test.found, Trend)
    assert test.level_places is not None
    assert test.stratum_places is not None
    found, x, y = test.found, test.stratum_places.x, test.level_places.x
    log = test.level_places.log
    room_x, room_y = 0.18 * np.ptp(x), 0.08 * np.ptp(y)

    def paint(figure: Any) -> None:
        axes = figure.add_axes((0.17, 0.18, 0.8, 0.78))
        axes.set(xlim=(x.min() - room_x, x.max() + room_x), ylim=(y.min() - room_y, y.max() + room_y))
        for place, shares in zip(x, found.shares, strict=True):
            axes.scatter(np.full(len(y), place), y, s=420 * shares, color=SOFT, alpha=0.3, linewidth=0)
        ends = np.array([x.min(), x.max()])
        middle = found.best.mean() - fit_slope(found.best, x) * x.mean()
        axes.plot(ends, middle + found.slope * ends, color=PALETTE[0], dashes=(5, 2))
        axes.vlines(x, found.best_low, found.best_high, color=INK, linewidth=1.8)
        axes.plot(x, found.best, color=INK, marker="o", markersize=5, linestyle="none")
        set_ticks(axes, "x", x.tolist(), [name_level(stratum) for stratum in test.strata])
        # An off level has its name even where those of other levels have no room.
        names = zip(test.levels, tick_names(test.levels), strict=True)
        labels = [short if is_dose(level, log) else name_level(level) for level, short in names]
        set_ticks(axes, "y", y.tolist(), labels)
        axes.set_xlabel(test.asked["by"])
        axes.set_ylabel(test.asked["factor"])

    places = [
        f"{name_level(stratum)}: {place_text(test, best)} [{place_text(test, low)}, {place_text(test, high)}]"
        for stratum, best, low, high in zip(test.strata, found.best, found.best_low, found.best_high, strict=True)
    ]
    alt = f"Best {test.asked['factor']} by {test.asked['by']}. {'; '.join(places)}; slope {found.slope:.3g}"
    return draw(WIDTH, HEIGHT, paint, name, alt, _caption(test), _numbers(test))


def _caption(test: LevelTest) -> str:
    assert test.level_places is not None
    off = [name_level(level) for level in test.levels if not is_dose(level, test.level_places.log)]
    apart = f" The level {off[0]} has no place on this axis and stands one step beside the others." if off else ""
    return (
        f"Best {test.asked['factor']} in each stratum of {test.asked['by']}: points with 95% intervals (each alone) "
        f"and the line whose slope is tested, {slope_text(test)}. Grey discs: how often a level is the best of a "
        f"resample of the seeds.{apart}"
    )


def _numbers(test: LevelTest) -> pd.DataFrame:
    """Return what is drawn: per stratum and level how often it is best, beside the stratum's best place."""
    assert isinstance(test.found, Trend)
    assert test.level_places is not None
    found, log = test.found, test.level_places.log
    back = [10.0**x if log else x for x in (found.best, found.best_low, found.best_high)]
    rows = [
        {
            test.asked["by"]: stratum,
            test.asked["factor"]: level,
            "share of resamples": found.shares[i, j],
            **{key: ends[i] for key, ends in zip(("best", "low", "high"), back, strict=True)},
        }
        for i, stratum in enumerate(test.strata)
        for j, level in enumerate(test.levels)
    ]
    return pd.DataFrame(rows)
