"""The matrix of a factorial study: main effects on the diagonal, two-way interactions beside them, as a heat map."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regjax.analysis.matrix import Step, find_steps, make_matrix
from regjax.analysis.table import Table, at_label
from regjax.report.drawing import FONT_SIZE, GRID, INK, PALETTE, SOFT, Drawing, draw, wrap_label
from regjax.report.extra import Extra
from regjax.report.tables import state_words
from regjax.report.words import count, effect_digits, effect_unit, format_effect, format_effects, metric_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LEFT, LINE, CELL = 360.0, 18.0, 13.0, 34.0
# More columns than this, and no number fits into a cell of a phone's width.
MOST_STEPS = 8
# Fewer columns than this leave room for an interval on one line.
FEW_STEPS = 5
STRONGEST = 0.6


def make_section(table: Table) -> Extra | None:
    """Return the section with the matrix; None where the design does not cross two factors or more evenly."""
    steps = find_steps(table.plan)
    if not 2 <= len(steps) <= MOST_STEPS:
        return None
    frame = make_matrix(table, steps)
    if not np.isfinite(frame["effect"].to_numpy(float)).any():
        return None
    sentences = [
        "A main effect is averaged over the levels of the other factors. An interaction is by how much the effect of "
        "one factor changes where the other is at the level named instead of at its first: 0 says that the two add up."
    ]
    if any(contrast.get("aliases") for contrast in table.plan["contrasts"]):
        sentences.append("This design is a fraction: each number is the sum of all effects that are aliased with it.")
    return Extra("matrix", "Main effects and interactions", tuple(sentences), (draw_matrix(frame, steps, table),))


def draw_matrix(frame: pd.DataFrame, steps: list[Step], table: Table) -> Drawing:
    """Return the heat map.

    Args:
      frame: from `make_matrix`.
      steps: rows and columns, from `find_steps`.
      table: loaded run directory.
    """
    primary = table.plan["primary"]
    metric, num = primary["metric"], len(steps)
    labels = [wrap_label(f"{i + 1}  {step.name}", 58, 2) for i, step in enumerate(steps)]
    heights = [LINE * len(lines) + CELL + 7 for lines in labels]
    tops = np.cumsum([0, *heights])
    total = float(tops[-1]) + 20
    wide = (WIDTH - LEFT) / num
    largest = float(np.nanmax(np.abs(frame["effect"].to_numpy(float)))) or 1.0

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set(xlim=(0, WIDTH), ylim=(total, 0))
        axes.set_axis_off()
        for lines, top in zip(labels, tops, strict=False):
            for i, line in enumerate(lines):
                axes.text(4, top + LINE * (i + 0.8), line, fontsize=FONT_SIZE - 0.5)
        for row in frame.to_dict("records"):
            box = (LEFT + wide * row["column"], float(tops[row["row"] + 1]) - CELL - 4, wide - 3, CELL)
            _paint_cell(axes, row, box, metric, largest, wide=num < FEW_STEPS)
        for i in range(num):
            axes.text(8, float(tops[i + 1]) - CELL / 2 - 4, str(i + 1), va="center", ha="center", color=SOFT)
            axes.text(LEFT + wide * (i + 0.5), total - 6, str(i + 1), ha="center", color=SOFT)

    where = f"{metric_words(metric)} {state_words(at_label(primary['at']))}"
    said = "; ".join(f"{row['contrast']}: {_text(metric, row)}" for row in frame.to_dict("records"))
    alt = f"Matrix of main effects and two-way interactions on {where}: {said}"
    data = frame.drop(columns=["row", "column"])
    return draw(WIDTH, total, paint, "matrix", alt, _caption(frame, metric, where), data)


def _text(metric: str, row: dict) -> str:
    digits = effect_digits(metric, row["low"], row["high"])
    effect = format_effect(metric, row["effect"], digits)
    return f"{effect} {format_effects(metric, row['low'], row['high'], digits)}"


def _paint_cell(
    axes: "Axes", row: dict, box: tuple[float, float, float, float], metric: str, largest: float, *, wide: bool
) -> None:
    """Paint a number on its colour: the stronger the larger, a thick frame where the interval leaves 0 out."""
    from matplotlib.patches import Rectangle

    left, top, width, height = box
    middle, diagonal = left + width / 2, row["row"] == row["column"]
    if np.isfinite(row["effect"]):
        color = PALETTE[0] if row["effect"] > 0 else PALETTE[1]
        strength = STRONGEST * abs(row["effect"]) / largest
        axes.add_patch(Rectangle((left, top), width, height, facecolor=color, alpha=strength, linewidth=0))
    shown = row["low"] > 0 or row["high"] < 0
    edge, thick = (INK, 1.6) if shown else (GRID, 0.7)
    axes.add_patch(Rectangle((left, top), width, height, fill=False, edgecolor=edge, linewidth=thick))
    digits = effect_digits(metric, row["low"], row["high"])
    effect, ends = (
        format_effect(metric, row["effect"], digits), format_effects(metric, row["low"], row["high"], digits),
    )  # fmt: skip
    weight = "bold" if diagonal else "normal"
    lines = [ends] if wide else ends.replace(", ", ",\n").split("\n")
    step = height / (len(lines) + 1)
    axes.text(middle, top + step * 0.55, effect, ha="center", va="center", fontsize=FONT_SIZE, fontweight=weight)
    for i, line in enumerate(lines):
        y = top + step * (i + 1.45)
        axes.text(middle, y, line, ha="center", va="center", fontsize=FONT_SIZE - (1.5 if wide else 2.5))


def _caption(frame: pd.DataFrame, metric: str, where: str) -> str:
    pairs = frame[frame["row"] != frame["column"]]
    apart = (pairs["low"] > 0) | (pairs["high"] < 0)
    unit = effect_unit(metric)
    parts = [
        f"Effects on {where}{f' in {unit}' if unit else ''}: main effects in bold on the diagonal, interactions off"
    ]
    parts[0] += " it, with 95% intervals. Blue is above 0, orange below; a frame marks an interval that leaves 0 out."
    strongest = max(pairs.dropna(subset="effect").to_dict("records"), key=lambda row: abs(row["effect"]))
    parts.append(f"Of {count(len(pairs), 'interaction')} {int(apart.sum())} leave 0 out.")
    parts.append(f"The largest is {strongest['contrast']}: {_text(metric, strongest)}.")
    family = int(frame["confirmatory"].sum())
    if family == len(frame):
        parts.append("All are confirmatory: their intervals hold together.")
    elif family:
        parts.append(
            f"{family} of {len(frame)} are confirmatory, their intervals hold together; the rest is exploratory."
        )
    else:
        parts.append("All are exploratory: each interval stands alone.")
    return " ".join(parts)
