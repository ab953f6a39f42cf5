"""The section on the generalization gap: over the course of training, at the primary state, and effects on it."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regjax.analysis.effects import describe_cells
from regjax.analysis.gap import gap_name, paired_effects, with_gap
from regjax.analysis.table import Table, at_label, state_values
from regjax.report.curves import MOST_POINTS, MOST_TOGETHER, SETTLED, Curve, summarize_curve
from regjax.report.drawing import SOFT, Drawing, Look, cell_look, padded
from regjax.report.extra import Extra
from regjax.report.gallery import epoch_axis, has_course, held_curves, short_names, shown_cells, shown_note
from regjax.report.panels import Frame, Panel, draw_panels
from regjax.report.rows import capital, draw_means, effects_grid, range_text
from regjax.report.tables import Grid, state_words
from regjax.report.words import effect_unit, format_value, metric_words, value_scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 12


def make_section(table: Table) -> Extra | None:
    """Return the section; None where there are no records on training examples or of no finished run."""
    metric = gap_name(table) if table.out is not None and len(table.records) else None
    if metric is None:
        return None
    table = with_gap(table, metric)
    at = table.plan["primary"]["at"]
    values = state_values(table, metric, at)
    if not np.isfinite(values).any():
        return None
    name = metric_words(f"test.{metric.rpartition('.')[2]}").removeprefix("test ")
    sentence = f"By how much {name} is worse on test examples than on training examples: the larger, the more a network"
    sentence += " learned by heart. A regularizer may narrow the gap and still not help, by fitting the training worse."
    grids: tuple[Grid, ...] = ()
    if table.plan["contrasts"]:
        effects = paired_effects(table, values, metric, MOST_ROWS)
        grids = (effects_grid(effects, "Exploratory effects on the gap", len(table.plan["contrasts"])),)
    # Of more cells the learning curves show training beside held-out, a panel each.
    course = (draw_course(table, metric),) if len(table.cells) <= MOST_TOGETHER and has_course(table) else ()
    drawings = (draw_state(table, metric), *course)
    return Extra("gap", "Generalization gap", (sentence,), drawings, grids)


def draw_state(table: Table, metric: str) -> Drawing:
    """Return the figure of the gap at the primary state: mean and 95% interval of every cell shown."""
    cells = shown_cells(table)
    names = [short_names(table.plan)[cell] for cell in cells]
    frame = describe_cells(table, metric=metric).iloc[cells]
    at = state_words(at_label(table.plan["primary"]["at"]))
    said = [
        f"{name}: {format_value(metric, row['mean'])}"
        for name, row in zip(names, frame.to_dict("records"), strict=True)
    ]
    caption = (
        f"{capital(metric_words(metric))}, {at}: mean over seeds and its 95% interval (Student's t). It goes"
        f" {range_text(metric, names, frame['mean'].to_numpy(float))}.{shown_note(table, cells)}"
    )
    alt = f"{metric_words(metric)}, {at}, mean of every cell. {'; '.join(said)}"
    return draw_means(frame, names, metric, "gap-state", (alt, caption))


def draw_course(table: Table, metric: str) -> Drawing:
    """Return the figure of the gap over the course of training, all cells in one panel."""
    x_label, scale = epoch_axis(table)
    steps, values = held_curves(table, metric)
    names = short_names(table.plan)
    looks = [cell_look(cell)._replace(marker="") for cell in range(len(names))]
    curves = [summarize_curve(steps / scale, runs, metric, MOST_POINTS) for runs in values]
    last = max(float(steps[-1]) / scale, 1e-9)
    ends = [x for c in curves for part in (c.low, c.high) for x in part[c.x >= SETTLED * last]]
    frame = Frame((0.0, last), padded([*ends, 0.0]), x_label, _unit_label(metric), 190.0)
    panels = [Panel("", lambda axes: _paint_all(axes, curves, looks))]
    finals = [_last(curve) / value_scale(metric) for curve in curves]
    caption = (
        f"{capital(metric_words(metric))} over the course of training: mean over seeds; band: their middle 80%."
        f" The means end {range_text(metric, names, finals)}."
    )
    said = [f"{name}: {format_value(metric, end)}" for name, end in zip(names, finals, strict=True)]
    alt = f"Curves of the {metric_words(metric)}. The means end at: {'; '.join(said)}"
    parts = [
        pd.DataFrame({"cell": name, "metric": metric, x_label: curve.x}).assign(
            **{part: getattr(curve, part) / value_scale(metric) for part in ("mean", "low", "high")}
        )
        for name, curve in zip(table.cells, curves, strict=True)
    ]
    data = pd.concat(parts, ignore_index=True)
    return draw_panels(panels, frame, list(zip(names, looks, strict=True)), "gap-course", (alt, caption), data)


def _unit_label(metric: str) -> str:
    unit = effect_unit(metric)
    return f"gap{f' ({unit})' if unit else ''}"


def _last(curve: Curve) -> float:
    here = np.flatnonzero(np.isfinite(curve.mean))
    return float(curve.mean[here[-1]]) if here.size else np.nan


def _paint_all(axes: "Axes", curves: list[Curve], looks: list[Look]) -> None:
    """Paint means with their bands, and a line at no gap."""
    axes.axhline(0, color=SOFT, linewidth=1)
    for curve, look in zip(curves, looks, strict=True):
        style = (0, look.dashes) if look.dashes else "solid"
        axes.fill_between(curve.x, curve.low, curve.high, color=look.color, alpha=0.16, linewidth=0)
        axes.plot(curve.x, curve.mean, color=look.color, linewidth=1.8, linestyle=style)
