"""The section on costs: how much longer an update takes with each part, and what it takes of memory and compiling."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regjax.analysis.overhead import read_costs, study_digest
from regjax.analysis.table import Table
from regjax.report.drawing import GRID, INK, PALETTE, PAPER, Drawing, draw, nice_ticks, padded, set_ticks, wrap_label
from regjax.report.extra import Extra
from regjax.report.tables import Column, Grid, Row
from regjax.report.text import grid_text
from regjax.report.words import MISSING, clean, count, format_setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LEFT, LINE = 390.0, 128.0, 30.0
TITLE = "What each part costs"
STALE = "The costs that are stored were measured for another form of this study; `regjax cost OUT` measures them anew."
FORMS = {"population": "in the population", "member": "one run alone"}
CLOCKS = {"processor": "the processor's time of all threads", "wall": "wall time"}
# Form -> height of its dot beside the middle of the line, colour, marker, face.
LOOKS = {"population": (-0.14, PALETTE[0], "o", PALETTE[0]), "member": (0.14, PALETTE[1], "s", PAPER)}


def make_section(table: Table) -> Extra | None:
    """Return the section on costs; None where they were not measured."""
    costs = read_costs(table.out) if table.out is not None else None
    if costs is None:
        return None
    if costs["study"] != study_digest(table.plan):
        return Extra("cost", TITLE, (STALE,))
    sentences = [*(cost_sentence(part) for part in costs["parts"]), meaning(costs), *same_sentences(costs)]
    grids = tuple(cost_grid(costs, form) for form in FORMS)
    return Extra("cost", TITLE, tuple(sentences), (draw_costs(costs),), grids)


def costs_text(costs: Mapping[str, Any]) -> str:
    """Return costs for a terminal: two tables and what they mean."""
    grids = [grid_text(cost_grid(costs, form)) for form in FORMS]
    return "\n\n".join([*grids, " ".join([meaning(costs), *same_sentences(costs)])])


def part_name(part: Mapping[str, Any]) -> str:
    """Return a part's factor and level.

    >>> part_name({"factor": "dropout.hidden", "level": 0.5}), part_name({"factor": ""})
    ('dropout.hidden = 0.5', 'all of them')
    """
    return f"{clean(part['factor'])} = {format_setting(part['level'])}" if part["factor"] else "all of them"


def times(found: Mapping[str, float | None]) -> str:
    """Return a ratio with its interval.

    >>> times({"ratio": 1.0864, "low": 0.95, "high": 1.1}), times({"ratio": 1.5, "low": None, "high": None})
    ('1.09 [0.95, 1.10]', '1.50')
    """
    if found["ratio"] is None:
        return MISSING
    ends = "" if found["low"] is None else f" [{found['low']:.2f}, {found['high']:.2f}]"
    return f"{found['ratio']:.2f}{ends}"


def more(pair: list[float]) -> str:
    """Return by how many percent the first number is above the second.

    >>> more([112.0, 100.0]), more([1000.4, 1000.0]), more([99.0, 100.0])
    ('+12%', '+0.0%', '-1.0%')
    """
    percent = 100 * (pair[0] / pair[1] - 1)
    return f"{percent:+.0f}%" if abs(percent) >= 9.5 else f"{percent:+.1f}%"


def cost_sentence(part: Mapping[str, Any]) -> str:
    """Return what a part costs, in a sentence."""
    many, one = part["population"], part["member"]
    update = many["update"]
    unclear = update["low"] is None or update["low"] <= 1 <= update["high"]
    said = "no difference in the time of an update is shown:" if unclear else "an update takes"
    return (
        f"{part_name(part)}: {said} {times(update)} times that without, {times(one['update'])} for one run alone; with "
        f"evaluations {times(many['run'])}; memory per run {more(many['bytes'])}, compiling "
        f"{many['compile'][0] / many['compile'][1]:.1f} times."
    )


def meaning(costs: Mapping[str, Any]) -> str:
    """Return how the costs were measured, and what the intervals do not say."""
    versions = ", ".join(f"{name} {version}" for name, version in costs["versions"].items())
    rounds = sorted({part[form]["rounds"] for part in costs["parts"] for form in FORMS})
    words = count(rounds[-1], "round") if len(rounds) == 1 else f"{rounds[0]} to {rounds[-1]} rounds"
    return (
        f"Each part alone against none of them, in programs compiled apart and timed in turns ({words}, with, without, "
        f"without, with; {CLOCKS[costs['clock']]}) on {clean(costs['devices'])}, {clean(versions)}. Ratios are medians "
        "over rounds; the 95% intervals say how exactly these programs were timed, not what another machine, network "
        "or batch size would give. In a program that cells share, a part takes its time also where it is off."
    )


def same_sentences(costs: Mapping[str, Any]) -> list[str]:
    """Return which factors were not timed, and why."""
    said = "; ".join(f"{clean(path)} ({clean(why)})" for path, why in costs["same"].items())
    return [f"Not timed: {said}."] if said else []


def cost_grid(costs: Mapping[str, Any], form: str) -> Grid:
    """Return the table of the costs in one form of program, a row per part."""
    slots = costs["parts"][0][form]["slots"]
    columns = (
        Column("With"), Column("An update", True), Column("An evaluation", True), Column("A run", True),
        Column("Memory per run", True), Column("Compiling", True),
    )  # fmt: skip
    rows = [
        Row(
            (
                part_name(part), *(times(part[form][kind]) for kind in ("update", "evaluation", "run")),
                more(part[form]["bytes"]), f"{part[form]['compile'][0] / part[form]['compile'][1]:.1f}",
            )
        )
        for part in costs["parts"]
    ]  # fmt: skip
    where = f"{slots} runs at once" if form == "population" else "one run alone on one device"
    return Grid(f"With a part, against without: {where}", columns, tuple(rows))


def costs_frame(costs: Mapping[str, Any]) -> pd.DataFrame:
    """Return the ratios of the time of an update: part, program ("in the population", ...), slots, ratio, low, high."""
    return pd.DataFrame(
        [
            {"part": part_name(part), "program": words, "slots": part[form]["slots"], **part[form]["update"]}
            for part in costs["parts"]
            for form, words in FORMS.items()
        ]
    ).astype(dict.fromkeys(("ratio", "low", "high"), float))


def draw_costs(costs: Mapping[str, Any]) -> Drawing:
    """Return the figure: a line per part, with the ratio of the time of an update and its interval, twice."""
    frame = costs_frame(costs)
    names = list(dict.fromkeys(frame["part"]))
    height = LINE * len(names) + 66

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((LEFT / WIDTH, 40 / height, 1 - (LEFT + 16) / WIDTH, 1 - 66 / height))
        axes.grid(visible=True, axis="x", color=GRID, linewidth=0.7)
        axes.axvline(1.0, color=INK, linewidth=0.9)
        for form, words in FORMS.items():
            _paint_form(axes, frame[frame["program"] == words], form)
        ends = padded(np.append(frame[["ratio", "low", "high"]].to_numpy().ravel(), 1.0))
        axes.set_xlim(*ends)
        axes.set_ylim(len(names) - 0.5, -0.5)
        set_ticks(axes, "x", *nice_ticks(*ends))
        set_ticks(axes, "y", range(len(names)), ["\n".join(wrap_label(name, 22, 2)) for name in names])
        axes.set_xlabel("time of an update, with to without")
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, borderaxespad=0.2)

    caption = (
        "How many times as long an update takes with each part alone as with none: medians over rounds, lines are 95% "
        "intervals; at 1 the part costs no time."
    )
    said = "; ".join(
        f"{part_name(part)}, {words}: {times(part[form]['update'])}"
        for part in costs["parts"]
        for form, words in FORMS.items()
    )
    return draw(WIDTH, height, paint, "cost", f"Ratios of the time of an update: {said}", caption, frame)


def _paint_form(axes: "Axes", mine: pd.DataFrame, form: str) -> None:
    """Paint the ratios of one form of program, a dot with its interval on the line of each part."""
    shift, color, marker, face = LOOKS[form]
    at = np.arange(len(mine)) + shift
    axes.hlines(at, mine["low"], mine["high"], color=color, linewidth=1.4)
    axes.plot(mine["ratio"], at, linestyle="none", marker=marker, markersize=5.5, color=color, markerfacecolor=face,
              label=FORMS[form])  # fmt: skip
