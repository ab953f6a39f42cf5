"""A row per cell on one scale, its name above it: dots of seeds, means with intervals."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regjax.report.drawing import FONT_SIZE, GRID, INK, SOFT, Drawing, draw, nice_ticks, padded, set_ticks, wrap_label
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import (
    clean,
    effect_digits,
    effect_unit,
    format_effect,
    format_effects,
    format_value,
    metric_words,
    value_scale,
    value_unit,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LINE, BAND = 360.0, 12.5, 18.0


def draw_rows(
    labels: Sequence[tuple[str, str]],
    paint_row: "Callable[[Axes, int, float], None]",
    x_range: tuple[float, float],
    x_label: str,
    name: str,
    words: tuple[str, str],
    data: pd.DataFrame,
    band: float = BAND,
) -> Drawing:
    """Return rows under each other.

    Args:
      labels: of each row its name and, at the right edge, its numbers in short.
      paint_row: called with the axes, the place of the row and the height of its middle.
      x_range, x_label: of the one axis.
      name: unique on the page.
      words: what the figure shows for readers who do not see it, and the caption.
      data: the numbers behind it.
      band: height of a row without its name.
    """
    names = [wrap_label(label, 40) for label, _ in labels]
    tops = np.cumsum([0.0, *(LINE * len(lines) + band for lines in names)])
    foot = 34.0
    total = float(tops[-1]) + foot + 4

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((14 / WIDTH, foot / total, 1 - 28 / WIDTH, 1 - (foot + 4) / total))
        axes.set(xlim=x_range, ylim=(float(tops[-1]), 0))
        if x_range[0] < 0 < x_range[1]:
            axes.axvline(0, color=SOFT, linewidth=1)
        for i, (lines, (_, text)) in enumerate(zip(names, labels, strict=True)):
            top = float(tops[i])
            axes.axhline(top, color=GRID, linewidth=0.7)
            for j, line in enumerate(lines):
                axes.text(x_range[0], top + LINE * (j + 0.9), line, fontsize=FONT_SIZE - 0.5)
            axes.text(x_range[1], top + LINE * 0.9, text, fontsize=FONT_SIZE - 0.5, ha="right", color=SOFT)
            paint_row(axes, i, float(tops[i + 1]) - band / 2)
        set_ticks(axes, "x", *nice_ticks(*x_range))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(x_label)

    return draw(WIDTH, total, paint, name, *words, data)


def draw_means(frame: pd.DataFrame, names: Sequence[str], metric: str, name: str, words: tuple[str, str]) -> Drawing:
    """Return mean and 95% interval of a metric in every cell.

    Args:
      frame: columns cell, n, mean, low, high, as `describe_cells` has them, one row per name.
      names: of the cells, short.
      metric: which decides scale and unit.
      name: unique on the page.
      words: as in `draw_rows`.
    """
    scale = value_scale(metric)
    ends = scale * frame[["mean", "low", "high"]].to_numpy(float)
    digits = [effect_digits(metric, row["low"], row["high"]) for row in frame.to_dict("records")]
    texts = [f"{x:.{d}f} [{a:.{d}f}, {b:.{d}f}]" for (x, a, b), d in zip(ends, digits, strict=True)]

    def paint_row(axes: "Axes", i: int, y: float) -> None:
        mean, low, high = ends[i]
        axes.plot([low, high], [y, y], color=INK, linewidth=1.8, solid_capstyle="butt")
        axes.plot([mean], [y], marker="o", color=INK, markersize=6)

    unit = value_unit(metric)
    label = f"{metric_words(metric)}{f' ({unit})' if unit else ''}"
    data = frame[["cell", "metric", "at", "n", "mean", "sd", "low", "high"]].reset_index(drop=True)
    pairs = [(label, text if np.isfinite(x) else "") for label, text, x in zip(names, texts, ends[:, 0], strict=True)]
    return draw_rows(pairs, paint_row, padded(ends.ravel()), label, name, words, data)


def capital(text: str) -> str:
    """Return text with a capital first letter, all else as it is.

    >>> capital("generalization gap in NLL")
    'Generalization gap in NLL'
    """
    return text[:1].upper() + text[1:]


def range_text(metric: str, names: Sequence[str], values: Sequence[float] | np.ndarray) -> str:
    """Return between which cells a number lies, as what follows "goes".

    >>> range_text("test.nll", ["a", "b", "c"], [0.2, 0.1, float("nan")])
    'from 0.1000 (b) to 0.2000 (a)'
    """
    known = [(float(value), name) for value, name in zip(values, names, strict=True) if np.isfinite(value)]
    if not known:
        return "nowhere: no cell has a value"
    (low, least), (high, most) = min(known), max(known)
    return f"from {format_value(metric, low)} ({least}) to {format_value(metric, high)} ({most})"


def effects_grid(frame: pd.DataFrame, title: str, total: int) -> Grid:
    """Return exploratory effects as a table: contrast, effect, interval, seeds.

    Args:
      frame: columns contrast, metric, effect, low, high and n, all of one metric.
      title: of the table, which says so where contrasts are left out.
      total: contrasts there are.
    """
    title = title if len(frame) == total else f"{title}: {len(frame)} of {total} contrasts"
    metric = str(frame["metric"].iloc[0])
    unit = f" ({effect_unit(metric)})" if effect_unit(metric) else ""
    columns = (Column("Contrast"), Column(f"Effect{unit}", True), Column("95% interval", True), Column("Seeds", True))
    rows = []
    for row in frame.to_dict("records"):
        digits = effect_digits(metric, row["low"], row["high"])
        numbers = (
            format_effect(metric, row["effect"], digits),
            format_effects(metric, row["low"], row["high"], digits),
        )
        rows.append(Row((clean(row["contrast"]), *numbers, str(row["n"])), "exploratory"))
    return Grid(title, columns, tuple(rows))
