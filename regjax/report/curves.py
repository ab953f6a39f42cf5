"""Learning curves: mean and middle 80% over seeds, training beside held-out, all cells in one panel or one per cell."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from regjax.report.drawing import (
    FONT_SIZE,
    PALETTE,
    SOFT,
    Drawing,
    Look,
    cell_look,
    draw,
    log_ticks,
    nice_ticks,
    padded,
    set_ticks,
    slug,
)
from regjax.report.words import format_value, is_share, metric_words, value_scale, value_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# More cells than this in one panel, and their bands cannot be told apart.
MOST_TOGETHER = 6
# The same where each cell has two curves, one on training and one on held-out examples.
MOST_PAIRED = 3
TRAIN_DASHES = (3.0, 1.5)
MOST_POINTS = 150
MOST_POINTS_SMALL = 50
# Share of the training after which values set the range of a panel: the first steps would flatten all that follows.
SETTLED = 0.15


class Curve(NamedTuple):
    """Mean and band of one cell as shown, [T] each; NaN where fewer than half of its runs go on."""

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Axis(NamedTuple):
    """What a panel shows: metric, x label, ranges, whether y is logarithmic, where on x the primary state is."""

    metric: str
    x_label: str
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    log: bool
    primary_x: float | None


def summarize_curve(x: np.ndarray, values: np.ndarray, metric: str, most_points: int) -> Curve:
    """Return mean and 10-90% range over seeds at evenly chosen evaluations.

    Args:
      x: [T] steps or epochs.
      values: [seed, T]; infinite once a run has diverged; a run without any number does not count.
      metric: decides the scale.
      most_points: evaluations kept; the first and last always are.
    """
    keep = np.unique(np.linspace(0, len(x) - 1, min(most_points, len(x))).round().astype(int))
    shown = np.where(np.isfinite(values[:, keep]), value_scale(metric) * values[:, keep], np.nan)
    begun = (~np.isnan(values)).any(axis=1).sum()
    enough = np.isfinite(shown).sum(axis=0) >= max(1, begun / 2)
    mean, low, high = (np.full(len(keep), np.nan) for _ in range(3))
    if enough.any():
        mean[enough] = np.nanmean(shown[:, enough], axis=0)
        low[enough], high[enough] = np.nanquantile(shown[:, enough], [0.1, 0.9], axis=0)
    return Curve(x[keep], mean, low, high)


class Line(NamedTuple):
    """One curve of a panel: what it is of (names for the data behind the figure), its numbers and its look."""

    cell: str
    metric: str
    curve: Curve
    look: Look


def make_axis(metric: str, curves: Sequence[Curve], x_label: str, primary_x: float | None, beside: int = 0) -> Axis:
    """Return the axis that fits these curves once training has settled.

    Args:
      metric: what the axis is called by.
      curves: all that are shown.
      x_label, primary_x: as in `Axis`.
      beside: how many curves at the end do not ask for a logarithmic axis: training losses that go to 0 would press the
        held-out ones together.
    """
    last = max((float(c.x[-1]) for c in curves if len(c.x)), default=1.0)
    ends, all_ends = (_settled(some, last) for some in (curves[: len(curves) - beside], curves))
    wide = ends.size > 0 and ends.min() > 0 and ends.max() > 20 * ends.min()
    log = not is_share(metric) and wide and all_ends.min() > 0
    if log:
        bottom, top = padded(np.log10(all_ends))
        y_range = (10**bottom, 10**top)
    else:
        y_range = padded(all_ends)
    return Axis(metric, x_label, (0.0, last or 1.0), y_range, bool(log), primary_x)


def _settled(curves: Sequence[Curve], last: float) -> np.ndarray:
    """Return the finite ends of bands once training has settled."""
    parts = [np.r_[c.low[c.x >= SETTLED * last], c.high[c.x >= SETTLED * last]] for c in curves]
    ends = np.concatenate([np.zeros(0), *parts])
    return ends[np.isfinite(ends)]


def draw_panel(
    axis: Axis, lines: Sequence[Line], name: str, title: str, size: tuple[float, float] = (340.0, 230.0)
) -> Drawing:
    """Return one panel of curves; what lies outside the axis is cut off.

    Args:
      axis: what is shown and in which range.
      lines: curves in drawing order.
      name: unique on the page.
      title: what the panel is of, used as its caption.
      size: natural width and height in points.
    """
    width, height = size
    left, right, bottom, top = 44.0, 8.0, 34.0 if axis.x_label else 18.0, 8.0

    def paint(figure: "Figure") -> None:
        box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)
        axes = figure.add_axes(box)
        _set_axis(axes, axis, small=width < 300)
        if axis.primary_x is not None:
            axes.axvline(axis.primary_x, color=SOFT, linewidth=1, linestyle=(0, (1, 2)))
        for line in lines:
            _paint_curve(axes, line.curve, line.look)

    return draw(width, height, paint, name, _panel_alt(lines, title), title, _panel_data(lines, axis.x_label))


def _panel_data(lines: Sequence[Line], x_label: str) -> pd.DataFrame:
    """Return the numbers of a panel in the unit of the metric: cell, metric, epoch or step, mean, low, high."""
    parts = [
        pd.DataFrame(
            {"cell": line.cell, "metric": line.metric, x_label or "x": line.curve.x}
            | {name: getattr(line.curve, name) / value_scale(line.metric) for name in ("mean", "low", "high")}
        )
        for line in lines
    ]
    return pd.concat(parts, ignore_index=True)


def _set_axis(axes: "Axes", axis: Axis, small: bool) -> None:
    if axis.log:
        axes.set_yscale("log")
    axes.set_xlim(*axis.x_range)
    axes.set_ylim(*axis.y_range)
    most = 3 if small else 5
    set_ticks(axes, "x", *nice_ticks(*axis.x_range, most))
    set_ticks(axes, "y", *(log_ticks(*axis.y_range) if axis.log else nice_ticks(*axis.y_range, most)))
    axes.grid(axis="y")
    if axis.x_label:
        axes.set_xlabel(axis.x_label, fontsize=FONT_SIZE, labelpad=2)


def _paint_curve(axes: "Axes", curve: Curve, look: Look) -> None:
    dashes = (0, look.dashes) if look.dashes else "solid"
    axes.fill_between(curve.x, curve.low, curve.high, color=look.color, alpha=0.16, linewidth=0)
    alone = len(curve.x) == 1
    marker = look.marker if alone else None
    axes.plot(curve.x, curve.mean, color=look.color, linewidth=1.8, linestyle=dashes, marker=marker, markersize=5)


def _panel_alt(lines: Sequence[Line], title: str) -> str:
    ends = []
    for line in lines:
        here = np.flatnonzero(np.isfinite(line.curve.mean))
        scale = value_scale(line.metric)
        end = format_value(line.metric, float(line.curve.mean[here[-1]]) / scale) if here.size else "no value"
        ends.append(f"{line.cell}, {metric_words(line.metric)} {end}")
    return f"Learning curves, {title}. The means end at: {'; '.join(ends)}"


def draw_together(
    x: np.ndarray,
    panels: Sequence[Mapping[str, np.ndarray]],
    cells: Sequence[str],
    x_label: str,
    primary_x: float | None,
) -> list[Drawing]:
    """Return one panel per metric with all cells in it.

    Args:
      x: [T] steps or epochs.
      panels: {metric: [cell, seed, T]} of each panel: one metric, or the same one on held-out and on training examples,
        which are dashed then.
      cells: their names.
      x_label: "epoch" or "step".
      primary_x: where the primary state is, on the x axis; None where it is not a step.
    """
    drawings = []
    for metrics in panels:
        lines = [
            Line(name, metric, summarize_curve(x, values[cell], metric, MOST_POINTS), _look(cell, metrics, metric))
            for metric, values in metrics.items()
            for cell, name in enumerate(cells)
        ]
        beside = len(cells) * (len(metrics) - 1)
        first = next(iter(metrics))
        axis = make_axis(first, [line.curve for line in lines], x_label, primary_x, beside)
        drawings.append(draw_panel(axis, lines, f"curve-{slug(first)}", panel_title(axis, len(metrics) > 1)))
    return drawings


def _look(cell: int, metrics: Mapping[str, np.ndarray], metric: str) -> Look:
    """Return the look of a cell's curve: where training is beside held-out, dashes say which it is."""
    look = cell_look(cell)
    return look if len(metrics) == 1 else look._replace(dashes=TRAIN_DASHES if metric.startswith("train.") else ())


def panel_title(axis: Axis, paired: bool) -> str:
    """Return the heading of a panel: the metric, its unit, and whether the scale is logarithmic."""
    unit = value_unit(axis.metric)
    words = metric_words(axis.metric)
    head = f"training and {words}" if paired else words
    return f"{head}{f' ({unit})' if unit else ''}{', logarithmic' if axis.log else ''}"


def draw_multiples(
    x: np.ndarray,
    metrics: Mapping[str, np.ndarray],
    cells: Sequence[tuple[int, str]],
    name: str,
    base: int | None = 0,
) -> tuple[list[Drawing], str]:
    """Return one small panel per cell, all on one scale, and the title of that scale.

    Each shows the cell in colour, on training examples dashed, over the held-out mean of a baseline, dotted in grey.

    Args:
      x: [T] steps or epochs.
      metrics: {metric: [cell, seed, T]}, held-out first and then the same on training examples where there is any.
      cells: index and title of the cells shown.
      name: prefix of the panels' ids.
      base: index of the baseline, None for none.
    """
    first, paired = next(iter(metrics)), len(metrics) > 1
    ghost = Look(SOFT, (1.0, 1.0), "o", "")
    looks = dict(zip(metrics, (Look(PALETTE[0], (), "o", ""), Look(PALETTE[1], TRAIN_DASHES, "s", "")), strict=False))
    indices = list(dict.fromkeys([*([] if base is None else [base]), *(index for index, _ in cells)]))
    curves = {
        metric: {c: summarize_curve(x, values[c], metric, MOST_POINTS_SMALL) for c in indices}
        for metric, values in metrics.items()
    }
    listed = [curve for metric in metrics for curve in curves[metric].values()]
    axis = make_axis(first, listed, "", None, beside=len(indices) if paired else 0)
    drawings = []
    for index, title in cells:
        lines = [Line(title, metric, curves[metric][index], looks[metric]) for metric in reversed(list(metrics))]
        if base is not None and index != base:
            # The baseline's own band would hide the cell's: its mean is enough to compare with.
            mean = curves[first][base].mean
            lines.insert(0, Line("baseline", first, curves[first][base]._replace(low=mean, high=mean), ghost))
        drawings.append(draw_panel(axis, lines, f"{name}{index}", title, (190.0, 130.0)))
    return drawings, panel_title(axis, paired)
