"""The section on sources of variance: how much of the luck of a seed comes from each stream of randomness."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regjax.analysis.sources import FEWEST_PAIRS, count_mixed, make_sources
from regjax.analysis.table import Table
from regjax.report.drawing import GRID, INK, PALETTE, SOFT, Drawing, draw, set_ticks, wrap_label
from regjax.report.extra import Extra
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import MISSING, STREAM_WORDS, clean, count, effect_unit, format_spread, metric_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, LEFT, LINE, HEAD = 480.0, 104.0, 17.0, 20.0
MOST_CELLS = 8
SHORT = {
    "init": "initial weights", "order": "example order", "dropout": "dropout draws", "noise": "noise",
    "augment": "augmentation", "labels": "label noise", "split": "split", "subset": "training subset",
}  # fmt: skip
MEANING = (
    "Exploratory. Pairs of seeds swap one stream of randomness and keep all others. The total share of a stream is the "
    "variance of runs that differ in it alone, against that of runs that differ in all; it holds the stream's "
    "interactions with others, so that total shares may sum to more than 100%. The first-order share is by how much "
    "the variance would fall if the stream were held fixed. Each interval stands alone (t over pairs of seeds)."
)


def make_section(table: Table) -> Extra | None:
    """Return the section on sources of variance; None where the study asks for none or no pair of seeds is done."""
    frame = make_sources(table)
    if frame.empty or not frame["n"].any():
        return None
    sentences = [sources_sentence(frame), MEANING]
    if frame["n"].min() < len(table.plan["sources"]["pairs"]):
        sentences.append("Pairs with a run that diverged or is not done are left out.")
    if mixed := count_mixed(table):
        sentences.append(
            f"The runs of {count(mixed, 'pair')} of seeds come from several layouts or devices: what rounding does to "
            "them counts as if the stream had done it."
        )
    return Extra("sources", "Sources of variance", tuple(sentences), (draw_sources(frame),), (sources_grid(frame),))


def percent(share: float) -> str:
    """Return a share in percent without decimals, with one below 10%; 0 only where it is nothing.

    >>> percent(0.714), percent(0.031), percent(0.0)
    ('71%', '3.1%', '0%')
    """
    if np.isnan(share):
        return MISSING
    return f"{100 * share:.0f}%" if share >= 0.0995 or not share else f"{100 * share:.1f}%"


def percents(low: float, high: float) -> str:
    """Return an interval of shares, empty where there is none."""
    return "" if np.isnan(low) or np.isnan(high) else f"[{percent(low)}, {percent(high)}]"


def sources_sentence(frame: pd.DataFrame) -> str:
    """Return what makes the variance in the first cell, the largest share first."""
    first = frame.iloc[0]
    mine = frame[frame["cell"] == first["cell"]].sort_values("total", ascending=False, kind="stable")
    metric = str(first["metric"])
    start = f"In the baseline cell ({clean(first['cell'])})"
    if not first["n"] or not first["sd_all"]:
        return f"{start} seeds do not differ in {metric_words(metric)}, or no pair of them is done."
    parts = [
        f"{STREAM_WORDS[row['stream']]} {percent(row['total'])}"
        + (f" {ends}" if (ends := percents(row["low"], row["high"])) else "")
        for row in mine.to_dict("records")
    ]
    unit = f" {effect_unit(metric)}" if effect_unit(metric) else ""
    few = "" if first["n"] >= FEWEST_PAIRS else f" Below {FEWEST_PAIRS} pairs there are no intervals."
    return (
        f"{start} the seed-to-seed SD of {metric_words(metric)} is {format_spread(metric, first['sd_all'])}{unit}; "
        f"total shares of that variance: {', '.join(parts)} ({count(int(first['n']), 'pair')} of seeds).{few}"
    )


def sources_grid(frame: pd.DataFrame) -> Grid:
    """Return the table of all shares, a row per cell and stream."""
    metric = str(frame["metric"].iloc[0])
    unit = f" ({effect_unit(metric)})" if effect_unit(metric) else ""
    columns = (
        Column("Cell"), Column("Stream"), Column("Pairs", True), Column("Total share", True),
        Column("95% interval", True), Column("First-order share", True), Column("95% interval", True),
        Column(f"SD by it{unit}", True), Column(f"SD by all{unit}", True),
    )  # fmt: skip
    rows = [
        Row(
            (
                clean(row["cell"]), SHORT[row["stream"]], str(row["n"]),
                percent(row["total"]), percents(row["low"], row["high"]) or MISSING,
                percent(row["first"]), percents(row["first_low"], row["first_high"]) or MISSING,
                format_spread(metric, row["sd"]), format_spread(metric, row["sd_all"]),
            ),
            "exploratory",
        )
        for row in frame.to_dict("records")
    ]  # fmt: skip
    return Grid(f"Shares of the variance of {metric_words(metric)} between seeds", columns, tuple(rows))


def draw_sources(frame: pd.DataFrame) -> Drawing:
    """Return the figure: a bar per stream in the block of each cell, its interval, and the first-order share.

    Args:
      frame: from `make_sources`.
    """
    cells = list(dict.fromkeys(frame["cell"]))
    some = frame[frame["cell"].isin(cells[:MOST_CELLS])]
    blocks = [mine for _, mine in some.groupby("cell", sort=False)]
    height = sum(HEAD + LINE * len(mine) for mine in blocks) + 58

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((LEFT / WIDTH, 34 / height, 1 - (LEFT + 16) / WIDTH, 1 - 58 / height))
        places, names, at = [], [], 0.0
        for mine in blocks:
            label = wrap_label(str(mine["cell"].iloc[0]), 52, 1)[0]
            axes.text(0.0, at + 0.5 * HEAD, label, va="center", ha="left", weight="bold")
            at += HEAD
            where = [at + LINE * (k + 0.5) for k in range(len(mine))]
            _paint_bars(axes, mine, np.array(where))
            places += where
            names += [SHORT[stream] for stream in mine["stream"]]
            at += LINE * len(mine)
        axes.set_xlim(0.0, 1.0)
        axes.set_ylim(at, 0.0)
        set_ticks(axes, "x", [0, 0.25, 0.5, 0.75, 1], ["0%", "25%", "50%", "75%", "100%"])
        set_ticks(axes, "y", places, names)
        axes.set_xlabel("share of the variance between seeds")
        handles, labels = axes.get_legend_handles_labels()
        known = dict(zip(labels, handles, strict=True))
        axes.legend(list(known.values()), list(known), loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2,
                    frameon=False, borderaxespad=0.2)  # fmt: skip

    cut = f" The first {len(blocks)} of {len(cells)} cells." if len(blocks) < len(cells) else ""
    lines = " Lines are 95% intervals of the total share." if some["low"].notna().any() else ""
    metric = metric_words(str(frame["metric"].iloc[0]))
    caption = (
        f"How much of the variance of {metric} between seeds comes from each stream of randomness: bars are total "
        f"shares, with interactions; diamonds are first-order shares, of the stream alone.{lines}{cut}"
    )
    said = "; ".join(
        f"{row['cell']}: {SHORT[row['stream']]} {percent(row['total'])}" for row in some.to_dict("records")
    )
    data = some[["cell", "stream", "n", "total", "low", "high", "first", "first_low", "first_high"]]
    return draw(WIDTH, height, paint, "sources", f"Shares of the variance of {metric}: {said}", caption,
                data.rename(columns={"n": "pairs"}).reset_index(drop=True))  # fmt: skip


def _paint_bars(axes: "Axes", mine: pd.DataFrame, at: np.ndarray) -> None:
    """Paint the shares of one cell at these heights."""
    axes.grid(visible=True, axis="x", color=GRID, linewidth=0.7)
    axes.barh(at, mine["total"], height=0.62 * LINE, color=PALETTE[0], alpha=0.45, label="total")
    axes.hlines(at, mine["low"], mine["high"], color=INK, linewidth=1.2)
    axes.plot(mine["first"], at, linestyle="none", marker="D", markersize=4.5, color=PALETTE[1],
              markeredgecolor=SOFT, markeredgewidth=0.4, clip_on=False, label="first order")  # fmt: skip
