"""The section on weights: how large they are in every cell, and which share of each layer is exactly zero."""

import functools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regjax.analysis.table import Table, reference_cell
from regjax.analysis.weights import read_weights
from regjax.report.curves import MOST_TOGETHER
from regjax.report.drawing import FONT_SIZE, PALETTE, SOFT, Drawing, Look, cell_look
from regjax.report.extra import Extra
from regjax.report.gallery import short_names, shown_cells, shown_note
from regjax.report.panels import Frame, Panel, draw_panels
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import MISSING, clean, format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS, MOST_LAYERS = 8, 8
LOWEST, WIDTH_OF_BIN = -8.0, 0.25
# Share of weights beyond either end of the axis.
CUT = 1e-3


def make_section(table: Table) -> Extra | None:
    """Return the section; None where no run has a histogram of its weights."""
    frame = read_weights(table)
    if frame is None or frame.empty:
        return None
    zeros = frame["zeros"].sum() > 0
    moment = str(frame["moment"].iloc[0])
    when = "at their best evaluation" if moment == "best" else f"after {int(moment):,} updates, or where they stopped"
    sentence = f"Weights are those of all matrices (no biases, no scales of norms) of every run, {when}."
    sentence += "" if zeros else " No weight of any run is exactly zero."
    grids = (_zeros_grid(table, frame),) if zeros else ()
    return Extra("weights", "Weights and sparsity", (sentence,), (draw_weights(table, frame),), grids)


def _zeros_grid(table: Table, frame: pd.DataFrame) -> Grid:
    layers = list(dict.fromkeys(frame["layer"]))
    chosen = layers if len(layers) <= MOST_LAYERS else [*layers[: MOST_LAYERS - 1], layers[-1]]
    share = (frame["zeros"] / frame["num"]).groupby([frame["cell"], frame["layer"]]).mean()
    sums = frame.groupby("cell")[["zeros", "num"]].sum()
    rows = []
    for cell, name in enumerate(short_names(table.plan)):
        known = cell in sums.index
        total = format_share(_round(sums["zeros"][cell] / sums["num"][cell])) if known else MISSING
        rows.append(Row((name, total, *(format_share(_round(share.get((cell, layer), np.nan))) for layer in chosen))))
    note = "" if len(chosen) == len(layers) else f" ({len(chosen)} of {len(layers)} layers)"
    columns = (Column("Cell"), Column("All", True), *(Column(clean(layer), True) for layer in chosen))
    return Grid(f"Share of weights that are exactly zero, mean over seeds{note}", columns, tuple(rows))


def _round(share: float) -> float:
    return round(float(share), 3)


def weight_shares(frame: pd.DataFrame, num_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of weights in every bin [cell, bin] and of exact zeros [cell], means over runs, NaN without.

    Args:
      frame: from `read_weights`.
      num_cells: of the study.
    """
    bins = len(frame["counts"].iloc[0])
    shares, zeros = np.full((num_cells, bins), np.nan), np.full(num_cells, np.nan)
    for cell in sorted(set(frame["cell"])):
        rows = frame[frame["cell"] == cell]
        counts = np.stack(rows["counts"].to_list()).astype(float)
        # A run's layers count as one network.
        whole = pd.DataFrame(counts).groupby(rows["run"].to_numpy()).sum()
        sums = rows.groupby("run")[["num", "zeros"]].sum().loc[whole.index]
        shares[cell] = (whole.to_numpy() / sums[["num"]].to_numpy()).mean(axis=0)
        zeros[cell] = (sums["zeros"] / sums["num"]).mean()
    return shares, zeros


def draw_weights(table: Table, frame: pd.DataFrame) -> Drawing:
    """Return the figure: share of weights by size, all cells in one panel or one panel per cell shown."""
    shares, zeros = weight_shares(frame, len(table.cells))
    names, together = short_names(table.plan), len(table.cells) <= MOST_TOGETHER
    cells = [cell for cell in shown_cells(table, MOST_PANELS) if np.isfinite(zeros[cell])]
    centres = LOWEST + WIDTH_OF_BIN * (np.arange(shares.shape[1]) + 0.5)
    top = 100 * float(np.nanmax(shares[cells]))
    mass = np.cumsum(shares[cells], axis=1)
    inside = np.flatnonzero(((mass > CUT) & (mass - shares[cells] < mass[:, -1:] - CUT)).any(axis=0))
    edges = (LOWEST + WIDTH_OF_BIN * inside[0], LOWEST + WIDTH_OF_BIN * (inside[-1] + 1)) if inside.size else (-8, 2)
    exact = {cell: f"{format_share(_round(zeros[cell]))} exactly 0" for cell in cells}
    box = Frame(edges, (0.0, 1.06 * top or 1.0), "log10 of |weight|", "weights (%)", 190.0 if together else 85.0)
    size = np.nansum(shares * centres, axis=1) / np.where(zeros < 1, 1 - zeros, np.nan)

    def paint(axes: "Axes", some: list[int], looks: list[Look]) -> None:
        for cell, look in zip(some, looks, strict=True):
            style = (0, look.dashes) if look.dashes else "solid"
            axes.plot(centres, 100 * shares[cell], color=look.color, linewidth=1.6, linestyle=style)

    if together:
        legend = [(f"{names[c]}: {exact[c]}", cell_look(c)._replace(marker="")) for c in cells]
        panels = [Panel("", lambda axes: paint(axes, cells, [cell_look(c) for c in cells]))]
    else:
        look, ghost = Look(PALETTE[0], (), "", ""), Look(SOFT, (1.0, 1.0), "", "")
        base = reference_cell(table.plan)
        base = base if base in cells else None
        legend = [("the cell", look), *([] if base is None else [("the baseline", ghost)])]

        def paint_one(axes: "Axes", cell: int) -> None:
            below = [] if base is None or cell == base else [base]
            paint(axes, [*below, cell], [ghost, look][1 - len(below) :])
            axes.text(0.03, 0.96, exact[cell], transform=axes.transAxes, va="top", fontsize=FONT_SIZE - 1)

        panels = [Panel(names[c], functools.partial(paint_one, cell=c)) for c in cells]
    said = "; ".join(f"{names[c]}: mean size 10^{size[c]:.2f}, {exact[c]}" for c in cells)
    caption = (
        f"Share of weights by size, in bins of a quarter of a decade: mean over seeds.{_smallest(names, cells, size)}"
        f"{_sparsest(names, cells, zeros)}{shown_note(table, cells)}"
    )
    data = pd.concat(
        [
            pd.DataFrame({"cell": table.cells[c], "log10_weight": centres, "share": shares[c], "exact_zeros": zeros[c]})
            for c in cells
        ],
        ignore_index=True,
    )
    return draw_panels(panels, box, legend, "weights", (f"Histograms of weights. {said}", caption), data)


def _smallest(names: list[str], cells: list[int], size: np.ndarray) -> str:
    """Return between which cells the geometric mean of the sizes lies."""
    known = [cell for cell in cells if np.isfinite(size[cell])]
    if not known:
        return ""
    least, most = min(known, key=lambda c: size[c]), max(known, key=lambda c: size[c])
    low, high = (f"{10 ** size[cell]:.2g}" for cell in (least, most))
    return (
        f" The geometric mean of |weight| (without zeros) goes from {low} ({names[least]}) to {high} ({names[most]})."
    )


def _sparsest(names: list[str], cells: list[int], zeros: np.ndarray) -> str:
    most = max(cells, key=lambda c: zeros[c])
    if zeros[most] == 0:
        return ""
    return f" Most exact zeros, {format_share(_round(zeros[most]))}, has {names[most]}; zeros are in no bin."
