"""The section on designs that draw their cells from ranges: a panel per factor, and the cells with the best means."""

from typing import Any

import numpy as np
import pandas as pd

from regjax.analysis.choice import Choice
from regjax.analysis.ranges import Fit, choose_cell, drawn_places, fit_slopes, is_drawn, rank_drawn
from regjax.analysis.table import Table, at_label
from regjax.report.drawing import GRID, PALETTE, SOFT, Drawing, draw, nice_ticks, padded, set_ticks
from regjax.report.extra import Extra
from regjax.report.tables import Column, Grid, Row, state_words
from regjax.report.words import (
    clean,
    count,
    effect_unit,
    format_effect,
    format_effects,
    format_setting,
    format_share,
    format_spread,
    format_value,
    format_values,
    metric_words,
    value_scale,
    value_unit,
)

WIDTH, HEIGHT = 260.0, 190.0
MOST_BEST = 10
TITLES = {"random": "Cells drawn at random", "latin_hypercube": "Cells of a Latin hypercube"}


def make_section(table: Table) -> Extra | None:
    """Return the section on drawn cells, None for other designs and where no run of them has a value."""
    plan = table.plan
    if not is_drawn(plan) or not len(table.records) or not rank_drawn(table)["mean"].notna().any():
        return None
    fit = fit_slopes(table)
    panels = tuple(
        _draw_factor(table, fit, factor, f"range{i}", first=not i) for i, factor in enumerate(plan["factors"])
    )
    sentences = (_fit_sentence(table, fit), *_choice_sentences(table))
    return Extra("ranges", TITLES[plan["design"]["kind"]], sentences, panels, (best_grid(table),))


def _fit_sentence(table: Table, fit: Fit | None) -> str:
    number = len(drawn_places(table.plan))
    if fit is None:
        return "No seed has a value in every drawn cell, so there are no slopes: runs diverged or are missing."
    share = "the means of the cells are equal" if np.isnan(fit.r2) else (
        f"straight lines explain {format_share(round(fit.r2, 3))} of the variance of the {number} cell means"
        f" (adjusted for their number: {format_share(round(fit.adjusted, 3))})"
    )  # fmt: skip
    seeds = f"the {fit.seeds} of {count(len(table.seeds), 'seed')} that have all drawn cells"
    return (
        f"Exploratory: over {seeds}, {share}. The rest is curvature, factors that depend on each other, and luck of the"
        " seeds. Where the share is small, a slope says little about single levels. Slopes, their intervals and"
        " p-values are about these cells."
    )


def _choice_sentences(table: Table) -> list[str]:
    found, metric = choose_cell(table), table.plan["primary"]["metric"]
    caveat = "The cell with the best mean was chosen on the same seeds: its mean is too good."
    if found is None:
        return [f"{caveat} New seeds would tell."]
    return [f"{caveat} {_choice_text(found, metric)}"]


def _choice_text(found: Choice, metric: str) -> str:
    unit = f" {effect_unit(metric)}" if effect_unit(metric) else ""
    return (
        "Chosen by the validation metric on one half of the seeds and judged on the other half, over many halvings, a"
        f" cell lies {format_effect(metric, found.effect)}{unit} {format_effects(metric, found.low, found.high)} (95%"
        f" interval) from the mean of all drawn cells; on the same seeds it would seem"
        f" {format_effect(metric, found.naive)}{unit}."
    )


def best_grid(table: Table) -> Grid:
    """Return the drawn cells with the best means, with their levels."""
    frame, plan = rank_drawn(table), table.plan
    metric, paths = plan["primary"]["metric"], [factor["path"] for factor in plan["factors"]]
    unit = effect_unit(metric)
    columns = (
        *(Column(clean(path), True) for path in paths), Column("Seeds", True), Column("Mean", True),
        Column(f"SD{f' ({unit})' if unit else ''}", True), Column("95% interval", True), Column("Diverged", True),
    )  # fmt: skip
    rows = []
    for row in frame.iloc[:MOST_BEST].to_dict("records"):
        levels = plan["cells"][row["index"]]["levels"]
        numbers = (format_value(metric, row["mean"]), format_spread(metric, row["sd"]))
        ends = format_values(metric, row["low"], row["high"])
        shown = (*(format_setting(levels[path]) for path in paths), str(row["n"]), *numbers, ends)
        rows.append(Row((*shown, str(row["diverged"])), "exploratory"))
    some = f"the best {len(rows)} of {len(frame)}" if len(rows) < len(frame) else f"all {len(frame)}, best first"
    state = state_words(at_label(plan["primary"]["at"]))
    return Grid(f"Cells by mean {metric_words(metric)} {state} ({some}; exploratory)", columns, tuple(rows))


def _places(table: Table, factor: dict[str, Any]) -> tuple[np.ndarray, list[float], list[str], str]:
    """Return where the drawn cells stand on the axis, its ticks and their names, and its label."""
    path = factor["path"]
    levels = [table.plan["cells"][index]["levels"][path] for index in drawn_places(table.plan)]
    span = table.plan["design"]["ranges"].get(path)
    if span is None:
        known = factor["levels"]
        return np.array([float(known.index(level)) for level in levels]), list(map(float, range(len(known)))), [
            format_setting(level) for level in known
        ], path  # fmt: skip
    if not span["log"]:
        return np.array(levels, dtype=float), *nice_ticks(span["low"], span["high"], 4), path
    low, high = np.log10(span["low"]), np.log10(span["high"])
    step = max(1, int(np.ceil((high - low) / 4)))
    powers = [p for p in range(int(np.ceil(low - 1e-9)), int(np.floor(high + 1e-9)) + 1) if p % step == 0]
    if len(powers) < 2:
        ends = [float(low), float(high)]
        return np.log10(np.array(levels, dtype=float)), ends, [f"{span['low']:g}", f"{span['high']:g}"], path
    return np.log10(np.array(levels, dtype=float)), list(map(float, powers)), [f"{10.0**p:g}" for p in powers], path


def _ends(table: Table, factor: dict[str, Any]) -> tuple[float, float]:
    span = table.plan["design"]["ranges"].get(factor["path"])
    if span is None:
        return 0.0, float(len(factor["levels"]) - 1)
    ends = np.array([span["low"], span["high"]], dtype=float)
    low, high = np.log10(ends) if span["log"] else ends
    return float(low), float(high)


def _draw_factor(table: Table, fit: Fit | None, factor: dict[str, Any], name: str, *, first: bool) -> Drawing:
    """Return the panel of a factor: the mean of every drawn cell against its level, and the fitted line."""
    metric, path = table.plan["primary"]["metric"], factor["path"]
    frame = rank_drawn(table).sort_values("index", ignore_index=True)
    x, ticks, names, label = _places(table, factor)
    scale, low_high = value_scale(metric), _ends(table, factor)
    numbers = scale * frame[["mean", "low", "high"]].to_numpy(float)
    lines = _lines(table, fit, factor)
    bottom, top = padded([*numbers.ravel(), *(scale * end for line in lines for end in line[1])])

    def paint(figure: Any) -> None:
        axes = figure.add_axes((0.2, 0.22, 0.77, 0.74))
        room = (0.06 if path in table.plan["design"]["ranges"] else 0.25) * (low_high[1] - low_high[0])
        axes.set(xlim=(low_high[0] - room, low_high[1] + room), ylim=(bottom, top))
        axes.grid(axis="y", color=GRID)
        axes.vlines(x, numbers[:, 1], numbers[:, 2], color=SOFT, linewidth=0.9)
        axes.plot(x, numbers[:, 0], marker="o", linestyle="none", color=PALETTE[0], markersize=4.5)
        for ends, heights in lines:
            axes.plot(ends, [scale * height for height in heights], color=PALETTE[1], linewidth=1.8)
        set_ticks(axes, "x", ticks, [clean(text) for text in names])
        set_ticks(axes, "y", *nice_ticks(bottom, top, 4))
        axes.set_xlabel(clean(label))
        unit = value_unit(metric)
        axes.set_ylabel(f"{metric_words(metric)}{f' ({unit})' if unit else ''}")

    said = "; ".join(
        f"{format_setting(table.plan['cells'][row['index']]['levels'][path])}: {format_value(metric, row['mean'])}"
        for row in frame.to_dict("records")
    )
    caption = f"Means of the drawn cells by {path}."
    if first:
        caption += " Every dot is a cell with its 95% interval; the other factors vary from dot to dot. Line: the"
        caption += " fitted slope, the other factors at their means."
    data = pd.DataFrame(
        {
            "cell": frame["cell"],
            path: [table.plan["cells"][i]["levels"][path] for i in frame["index"]],
            **{column: frame[column] for column in ("mean", "low", "high", "n")},
        }
    )
    return draw(WIDTH, HEIGHT, paint, name, f"Mean {metric_words(metric)} by {path}. {said}", caption, data)


def _lines(table: Table, fit: Fit | None, factor: dict[str, Any]) -> list[tuple[list[float], list[float]]]:
    """Return the fitted lines of a factor: one over a range, one from the first to each other level of a list."""
    slopes = [c for c in table.plan["contrasts"] if c["kind"] == "slope" and c["factor"] == factor["path"]]
    if fit is None:
        return []
    low, high = _ends(table, factor)
    if slopes[0]["scale"] != "levels":
        return [([low, high], list(fit.lines[slopes[0]["name"]]))]
    heights = _list_heights(table, fit, slopes)
    return [([place - 0.15, place + 0.15], [height, height]) for place, height in enumerate(heights)]


def _list_heights(table: Table, fit: Fit, slopes: list[dict[str, Any]]) -> list[float]:
    """Return the fitted value at every level of a list, the other factors at their means."""
    places = drawn_places(table.plan)
    rises = [fit.lines[c["name"]][1] - fit.lines[c["name"]][0] for c in slopes]
    shares = [float(np.mean(np.array(c["codes"], dtype=float)[places])) for c in slopes]
    first = float(fit.means.mean()) - float(np.dot(shares, rises))
    return [first, *(first + rise for rise in rises)]
