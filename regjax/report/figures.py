"""Figures of a study: effects with their intervals, and every run of every cell with published numbers drawn in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from regjax.report.drawing import (
    BAND,
    FONT_SIZE,
    GRID,
    INK,
    PAPER,
    SOFT,
    Drawing,
    cell_look,
    draw,
    nice_ticks,
    padded,
    set_ticks,
    wrap_label,
)
from regjax.report.rows import range_text
from regjax.report.tables import effect_rows
from regjax.report.words import (
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

WIDTH = 360.0
LINE = 12.5
LABEL_CHARACTERS = 38
BAD = "#d55e00"
# More cells than this, and the lines of their pairs are too many.
MOST_PAIRED_STRIPS = 8


class Bar(NamedTuple):
    """One row of the effect plot, numbers as shown (percentage points for shares)."""

    label: str
    effect: float
    low: float
    high: float
    confirmatory: bool
    text: str


def effect_bars(effects: pd.DataFrame) -> list[Bar]:
    """Return the rows of the effect plot: contrasts in the order of the table, the states of one contrast together."""
    many = effects["at"].nunique() > 1
    order = {name: i for i, name in enumerate(dict.fromkeys(effects["contrast"]))}
    bars = []
    for row in sorted(effect_rows(effects), key=lambda row: order[row["contrast"]]):
        metric, scale = row["metric"], value_scale(row["metric"])
        label = f"{row['contrast']} \N{MIDDLE DOT} {row['at']}" if many else row["contrast"]
        ends = row["low"], row["high"]
        digits = effect_digits(metric, *ends)
        text = f"{format_effect(metric, row['effect'], digits)} {format_effects(metric, *ends, digits)}"
        effect, low, high = (scale * number for number in (row["effect"], *ends))
        bars.append(Bar(label, effect, low, high, bool(row["confirmatory"]), text))
    return bars


def draw_effects(effects: pd.DataFrame, margin: float | None, note: str = "") -> Drawing:
    """Return the effect plot: per contrast the effect and its interval, zero line, band of the margin.

    Args:
      effects: rows of `make_effects` or `all_effects`, all of one metric.
      margin: smallest effect that matters, in the metric's own unit; None for no band.
      note: sentence that ends the caption, on what is not shown.
    """
    metric = str(effects["metric"].iloc[0])
    bars = effect_bars(effects)
    labels = [wrap_label(bar.label, LABEL_CHARACTERS) for bar in bars]
    heights = [LINE * len(lines) + 15 for lines in labels]
    tops = np.cumsum([0, *heights])
    edge = None if margin is None else margin * value_scale(metric)
    foot = 34.0
    total = float(tops[-1]) + foot + 4

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((14 / WIDTH, foot / total, 1 - 28 / WIDTH, 1 - (foot + 4) / total))
        low, high = _effect_range(bars, edge)
        axes.set_xlim(low, high)
        axes.set_ylim(float(tops[-1]), 0)
        if edge is not None:
            axes.axvspan(-edge, edge, color=BAND, linewidth=0)
        axes.axvline(0, color=SOFT, linewidth=1)
        for bar, lines, top, height in zip(bars, labels, tops, heights, strict=False):
            _paint_bar(axes, bar, lines, float(top), float(height))
        ticks, names = nice_ticks(low, high)
        set_ticks(axes, "x", ticks, names)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        unit = effect_unit(metric)
        axes.set_xlabel(f"difference in {metric_words(metric)}{f' ({unit})' if unit else ''}")

    alt = f"Effect plot of {metric_words(metric)}: " + "; ".join(f"{bar.label}: {bar.text}" for bar in bars)
    columns = ["contrast", "metric", "at", "confirmatory", "n", "effect", "low", "high"]
    data = effects[[name for name in columns if name in effects.columns]].reset_index(drop=True)
    return draw(WIDTH, total, paint, "effects", alt, f"{_effects_caption(bars, metric, margin)} {note}".strip(), data)


def _effect_range(bars: Sequence[Bar], edge: float | None) -> tuple[float, float]:
    ends = [number for bar in bars for number in (bar.effect, bar.low, bar.high)]
    return padded([*ends, 0.0, *([] if edge is None else [-edge, edge])])


def _paint_bar(axes: "Axes", bar: Bar, lines: list[str], top: float, height: float) -> None:
    """Paint the name and numbers of a contrast and, under them, its interval."""
    left, right = axes.get_xlim()
    axes.axhline(top, color=GRID, linewidth=0.7)
    for i, line in enumerate(lines):
        axes.text(left, top + LINE * (i + 0.9), line, fontsize=FONT_SIZE - 0.5)
    axes.text(right, top + LINE * 0.9, bar.text, fontsize=FONT_SIZE - 0.5, ha="right", color=SOFT)
    if not np.isfinite(bar.effect):
        return
    y = top + height - 8
    low, high = max(bar.low, left), min(bar.high, right)
    axes.plot([low, high], [y, y], color=INK, linewidth=1.8, solid_capstyle="butt")
    for end, inside in ((bar.low, bar.low >= left), (bar.high, bar.high <= right)):
        if inside and np.isfinite(end):
            axes.plot([end, end], [y - 3, y + 3], color=INK, linewidth=1.2)
    face = INK if bar.confirmatory else PAPER
    axes.plot([bar.effect], [y], marker="o", markersize=6.5, color=INK, markerfacecolor=face, markeredgewidth=1.3)


def _effects_caption(bars: Sequence[Bar], metric: str, margin: float | None) -> str:
    parts = [
        f"Each line is the effect of a contrast on {metric_words(metric)}, paired over seeds, with its 95% interval."
    ]
    kinds = {bar.confirmatory for bar in bars}
    if True in kinds:
        parts.append("Filled dots are confirmatory: their intervals hold together over the whole family.")
    if False in kinds:
        parts.append("Hollow dots are exploratory: each interval stands alone.")
    if margin is not None:
        unit = effect_unit(metric)
        amount = format_effect(metric, margin).lstrip("+")
        parts.append(
            f"The band spans effects too small to matter, up to {amount}{f' {unit}' if unit else ''} either way."
        )
    if any(np.isinf(bar.low) or np.isinf(bar.high) for bar in bars):
        parts.append("A line without end caps is an interval without end: there are too few seeds for a 95% interval.")
    return " ".join(parts)


class Strip(NamedTuple):
    """One cell of the strip plot: its name, its index, and one value per seed as shown (NaN where there is none)."""

    name: str
    cell: int
    values: np.ndarray
    markers: tuple[tuple[str, float], ...]


def make_strips(names: Sequence[str], values: np.ndarray, markers: Sequence[dict], metric: str) -> list[Strip]:
    """Return one strip per cell.

    Args:
      names: names of the cells.
      values: [cell, seed], in the metric's own unit.
      markers: label, cell and value of published single numbers.
      metric: `<split>.<name>`.
    """
    scale = value_scale(metric)
    marks = [(marker["cell"], (str(marker["label"]), scale * marker["value"])) for marker in markers]
    return [
        Strip(name, i, scale * values[i], tuple(mark for cell, mark in marks if cell == i))
        for i, name in enumerate(names)
    ]


def draw_strips(strips: Sequence[Strip], metric: str, state: str, base: int | None = 0) -> Drawing:
    """Return the strip plot: runs as dots, means as bars, published numbers as diamonds; pairs joined up to 8 cells.

    Two cells are joined by a line per seed; of more, every dot has a line from where the baseline's run of its seed is.

    Args:
      strips: from `make_strips`.
      metric, state: what is shown, and when.
      base: index of the baseline's cell, None where there is none.
    """
    two = len(strips) == 2
    reference = next((strip for strip in strips if strip.cell == base), None)
    joined = 2 < len(strips) <= MOST_PAIRED_STRIPS and reference is not None
    labels = [wrap_label(strip.name, 48) for strip in strips]
    band = 46.0 if two else 34.0 if joined else 22.0
    heights = [LINE * (len(lines) + len(strip.markers)) + band for lines, strip in zip(labels, strips, strict=True)]
    tops = np.cumsum([0, *heights])
    foot = 34.0
    total = float(tops[-1]) + foot + 4
    low, high = padded([x for s in strips for x in (*s.values, *(value for _, value in s.markers))])

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((14 / WIDTH, foot / total, 1 - 28 / WIDTH, 1 - (foot + 4) / total))
        axes.set_xlim(low, high)
        axes.set_ylim(float(tops[-1]), 0)
        middles = [float(top + height - band / 2) for top, height in zip(tops, heights, strict=False)]
        if two:
            _paint_pairs(axes, strips, middles, band)
        for strip, lines, top, middle in zip(strips, labels, tops, middles, strict=False):
            axes.axhline(float(top), color=GRID, linewidth=0.7)
            for i, line in enumerate(lines):
                axes.text(low, float(top) + LINE * (i + 0.9), line, fontsize=FONT_SIZE - 0.5)
            if joined and reference is not None and strip is not reference:
                _paint_shifts(axes, reference, strip, middle, band)
            _paint_strip(axes, strip, middle, band, metric)
        set_ticks(axes, "x", *nice_ticks(low, high))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        unit = value_unit(metric)
        axes.set_xlabel(f"{metric_words(metric)}{f' ({unit})' if unit else ''}, {state}")

    caption = _strips_caption(strips, metric, state, joined)
    data = _strips_data(strips, metric)
    return draw(WIDTH, total, paint, "runs", _strips_alt(strips, metric, state), caption, data)


def _strips_data(strips: Sequence[Strip], metric: str) -> pd.DataFrame:
    """Return cell, kind ("run" or "published"), replicate (place among the seeds, -1 of a published one) and value."""
    scale, rows = value_scale(metric), []
    for strip in strips:
        rows += [(strip.name, "run", place, value / scale) for place, value in enumerate(strip.values)]
        rows += [(strip.name, "published", -1, value / scale) for _, value in strip.markers]
    return pd.DataFrame(rows, columns=["cell", "kind", "replicate", metric])


def _spread(num_seeds: int, band: float) -> np.ndarray:
    """Return a vertical offset per seed, the same in every cell: golden-ratio steps fill the band evenly."""
    return (np.arange(num_seeds) * 0.618034 % 1 - 0.5) * (0.3 if band > 40 else 0.6) * band


def _paint_pairs(axes: "Axes", strips: Sequence[Strip], middles: Sequence[float], band: float) -> None:
    first, second = strips
    offsets = _spread(len(first.values), band)
    trend = np.nanmean(second.values - first.values) if _any_pair(first, second) else 0.0
    for a, b, offset in zip(first.values, second.values, offsets, strict=True):
        _paint_pair(axes, (a, b), (middles[0] + offset, middles[1] + offset), trend)


def _paint_shifts(axes: "Axes", base: Strip, strip: Strip, middle: float, band: float) -> None:
    """Paint a level line from where the baseline's run of a seed is to the dot of the same seed in this strip."""
    trend = np.nanmean(strip.values - base.values) if _any_pair(base, strip) else 0.0
    heights = middle + _spread(len(strip.values), band)
    for a, b, height in zip(base.values, strip.values, heights, strict=True):
        _paint_pair(axes, (a, b), (height, height), trend)


def _paint_pair(axes: "Axes", ends: tuple[float, float], heights: tuple[float, float], trend: float) -> None:
    """Paint the line of one pair, thick and orange where it goes against the mean difference."""
    if np.isfinite(ends).all():
        against = (ends[1] - ends[0]) * trend < 0
        color, width = (BAD, 1.1) if against else (SOFT, 0.6)
        axes.plot(ends, heights, color=color, linewidth=width, alpha=0.9 if against else 0.45)


def _any_pair(first: Strip, second: Strip) -> bool:
    return bool(np.isfinite(second.values - first.values).any())


def _paint_strip(axes: "Axes", strip: Strip, middle: float, band: float, metric: str) -> None:
    look = cell_look(strip.cell)
    here = np.isfinite(strip.values)
    heights = middle + _spread(len(strip.values), band)
    (dots,) = axes.plot(strip.values[here], heights[here], color=look.color, alpha=0.75, linestyle="none")
    dots.set(marker=look.marker, markersize=4.2, markeredgewidth=0)
    if here.any():
        mean = float(strip.values[here].mean())
        axes.plot([mean, mean], [middle - 0.4 * band, middle + 0.4 * band], color=INK, linewidth=2)
    left, right = axes.get_xlim()
    for i, (label, value) in enumerate(reversed(strip.markers)):
        axes.plot([value], [middle], marker="D", markersize=8, color=PAPER, markeredgecolor=INK, markeredgewidth=1.8)
        side = "left" if value < (left + right) / 2 else "right"
        text = f"{wrap_label(label, 34, 1)[0]} {format_value(metric, value / value_scale(metric))}"
        y = float(middle - band / 2 - 2 - i * LINE)
        axes.text(value, y, text, ha=side, fontsize=FONT_SIZE - 0.5, fontweight="bold")


def _strips_alt(strips: Sequence[Strip], metric: str, state: str) -> str:
    scale = value_scale(metric)
    parts = []
    for strip in strips:
        here = strip.values[np.isfinite(strip.values)]
        mean = format_value(metric, float(here.mean()) / scale) if here.size else "no value"
        marks = "".join(f", {label} at {format_value(metric, value / scale)}" for label, value in strip.markers)
        parts.append(f"{strip.name}: {here.size} runs, mean {mean}{marks}")
    return f"Strip plot of {metric_words(metric)}, {state}. " + "; ".join(parts)


def _strips_caption(strips: Sequence[Strip], metric: str, state: str, joined: bool) -> str:
    parts = [f"Every dot is one run: its {metric_words(metric)}, {state}. The bar is the mean of the cell."]
    if len(strips) > 1:
        here = [strip.values[np.isfinite(strip.values)] for strip in strips]
        means = [float(some.mean()) / value_scale(metric) if some.size else np.nan for some in here]
        parts.append(f"The means go {range_text(metric, [strip.name for strip in strips], means)}.")
    if any(strip.markers for strip in strips):
        parts.append("A diamond is a published single number.")
    if len(strips) == 2:
        parts.append("A line joins the runs of a seed, thick and orange where the seed goes against the mean effect.")
    if joined:
        parts.append(
            "A line goes from where the baseline's run of the same seed is to the dot, thick and orange where the seed"
            " goes against the mean effect of the cell."
        )
    return " ".join(parts)
