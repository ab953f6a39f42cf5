"""Figures of claims: effects of a test in every case with all seeds, and a measure over the levels of a factor."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from regjax.report.claims_numbers import is_beside, number, value_parts
from regjax.report.claims_words import effect_text, name_test
from regjax.report.drawing import (
    BAND,
    FONT_SIZE,
    GRID,
    INK,
    PALETTE,
    SOFT,
    Drawing,
    cell_look,
    draw,
    log_ticks,
    nice_ticks,
    padded,
    set_ticks,
    slug,
    wrap_label,
)
from regjax.report.words import clean, count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 340.0
LINE = 12.5
SIDE = 12.0
FOOT = 34.0
BAR = 26.0
LABEL_CHARACTERS = 30
# More lines than this, and their names are too many for a figure.
MOST_LINES = 8
LEGEND = 15.0


def draw_tests(claim: Mapping[str, Any]) -> list[Drawing]:
    """Return a drawing per test of a claim that is an estimate: a row per case, effects in the unit of the test."""
    names = [test["name"] for test in claim["cases"][0]["tests"] if test["exact"] is None]
    return [draw_test(claim, name) for name in names]


def draw_test(claim: Mapping[str, Any], name: str) -> Drawing:
    """Return the effects of a test: seeds as dots, means with intervals, the margin as a band, no effect as a line."""
    rows = [(case["name"], test) for case in claim["cases"] for test in case["tests"] if test["name"] == name]
    first = rows[0][1]
    bound = float(first["bound"])
    labels = [wrap_label(case, LABEL_CHARACTERS, 2) if case else [] for case, _ in rows]
    heights = [LINE * max(1, len(lines)) + BAR for lines in labels]
    tops = np.cumsum([0, *heights])
    total = float(tops[-1]) + FOOT + 4
    low, high = effect_range([test for _, test in rows], bound)

    def paint(figure: "Figure") -> None:
        axes = make_axes(figure, total, (low, high), (float(tops[-1]), 0))
        axes.axvspan(-bound, bound, color=BAND, linewidth=0)
        axes.axvline(0, color=SOFT, linewidth=1)
        for (_, test), lines, top, height in zip(rows, labels, tops, heights, strict=False):
            paint_row(axes, test, lines, float(top), float(height))
        set_ticks(axes, "x", *effect_ticks(first, low, high))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(axis_label(first))

    told = "; ".join(f"{case + ': ' if case else ''}{effect_text(test)}" for case, test in rows)
    caption = f"{name_test(first)}: {clean(first['says'])}."
    alt = f"Effects of the test {name_test(first)}: {told}"
    return shrink(draw(WIDTH, total, paint, f"{slug(claim['id'])}-{slug(name)}", alt, caption))


def make_axes(
    figure: "Figure", total: float, x: tuple[float, float], y: tuple[float, float], left: float = SIDE, top: float = 4
) -> "Axes":
    """Return axes with the margins of these figures, in points."""
    axes = figure.add_axes((left / WIDTH, FOOT / total, 1 - (left + SIDE) / WIDTH, 1 - (FOOT + top) / total))
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    return axes


def effect_range(tests: Sequence[Mapping[str, Any]], bound: float) -> tuple[float, float]:
    """Return the ends of the axis: intervals, margin and zero whole; of the seeds the middle 90% at least."""
    ends = [number(test[key]) for test in tests for key in ("estimate", "low", "high")]
    seeds = [np.nanquantile(found, (0.05, 0.95)) for test in tests if np.isfinite(found := seed_effects(test)).any()]
    return padded([*ends, 0.0, bound, -bound, *np.ravel(seeds)])


def seed_effects(test: Mapping[str, Any]) -> np.ndarray:
    """Return the effect of every seed of a test, NaN where it has none; empty of a contrast of the study."""
    return np.array([number(value) for value in test["effects"]], dtype=float)


def effect_ticks(test: Mapping[str, Any], low: float, high: float) -> tuple[list[float], list[str]]:
    """Return the ticks of an axis of effects: ratios on a logarithmic one, percentage points, or the test's unit.

    Beside a reference they are named by what was measured.
    """
    if is_beside(test):
        than = test["than"]
        if test["scale"] != "log":
            ticks, names = nice_ticks(than + low, than + high)
            return [tick - than for tick in ticks], names
        values = [
            v for v in nice_ticks(than * math.exp(max(low, -50.0)), than * math.exp(min(high, 50.0)), 4)[0] if v > 0
        ]
        return [math.log(value / than) for value in values], [f"{value:.3g}" for value in values]
    if test["scale"] == "log":
        ends = math.exp(max(low, -50.0)), math.exp(min(high, 50.0))
        ratios = log_ticks(*ends)[0] if ends[1] > 8 * ends[0] else nice_ticks(*ends, 4)[0]
        return [math.log(r) for r in ratios if r > 0], [f"\N{MULTIPLICATION SIGN}{r:.3g}" for r in ratios if r > 0]
    scale = 100.0 if test["unit"] == "pp" else 1.0
    ticks, names = nice_ticks(scale * low, scale * high)
    return [tick / scale for tick in ticks], names


def axis_label(test: Mapping[str, Any]) -> str:
    """Return what an axis of effects shows."""
    if is_beside(test):
        unit = f" ({clean(test['unit'])})" if test["unit"] not in ("", "pp") else ""
        return f"measured{unit}; line: reference {test['than']:g}"
    if test["scale"] == "log":
        return "ratio"
    unit = clean(test["unit"])
    return f"difference ({unit})" if unit else "difference"


def paint_row(axes: "Axes", test: Mapping[str, Any], lines: list[str], top: float, height: float) -> None:
    """Paint the name of a case and its numbers, under them its seeds, interval and mean."""
    left, right = axes.get_xlim()
    axes.axhline(top, color=GRID, linewidth=0.7)
    for i, line in enumerate(lines):
        axes.text(left, top + LINE * (i + 0.9), line, fontsize=FONT_SIZE - 0.5)
    shown = " ".join(value_parts(test)) if is_beside(test) else effect_text(test)
    axes.text(right, top + LINE * 0.9, shown, fontsize=FONT_SIZE - 0.5, ha="right", color=SOFT)
    effects, middle = seed_effects(test), top + height - BAR / 2
    heights = middle + (np.arange(len(effects)) * 0.618034 % 1 - 0.5) * 14
    inside = np.isfinite(effects) & (effects >= left) & (effects <= right)
    paint_dots(axes, effects[inside], heights[inside])
    estimate, low, high = (number(test[key]) for key in ("estimate", "low", "high"))
    axes.plot([low, high], [middle, middle], color=INK, linewidth=2, solid_capstyle="butt")
    axes.plot([estimate], [middle], marker="o", markersize=6, color=INK)


def paint_dots(axes: "Axes", x: np.ndarray, y: np.ndarray) -> None:
    """Paint dots as one path: a mark of its own for each would make most of the page."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    if not len(x):
        return
    points = np.repeat(np.stack([x, y], axis=1), 2, axis=0)
    codes = [Path.MOVETO, Path.LINETO] * len(x)
    dots = PathPatch(Path(points, codes), facecolor="none", edgecolor=PALETTE[0], linewidth=4, alpha=0.55)
    dots.set_capstyle("round")
    axes.add_patch(dots)


def draw_levels(claim: Mapping[str, Any]) -> Drawing | None:
    """Return a measure over the levels of a factor with its 95% interval, a line per case, level or option, or None.

    Levels stand at equal distances; what is drawn are means over seeds.
    """
    figure = claim["figure"]
    rows = [row for row in figure["rows"] if row["mean"] is not None] if figure else []
    if not rows:
        return None
    lines = list(dict.fromkeys(row["line"] for row in rows))[:MOST_LINES]
    levels = list(dict.fromkeys(row["level"] for row in figure["rows"]))
    named = bool(figure["lines"])
    top = LEGEND * len(lines) + 8 if named else 8.0
    total = 190.0 + top + FOOT
    kept = [row for row in rows if row["line"] in lines]
    ends = [number(row[key]) for row in kept for key in ("mean", "low", "high")]

    def paint(sheet: "Figure") -> None:
        axes = make_axes(sheet, total, (-0.4, len(levels) - 0.6), padded(ends), 52.0, top)
        axes.grid(axis="y")
        for index, line in enumerate(lines):
            paint_line(axes, [row for row in kept if row["line"] == line], levels, index)
            if named:
                paint_key(axes, index, f"{figure['lines'] + ' ' if figure['lines'] != 'cases' else ''}{line}", total)
        set_ticks(axes, "x", list(range(len(levels))), [wrap_label(level, 12, 1)[0] for level in levels])
        set_ticks(axes, "y", *nice_ticks(*axes.get_ylim()))
        axes.set_xlabel(clean(figure["over"]))

    told = "; ".join(f"{row['line']} {row['level']}: {row['mean']:.4g}".strip() for row in kept)
    left = len({row["line"] for row in rows}) - len(lines)
    more = f" {count(left, 'line')} more in the CSV." if left > 0 else ""
    caption = (
        f"{clean(figure['about'])}, over {clean(figure['over'])}: means over seeds, bands are 95% intervals of the "
        f"mean, not of a difference.{more}"
    )
    alt = f"{figure['measure']} over {figure['over']}: {told}"
    return shrink(draw(WIDTH, total, paint, f"{slug(claim['id'])}-levels", alt, caption))


def paint_line(axes: "Axes", rows: Sequence[Mapping[str, Any]], levels: list[str], index: int) -> None:
    """Paint one line with its band."""
    look = cell_look(index)
    x = [levels.index(row["level"]) for row in rows]
    mean, low, high = (np.array([number(row[key]) for row in rows]) for key in ("mean", "low", "high"))
    axes.fill_between(x, low, high, color=look.color, alpha=0.15, linewidth=0)
    axes.plot(x, mean, color=look.color, linewidth=1.8, dashes=look.dashes or (None, None), marker=look.marker,
              markersize=4.5)  # fmt: skip


def paint_key(axes: "Axes", index: int, name: str, total: float) -> None:
    """Paint the name of a line above the axes, beside a piece of it."""
    from matplotlib.transforms import blended_transform_factory

    look, figure = cell_look(index), axes.figure
    y = 1 - (LEGEND * (index + 0.6)) / total
    place = blended_transform_factory(figure.transFigure, figure.transFigure)
    axes.plot([52 / WIDTH, 82 / WIDTH], [y, y], color=look.color, linewidth=1.8, dashes=look.dashes or (None, None),
              transform=place, clip_on=False)  # fmt: skip
    axes.text(88 / WIDTH, y, wrap_label(name, 44, 1)[0], transform=place, va="center", fontsize=FONT_SIZE - 0.5)


def shrink(drawing: Drawing) -> Drawing:
    """Return a drawing whose coordinates have two decimals: a hundredth of a point is not seen."""
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), drawing.svg)
    return drawing._replace(svg=svg)
