"""Sections of the report on levels: dose-response with the best level, and Shapley values."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from regjax.analysis.dose import best_level, dose_factors, dose_response, is_averaged, omitted_strata
from regjax.analysis.effects import good_sign
from regjax.analysis.levels import as_number
from regjax.analysis.shapley import find_lattice, shapley_values
from regjax.analysis.table import Table
from regjax.report.drawing import BAND, INK, SOFT, Drawing, cell_look, draw, nice_ticks, padded, set_ticks, slug
from regjax.report.extra import Extra
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import (
    clean,
    effect_unit,
    format_effect,
    format_effects,
    format_setting,
    format_share,
    metric_words,
    value_scale,
)

WIDTH, HEIGHT = 360.0, 230.0
# More strata than colours cannot be told apart in one figure.
MOST_STRATA = 8
MOST_TICKS = 8


def make_dose(table: Table) -> Extra | None:
    """Return the section on factors with three or more numeric levels, None where there is none."""
    plan, paths = table.plan, dose_factors(table.plan)
    if not paths or not len(table.records):
        return None
    others = "averaged over" if is_averaged(plan) else "at the first level of"
    strata = plan["study"].get("design", {}).get("strata") or []
    alone = len(plan["factors"]) - len(strata) == 1
    where = "" if alone else f", {others} the other factors"
    sentences = [
        f"Exploratory: each level against the first{where}{', in each stratum' if strata else ''}; within a factor"
        f"{' and stratum' if strata else ''} the 95% intervals hold for all levels at once."
    ]
    for path in paths:
        if omitted := omitted_strata(plan, path):
            sentences.append(f"{clean(path)} is not shown at {clean('; '.join(omitted))}, where a level has no cell.")
    frames = {path: dose_response(table, path) for path in paths}
    drawings = tuple(draw_dose(frames[path], path, plan, f"dose{i}-{slug(path)}") for i, path in enumerate(paths))
    grids: tuple[Grid, ...] = ()
    if _can_choose(table):
        sentences.append(
            "The best level is chosen by the validation metric on one half of the seeds and judged on the other half,"
            " over many halvings. The optimistic number picks and judges on the same seeds: do not quote it."
        )
        grids = (best_grid(table, paths),)
    return Extra("dose", "Dose and response", tuple(sentences), drawings, grids)


def _can_choose(table: Table) -> bool:
    metric = table.plan["primary"]["metric"]
    chosen_on = f"validation.{metric.rpartition('.')[2]}"
    return chosen_on in table.records.columns and bool(good_sign(chosen_on) and good_sign(metric))


def best_grid(table: Table, paths: Sequence[str]) -> Grid:
    """Return the table of best levels, a row per factor and stratum."""
    metric = table.plan["primary"]["metric"]
    unit = f" ({effect_unit(metric)})" if effect_unit(metric) else ""
    columns = (
        Column("Factor"), Column("Stratum"), Column("Chosen"), Column(f"Effect{unit}", True),
        Column("95% interval", True), Column("Seeds", True), Column("How often each level is chosen"),
        Column("Optimistic", True),
    )  # fmt: skip
    rows = []
    for path in paths:
        for row in best_level(table, path).to_dict("records"):
            shares = ", ".join(f"{name}: {format_share(share)}" for name, share in row["shares"].items() if share > 0)
            optimistic = f"{format_effect(metric, row['naive'])} at {format_setting(row['naive_level'])}"
            head = (clean(path), clean(row["stratum"]), format_setting(row["chosen"]))
            ends = (format_effect(metric, row["effect"]), format_effects(metric, row["low"], row["high"]))
            rows.append(Row((*head, *ends, str(row["n"]), clean(shares), optimistic), "exploratory"))
    return Grid("The best level, chosen on other seeds", columns, tuple(rows))


def level_places(levels: Sequence[Any]) -> tuple[list[float], bool]:
    """Return where the levels stand on the axis and whether it is logarithmic.

    An off level (0 or off) stands apart at the left edge of a logarithmic axis; levels that do not span a factor of 5
    have a linear one.

    >>> level_places([0, 0.01, 0.1])
    ([-2.7, -2.0, -1.0], True)
    >>> level_places([0, 0.25, 0.5])
    ([0.0, 0.25, 0.5], False)
    """
    numbers = [as_number(level) for level in levels]
    doses = [x for x in numbers if x is not None and 0 < x < math.inf]
    if any(x is None or x < 0 for x in numbers) or not doses:
        return [float(i) for i in range(len(levels))], False
    if max(doses) < 5 * min(doses) and math.inf not in numbers:
        return [float(x) for x in numbers if x is not None], False
    left = math.log10(min(doses)) - max(0.3, 0.7 * (math.log10(max(doses) / min(doses))) / max(len(doses) - 1, 1))
    return [math.log10(x) if x in doses and x else left for x in numbers if x is not None], True


def tick_names(levels: Sequence[Any]) -> list[str]:
    """Return the levels as short as an axis needs them; of many every second, counted from the last.

    >>> tick_names([0.0, 0.000562341, 0.0177828, 1000.0])
    ['0', '5.6e-4', '0.018', '1000']
    """
    names = []
    for level in levels:
        full, number = format_setting(level), as_number(level)
        short = full if number is None or len(full) <= 5 else f"{number:.2g}"
        if len(short) > 5 and number:
            mantissa, _, power = f"{number:.1e}".partition("e")
            short = f"{mantissa.removesuffix('.0')}e{int(power)}"
        names.append(short)
    if len(names) <= MOST_TICKS:
        return names
    return [name if (len(names) - 1 - i) % 2 == 0 else "" for i, name in enumerate(names)]


def draw_dose(frame: pd.DataFrame, path: str, plan: dict[str, Any], name: str) -> Drawing:
    """Return the figure of a factor: effect and interval of each level against the first, one line per stratum."""
    metric, margin = plan["primary"]["metric"], plan["primary"].get("margin")
    levels = next(factor["levels"] for factor in plan["factors"] if factor["path"] == path)
    places, logarithmic = level_places(levels)
    scale, strata = value_scale(metric), list(dict.fromkeys(frame["stratum"]))
    numbers = scale * frame[["effect", "low", "high"]].to_numpy(float)
    edge = [] if margin is None else [-scale * margin, scale * margin]
    low, high = padded([*numbers.ravel(), 0.0, *edge])

    def paint(figure: Any) -> None:
        axes = figure.add_axes((0.15, 0.2, 0.82, 0.76))
        room = 0.08 * (max(places) - min(places))
        axes.set(xlim=(min(places) - room, max(places) + room), ylim=(low, high))
        if edge:
            axes.axhspan(*edge, color=BAND, linewidth=0)
        axes.axhline(0, color=SOFT, linewidth=1)
        if logarithmic:
            axes.axvline((places[0] + min(p for p in places if p != places[0])) / 2, color=SOFT, linestyle=":")
        axes.plot([places[0]], [0], marker="s", color=INK, markersize=5)
        for i, stratum in enumerate(strata[:MOST_STRATA]):
            _paint_stratum(axes, places[1:], numbers[(frame["stratum"] == stratum).to_numpy()], i, room)
        set_ticks(axes, "x", places, tick_names(levels))
        set_ticks(axes, "y", *nice_ticks(low, high))
        unit = effect_unit(metric)
        axes.set_xlabel(path)
        axes.set_ylabel(f"effect{f' ({unit})' if unit else ''}")

    words = [
        f"{row['stratum']}, {format_setting(row['level'])}: {format_effect(metric, row['effect'])}"
        f" {format_effects(metric, row['low'], row['high'])}"
        for row in frame.to_dict("records")
    ]
    alt = f"Effect of {path} on {metric_words(metric)} by level. {'; '.join(words)}"
    caption, data = _caption(path, metric, levels, strata, logarithmic, margin), frame.copy()
    data.insert(0, "factor", path)
    data.insert(1, "metric", metric)
    return draw(WIDTH, HEIGHT, paint, name, alt, caption, data=data)


def _paint_stratum(axes: Any, places: list[float], numbers: np.ndarray, index: int, room: float) -> None:
    look = cell_look(index)
    x = np.array(places) + 0.12 * room * index
    axes.plot(x, numbers[:, 0], color=look.color, marker=look.marker, dashes=look.dashes or (1, 0), markersize=5)
    bottom, top = axes.get_ylim()
    axes.vlines(x, np.clip(numbers[:, 1], bottom, top), np.clip(numbers[:, 2], bottom, top), color=look.color)


def _caption(
    path: str, metric: str, levels: Sequence[Any], strata: list[str], logarithmic: bool, margin: float | None
) -> str:
    parts = [f"Effect of each level of {path} against {format_setting(levels[0])} on {metric_words(metric)}."]
    parts.append("Bars: simultaneous 95% intervals.")
    if len(strata) > 1:
        marks = {"o": "circle", "s": "square", "^": "triangle", "D": "diamond", "v": "triangle down", "P": "plus",
                 "X": "cross", "*": "star"}  # fmt: skip
        shown = [f"{marks[cell_look(i).marker]}: {stratum}" for i, stratum in enumerate(strata[:MOST_STRATA])]
        parts.append(f"{'; '.join(shown)}.")
    if len(strata) > MOST_STRATA:
        parts.append(f"{len(strata) - MOST_STRATA} more strata are not drawn.")
    if logarithmic:
        parts.append("The axis is logarithmic; the level left of the dotted line is off and set apart.")
    if margin is not None:
        parts.append("The band spans effects too small to matter.")
    return " ".join(parts)


def make_shapley(table: Table) -> Extra | None:
    """Return the section on Shapley values, None where the design is no 2^k factorial."""
    if find_lattice(table.plan) is None or not len(table.records):
        return None
    metric = table.plan["primary"]["metric"]
    unit = f" ({effect_unit(metric)})" if effect_unit(metric) else ""
    columns = (
        Column("Factor"), Column(f"Shapley value{unit}", True), Column("95% interval", True), Column("Seeds", True),
    )  # fmt: skip
    rows = [
        Row(
            (clean(row["factor"]), format_effect(metric, row["effect"]),
             format_effects(metric, row["low"], row["high"]), str(row["n"])), "exploratory",
        )
        for row in shapley_values(table).to_dict("records")
    ]  # fmt: skip
    sentence = (
        "Exploratory: the mean effect of switching a factor on, over all orders in which the factors can be switched"
        " on. The values add up to all on less all off; each interval (t over seeds) stands alone."
    )
    return Extra("shapley", "Shapley values", (sentence,), (), (Grid("Shapley values", columns, tuple(rows)),))
