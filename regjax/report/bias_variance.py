"""The section on bias and variance: what the error of a network is made of, per cell, as tables and a figure."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regjax.analysis.bias_variance import make_bias_variance, make_variances, read_outcome
from regjax.analysis.decompositions import LOSSES
from regjax.analysis.predictions import has_predictions
from regjax.analysis.table import Table
from regjax.report.drawing import (
    DASHES,
    GRID,
    MARKERS,
    PALETTE,
    Drawing,
    draw,
    nice_ticks,
    padded,
    set_ticks,
    wrap_label,
)
from regjax.report.extra import Extra
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import MISSING, clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT, LINE = 480.0, 240.0, 30.0
MOST_CELLS = 30
SHOWN = (("risk", 2), ("bias", 0), ("variance", 1))  # and the place of its look in the palette
ENDS = ["bias_low", "bias_high", "variance_low", "variance_high"]
WORDS = {"squared": "squared error", "kl": "negative log likelihood", "zero_one": "0-1 loss"}
SOURCES = {
    "disjoint parts": "The networks of a split were trained on disjoint parts of the training rows: the variance is "
    "that of training sets of that size and of all else a seed draws anew. Intervals are over permutations of rows.",
    "bootstrap": "The networks were trained on bootstraps of the same rows: the variance is that of drawing them again "
    "and of all else a seed draws anew. Intervals are jackknifed over seeds.",
    "subsets": "The networks were trained on subsets of the same rows, which overlap: the variance is that of drawing "
    "them again and of all else a seed draws anew. Intervals are jackknifed over seeds.",
    "optimisation": "All seeds trained on the same rows: the variance is that of the optimisation alone, and what "
    "these rows do to a prediction counts as bias. Intervals are jackknifed over seeds.",
}
PLUG_IN = (
    "Squared error is split without bias; the other two splits are plug-ins, whose variance is too small for few "
    "networks (equally many in all cells). Of 0-1 loss the variance counts dissent where the main prediction is right, "
    "less dissent that is right where it is wrong. All is exploratory, for this test set."
)


def make_section(table: Table) -> Extra | None:
    """Return the section on bias and variance; None where no predictions of one test set allow it."""
    if table.out is None or "split" in table.plan["vary"] or not has_predictions(table):
        return None
    outcome = read_outcome(table)
    losses = LOSSES if outcome.classes else ("squared",)
    try:
        found = [make_bias_variance(table, loss, outcome=outcome) for loss in losses]
    except ValueError:  # not yet two networks in all cells
        return None
    grids = [_split_grid(frame) for frame in found]
    grids.append(_variance_grid(make_variances(table, outcome)))
    first = found[0].iloc[0]
    count = f"{first['n']} networks per split, {first['units']} {'split' if first['units'] == 1 else 'splits averaged'}"
    left = f"; {first['left_out']} seeds are left out, not done or diverged in some cell" if first["left_out"] else ""
    sentences = (SOURCES[first["source"]], f"{count}{left}.", PLUG_IN)
    return Extra("bias-variance", "Bias and variance", sentences, (draw_split(table, found[0]),), tuple(grids))


def _split_grid(frame: pd.DataFrame) -> Grid:
    columns = (
        Column("Cell"), Column("Risk", True), Column("Bias²" if _is_squared(frame) else "Bias", True),
        Column("95% interval", True), Column("Variance", True), Column("95% interval", True),
        Column("Change of bias", True), Column("Change of variance", True), Column("Verdict"),
    )  # fmt: skip
    rows = [
        _split_row(row, "baseline" if row["verdict"] == "baseline" else "exploratory")
        for row in frame.to_dict("records")
    ]
    return Grid(f"Bias and variance of {WORDS[frame['loss'].iloc[0]]}", columns, tuple(rows))


def _split_row(row: dict, kind: str) -> Row:
    parts = [text for name in ("bias", "variance") for text in (_number(row[name]), _range(row, name))]
    changes = [_change(row, name) for name in ("bias", "variance")]
    return Row((clean(row["cell"]), _number(row["risk"]), *parts, *changes, row["verdict"]), kind)


def _is_squared(frame: pd.DataFrame) -> bool:
    return bool(frame["loss"].iloc[0] == "squared")


def _variance_grid(frame: pd.DataFrame) -> Grid:
    columns = (
        Column("Cell"), Column("Runs", True), Column("Examples", True), Column("SD on this test set", True),
        Column("Variance on the distribution", True), Column("SD on the distribution", True),
    )  # fmt: skip
    numbers = ("test_sd", "distribution_variance", "distribution_sd")
    rows = [
        Row((clean(row["cell"]), str(row["n"]), str(row["examples"]), *(_number(row[name]) for name in numbers)))
        for row in frame.to_dict("records")
    ]
    what = "share of errors" if frame["loss"].iloc[0] == "zero_one" else "squared error"
    return Grid(f"How much runs differ in {what} (an estimate below 0 has no SD)", columns, tuple(rows))


def _number(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else MISSING


def _range(row: dict, name: str) -> str:
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"[{_number(low)}, {_number(high)}]" if np.isfinite([low, high]).all() else MISSING


def _change(row: dict, name: str) -> str:
    effect = row[f"{name}_effect"]
    if row["verdict"] == "baseline" or not np.isfinite(effect):
        return MISSING
    ends = _range(row, f"{name}_effect")
    return f"{effect:+.3g}" + ("" if ends == MISSING else f" {ends}")


def find_axis(table: Table) -> tuple[str, list[float]] | None:
    """Return the one factor of a study and its number in each cell; None for several factors or where one is no number.

    Widths count where all layers of a level have the same.
    """
    factors = table.plan["factors"]
    if len(factors) != 1:
        return None
    path = factors[0]["path"]
    levels = [cell["levels"].get(path) for cell in table.plan["cells"]]
    levels = [level[0] if isinstance(level, list) and len(set(map(str, level))) == 1 else level for level in levels]
    if not all(isinstance(level, (int, float)) and not isinstance(level, bool) for level in levels):
        return None
    return path, [float(level) for level in levels]


def draw_split(table: Table, frame: pd.DataFrame) -> Drawing:
    """Return the figure: risk, bias and variance along the factor if it is a number, else one row per cell.

    Args:
      table: loaded run directory.
      frame: from `make_bias_variance`.
    """
    axis = find_axis(table)
    some = frame.iloc[:MOST_CELLS]
    if axis:
        some = some.assign(level=axis[1][: len(some)]).sort_values("level", kind="stable")
    bias, loss = "bias²" if _is_squared(frame) else "bias", WORDS[str(frame["loss"].iloc[0])]
    height = HEIGHT if axis else LINE * len(some) + 70

    def paint(figure: "Figure") -> None:
        left = 54 if axis else 170
        axes = figure.add_axes((left / WIDTH, 40 / height, 1 - (left + 14) / WIDTH, 1 - 66 / height))
        _paint_parts(axes, some, bias, upright=axis is not None)
        ends = padded(np.append(some[[*(name for name, _ in SHOWN), *ENDS]].to_numpy(float).ravel(), 0.0))
        places = list(range(len(some)))
        set_ticks(axes, "y" if axis else "x", *nice_ticks(*ends))
        if axis:
            axes.set_ylim(*ends)
            set_ticks(axes, "x", places, [f"{level:g}" for level in some["level"]])
            axes.set_xlabel(clean(axis[0]))
            axes.set_ylabel(loss)
        else:
            axes.set_xlim(*ends)
            axes.set_ylim(len(some) - 0.5, -0.5)
            set_ticks(axes, "y", places, ["\n".join(wrap_label(cell, 26, 2)) for cell in some["cell"]])
            axes.set_xlabel(loss)
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, frameon=False, borderaxespad=0.2)

    cut = f" The first {len(some)} of {len(frame)} cells." if len(some) < len(frame) else ""
    bars = " Lines through points are 95% intervals." if some[ENDS].notna().any(axis=None) else ""
    caption = f"Mean {loss} on the test set: risk = {bias} + variance.{bars}{cut}"
    said = "; ".join(
        f"{row['cell']}: " + ", ".join(f"{name} {_number(row[name])}" for name, _ in SHOWN)
        for row in some.to_dict("records")
    )
    return draw(WIDTH, height, paint, "bias-variance", f"Bias and variance of {loss}: {said}", caption, data=frame)


def _paint_parts(axes: "Axes", frame: pd.DataFrame, bias: str, *, upright: bool) -> None:
    """Paint risk, bias and variance: joined along the factor, or apart in the row of each cell."""
    axes.grid(visible=True, axis="y" if upright else "x", color=GRID, linewidth=0.7)
    for place, (name, look) in enumerate(SHOWN):
        color, values = PALETTE[look], frame[name].to_numpy(float)
        at = np.arange(len(frame)) + (0.04 if upright else 0.22) * (place - 1)
        pair = (at, values) if upright else (values, at)
        axes.plot(
            *pair, linestyle=(0, DASHES[look]) if upright and DASHES[look] else "-" if upright else "none",
            linewidth=1.2, color=color, marker=MARKERS[look], markersize=5.0, label=bias if name == "bias" else name,
        )  # fmt: skip
        if name != "risk":
            reach = frame[f"{name}_low"].to_numpy(float), frame[f"{name}_high"].to_numpy(float)
            (axes.vlines if upright else axes.hlines)(at, *reach, color=color, linewidth=1.2)
