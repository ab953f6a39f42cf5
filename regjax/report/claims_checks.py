"""Figures of exact checks: what was found beside what was expected, over a number or in rows of units."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from regjax.report.claims_figures import BAR, FOOT, LABEL_CHARACTERS, LEGEND, LINE, WIDTH, make_axes, paint_dots, shrink
from regjax.report.claims_numbers import number
from regjax.report.drawing import (
    FONT_SIZE,
    GRID,
    SOFT,
    Drawing,
    cell_look,
    draw,
    nice_ticks,
    padded,
    set_ticks,
    slug,
    wrap_label,
)
from regjax.report.words import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Check = Mapping[str, Any]


def draw_checks(claim: Mapping[str, Any]) -> list[Drawing]:
    """Return a drawing for each panel that the exact checks of a claim name."""
    checks = [c for case in claim["cases"] for test in case["tests"] for c in test["checks"] if c["panel"]]
    panels = list(dict.fromkeys(check["panel"] for check in checks))
    drawings = []
    for panel in panels:
        mine = [check for check in checks if check["panel"] == panel]
        paint, height = over_number(mine) if mine[0]["over"] else in_rows(mine)
        told = "; ".join(f"{clean(c['says'])}: {clean(c['got'])}, expected {clean(c['expected'])}" for c in mine)
        name = f"{slug(claim['id'])}-check-{slug(panel)}"
        drawings.append(shrink(draw(WIDTH, height, paint, name, f"{panel}: {told}", caption_of(mine))))
    return drawings


def caption_of(checks: Sequence[Check]) -> str:
    """Return what a panel shows and how to read it."""
    first = checks[0]
    if first["over"]:
        return f"Exact checks: {clean(first['panel'])}, over the {clean(first['over'])}. Dashed: what was expected."
    return (
        f"Exact checks: {clean(first['panel'])}, a dot for each unit. Dashed: what was expected; the number is that of "
        "the unit furthest from it."
    )


def over_number(checks: Sequence[Check]) -> tuple[Any, float]:
    """Return what paints points over a number, found and expected, a line for each name; and its height."""
    lines = list(dict.fromkeys(check["line"] for check in checks))
    top = LEGEND * (len(lines) + 1) + 8
    total = 170.0 + top + FOOT
    x = padded([float(check["place"]) for check in checks] + [0.0])
    y = padded([number(check[key]) for check in checks for key in ("found", "wanted")])

    def paint(figure: "Figure") -> None:
        axes = make_axes(figure, total, x, y, 52.0, top)
        axes.grid(axis="y")
        for index, line in enumerate(lines):
            paint_points(axes, [check for check in checks if check["line"] == line], index)
            paint_name(axes, index, line, total, cell_look(index).color, cell_look(index).marker)
        paint_name(axes, len(lines), "expected", total, SOFT)
        set_ticks(axes, "x", *nice_ticks(*axes.get_xlim()))
        set_ticks(axes, "y", *nice_ticks(*axes.get_ylim()))
        axes.set_xlabel(clean(checks[0]["over"]))

    return paint, total


def paint_points(axes: "Axes", checks: Sequence[Check], index: int) -> None:
    """Paint what was found of one line as marks, and what was expected as a dashed line or, of one point, a dash."""
    known = sorted(checks, key=lambda check: float(check["place"]))
    x, found, wanted = (np.array([number(check[key]) for check in known]) for key in ("place", "found", "wanted"))
    look = cell_look(index)
    if len(known) > 1:
        axes.plot(x, wanted, color=SOFT, linewidth=1.2, dashes=(4, 2))
    else:
        axes.plot(x, wanted, color=SOFT, marker="_", markersize=14)
    axes.plot(x, found, color=look.color, linewidth=0, marker=look.marker, markersize=6)


def paint_name(axes: "Axes", index: int, name: str, total: float, color: str, marker: str = "") -> None:
    """Paint the name of a line above the axes, beside its mark, or without one beside a piece of it."""
    y = 1 - (LEGEND * (index + 0.6)) / total
    place = axes.figure.transFigure
    ends = [67 / WIDTH] if marker else [52 / WIDTH, 82 / WIDTH]
    axes.plot(ends, [y] * len(ends), color=color, linewidth=1.2, dashes=(4, 2), marker=marker or None, markersize=6,
              transform=place, clip_on=False)  # fmt: skip
    axes.text(88 / WIDTH, y, wrap_label(name, 44, 1)[0], transform=place, va="center", fontsize=FONT_SIZE - 0.5)


def in_rows(checks: Sequence[Check]) -> tuple[Any, float]:
    """Return what paints a row of units for each place, with what was expected as a line; and its height."""
    height = LINE + BAR
    total = height * len(checks) + FOOT + 4
    wanted = [number(check["wanted"]) for check in checks if check["wanted"] is not None]
    x = padded([*wanted, *(value for check in checks for value in check["values"])])

    def paint(figure: "Figure") -> None:
        axes = make_axes(figure, total, x, (height * len(checks), 0))
        for value in dict.fromkeys(wanted):
            axes.axvline(value, color=SOFT, linewidth=1.2, dashes=(4, 2))
        for index, check in enumerate(checks):
            paint_units(axes, check, height * index, height)
        set_ticks(axes, "x", *nice_ticks(*axes.get_xlim()))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(clean(checks[0]["panel"]))

    return paint, total


def paint_units(axes: "Axes", check: Check, top: float, height: float) -> None:
    """Paint the name of a row and the unit furthest from what was expected, under them all units."""
    left, right = axes.get_xlim()
    axes.axhline(top, color=GRID, linewidth=0.7)
    axes.text(left, top + LINE * 0.9, wrap_label(check["place"], LABEL_CHARACTERS, 1)[0], fontsize=FONT_SIZE - 0.5)
    said = f"{clean(check['got'])}, expected {clean(check['expected'])}"
    axes.text(right, top + LINE * 0.9, said, fontsize=FONT_SIZE - 0.5, ha="right", color=SOFT)
    values = np.array(check["values"], dtype=float)
    paint_dots(axes, values, top + height - BAR / 2 + (np.arange(len(values)) * 0.618034 % 1 - 0.5) * 14)
