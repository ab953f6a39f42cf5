"""Several studies as text for a terminal, and their critical-difference diagram as an SVG file."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regjax.analysis.across import LEAST_SETS, Ranks, pool_p, rank_cells
from regjax.analysis.table import Table
from regjax.files import RegjaxError, publish_text
from regjax.report.drawing import FONT_SIZE, INK, SOFT, Drawing, draw, wrap_label
from regjax.report.paper import svg_file
from regjax.report.tables import Column, Grid, Row, effect_rows
from regjax.report.text import grid_text
from regjax.report.words import MISSING, clean, count, effect_unit, format_effect, format_p, metric_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW = 16.0
WIDTH = 560.0


def across_text(tables: Mapping[str, Table]) -> str:
    """Return what several studies say together: adjusted p-values, and ranks of cells where all have the same ones.

    Args:
      tables: {name: loaded run directory}.
    """
    parts = [grid_text(pooled_grid(tables))]
    try:
        ranks = rank_cells(tables) if len(tables) > 1 else None
    except RegjaxError as error:
        return f"{parts[0]}\n\nCells are not ranked: {error}."
    if ranks is not None:
        parts += [grid_text(ranks_grid(ranks)), _ranks_sentence(ranks)]
    return "\n\n".join(parts)


def across_json(tables: Mapping[str, Table]) -> dict[str, Any]:
    """Return the numbers of `across_text`: studies, effects and ranks (None where cells are not ranked)."""
    columns = ["study", "contrast", "metric", "n", "effect", "p", "p_holm", "p_bh"]
    try:
        ranks = rank_cells(tables) if len(tables) > 1 else None
    except RegjaxError:
        ranks = None
    ranked = ranks and {
        "metric": ranks.metric,
        "cells": [
            {"cell": cell, "rank": ranks.ranks[c], "p": ranks.p[c], "p_holm": ranks.p_holm[c]}
            for c, cell in enumerate(ranks.cells)
        ],
        "friedman_p": ranks.friedman_p,
        "distance": ranks.distance,
    }
    return {"studies": list(tables), "effects": pool_p(tables)[columns], "ranks": ranked}


def pooled_grid(tables: Mapping[str, Table]) -> Grid:
    """Return the confirmatory rows of all studies with p-values adjusted across studies."""
    columns = (Column("Study"), Column("Contrast"), Column("Metric"), Column("Seeds", True), Column("Effect", True),
               Column("p in its study", True), Column("Holm", True), Column("Benjamini-Hochberg", True))  # fmt: skip
    rows = [
        Row((clean(row["study"]), clean(row["contrast"]), metric_words(row["metric"]), str(row["n"]),
             _effect_text(row["metric"], row["effect"]), format_p(row["p"]), format_p(row["p_holm"]),
             format_p(row["p_bh"])))
        for row in effect_rows(pool_p(tables))
    ]  # fmt: skip
    return Grid("Confirmatory effects of all studies", columns, tuple(rows))


def _effect_text(metric: str, effect: float) -> str:
    unit = effect_unit(metric) if math.isfinite(effect) else ""
    return f"{format_effect(metric, effect)} {unit}".strip()


def ranks_grid(ranks: Ranks) -> Grid:
    """Return the cells by average rank, the best first."""
    columns = (
        Column("Cell"),
        Column("Average rank", True),
        Column("Wilcoxon p vs baseline", True),
        Column("Holm", True),
    )
    rows = [
        Row((clean(ranks.cells[c]), f"{ranks.ranks[c]:.2f}", format_p(ranks.p[c]), format_p(ranks.p_holm[c])))
        for c in np.argsort(ranks.ranks, kind="stable")
    ]
    return Grid(
        f"Ranks over {count(len(ranks.sets), 'data set')} by {metric_words(ranks.metric)}", columns, tuple(rows)
    )


def _ranks_sentence(ranks: Ranks) -> str:
    shown = format_p(ranks.friedman_p)
    friedman = (
        "" if shown == MISSING else f"Friedman test that all rank alike: p {'' if shown[0] == '<' else '= '}{shown}. "
    )
    if math.isnan(ranks.distance):
        return f"{friedman}A critical difference needs {LEAST_SETS} data sets, here are {len(ranks.sets)}."
    return f"{friedman}Average ranks that differ by less than {ranks.distance:.2f} are not shown to differ (Nemenyi)."


def save_diagram(tables: Mapping[str, Table], path: Path) -> Path:
    """Write the critical-difference diagram of the studies' cells as an SVG file and return its path.

    Raises:
      RegjaxError: the file is no .svg, the studies cannot be ranked or are fewer than six.
      StoreError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".svg":
        raise RegjaxError(f"got the file {path.name!r}, expected a name that ends in .svg")
    ranks = rank_cells(tables)
    if math.isnan(ranks.distance):
        raise RegjaxError(f"a critical-difference diagram needs {LEAST_SETS} data sets, got {len(ranks.sets)}")
    publish_text(path, svg_file(draw_diagram(ranks)))
    return path


def draw_diagram(ranks: Ranks) -> Drawing:
    """Return the diagram: cells at their average ranks, the best on the left, bars join those not shown to differ."""
    order = np.argsort(ranks.ranks, kind="stable")
    num_left = (len(order) + 1) // 2
    height = 62 + 10 * len(ranks.groups) + ROW * num_left

    def paint(figure: "Figure") -> None:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
        k, left, right, line = len(order), 150.0, WIDTH - 150.0, 44.0

        def x_of(rank: float) -> float:
            return left + (rank - 1) * (right - left) / (k - 1)

        axes.plot([left, right], [line, line], color=INK, linewidth=1)
        for rank in range(1, k + 1):
            axes.plot([x_of(rank)] * 2, [line - 5, line], color=INK, linewidth=1)
            axes.text(x_of(rank), line - 7, str(rank), ha="center", va="bottom")
        end = x_of(1 + ranks.distance)
        axes.plot([left, end], [12, 12], color=SOFT, linewidth=2)
        axes.text(end + 5, 12, f"critical difference {ranks.distance:.2f}", va="center", color=SOFT)
        for i, (first, last) in enumerate(ranks.groups):
            span = [x_of(ranks.ranks[order[first]]) - 3, x_of(ranks.ranks[order[last]]) + 3]
            axes.plot(span, [line + 8 + 10 * i] * 2, color=INK, linewidth=3.5)
        top = line + 12 + 10 * len(ranks.groups)
        for i, cell in enumerate(order):
            on_left = i < num_left
            y = top + ROW * (i if on_left else k - 1 - i)
            x = x_of(ranks.ranks[cell])
            stop, side = (left - 12, "right") if on_left else (right + 12, "left")
            axes.plot([x, x, stop], [line, y, y], color=SOFT, linewidth=0.8)
            label = wrap_label(ranks.cells[cell], 26, 1)[0]
            axes.text(stop + (-4 if on_left else 4), y, label, ha=side, va="center", fontsize=FONT_SIZE - 1)

    listed = "; ".join(f"{ranks.cells[c]} {ranks.ranks[c]:.2f}" for c in order)
    alt = f"Average ranks over {len(ranks.sets)} data sets, critical difference {ranks.distance:.2f}: {listed}"
    return draw(WIDTH, height, paint, "ranks", alt)
