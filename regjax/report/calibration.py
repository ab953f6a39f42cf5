"""The section on calibration: reliability of every cell, calibration error, likelihood and Brier score."""

import functools
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regjax.analysis.bias_variance import is_regression
from regjax.analysis.calibration import NUM_BINS, Calibration, calibrate
from regjax.analysis.gap import paired_effects
from regjax.analysis.predictions import stack_predictions
from regjax.analysis.table import Table, reference_cell
from regjax.report.drawing import PALETTE, SOFT, Drawing, Look, padded
from regjax.report.extra import Extra
from regjax.report.gallery import short_names, shown_cells, shown_note
from regjax.report.panels import Frame, Panel, draw_panels
from regjax.report.rows import effects_grid, range_text
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import count, format_spread, format_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_PANELS, MOST_ROWS, FEWEST_EXAMPLES = 8, 12, 50
METRIC = "test.ece"
MEANING = (
    f"A calibrated network is right in 90% of the cases where it gives its choice 90%. ECE is the mean distance between"
    f" the two over {NUM_BINS} bins of equally many examples (above 0 even for a calibrated network, by chance); the"
    " recorded test.ece has bins of equal width. NLL and Brier score judge calibration and sharpness together."
)


def make_section(table: Table) -> Extra | None:
    """Return the section; None where no class probabilities are kept, or too few for bins."""
    if table.out is None or is_regression(table):
        return None
    kept = stack_predictions(table)
    if kept is None:
        return None
    found = calibrate(kept)
    if not np.isfinite(found.ece).any():
        return None
    if (~np.isnan(kept.outputs[..., 0])).sum(axis=-1).max() < FEWEST_EXAMPLES:
        return None
    grids = [_cells_grid(table, found)]
    if table.plan["contrasts"]:
        effects = paired_effects(table, found.ece, METRIC, MOST_ROWS)
        grids.append(effects_grid(effects, "Exploratory effects on ECE", len(table.plan["contrasts"])))
    return Extra("calibration", "Calibration", (MEANING,), (draw_reliability(table, found),), tuple(grids))


def _cells_grid(table: Table, found: Calibration) -> Grid:
    columns = [Column("Cell"), Column("Seeds", True)]
    parts = {"ECE": found.ece, "NLL": found.nll, "Brier score": found.brier}
    columns += [column for name in parts for column in (Column(name, True), Column("SD", True))]
    rows = []
    for cell, name in enumerate(short_names(table.plan)):
        numbers = []
        for values in parts.values():
            known = values[cell][np.isfinite(values[cell])]
            mean, sd = (known.mean() if known.size else np.nan), (known.std(ddof=1) if known.size > 1 else np.nan)
            numbers += [format_value(METRIC, float(mean)), format_spread(METRIC, float(sd))]
        rows.append(Row((name, str(int(np.isfinite(found.ece[cell]).sum())), *numbers)))
    return Grid("Calibration on test examples: means over seeds", tuple(columns), tuple(rows))


def draw_reliability(table: Table, found: Calibration) -> Drawing:
    """Return the reliability diagram: a panel per cell, share right over confidence, mean over seeds with band."""
    cells, names = shown_cells(table, MOST_PANELS), short_names(table.plan)
    curves = {c: _curve(found.confidence[c], found.right[c]) for c in cells}
    low = min((float(curve[["confidence", "low"]].min().min()) for curve in curves.values() if len(curve)), default=0.0)
    low = max(0.0, np.floor(10 * low) / 10)
    base, ghost, look = reference_cell(table.plan), Look(SOFT, (1.0, 1.0), "", ""), Look(PALETTE[0], (), "o", "")

    def paint(axes: "Axes", cell: int) -> None:
        axes.plot([0, 1], [0, 1], color=SOFT, linewidth=0.8)
        curve = curves[cell]
        if base is not None and cell != base:
            axes.plot(
                curves[base]["confidence"],
                curves[base]["right"],
                color=SOFT,
                linestyle=(0, ghost.dashes),
                linewidth=1.4,
            )
        axes.fill_between(curve["confidence"], curve["low"], curve["high"], color=look.color, alpha=0.18, linewidth=0)
        axes.plot(
            curve["confidence"], curve["right"], color=look.color, marker=look.marker, markersize=3, linewidth=1.4
        )

    panels = [Panel(names[c] if len(cells) > 1 else "", functools.partial(paint, cell=c)) for c in cells]
    legend = [
        ("the cell; straight line: calibrated", look),
        *([("the baseline", ghost)] if base is not None and len(cells) > 1 else []),
    ]
    frame = Frame(padded([low, 1.0], 0.03), padded([low, 1.0], 0.03), "confidence", "share right", 125.0)
    means = [_mean(found.ece[c]) for c in cells]
    shown = [names[c] for c in cells]
    caption = (
        "Share of right choices in bins of equally many test examples over the mean confidence in them: mean over"
        f" {count(found.ece.shape[1], 'seed')}, band: the middle 80% of seeds. Below the straight line a network is too"
        f" sure of itself. ECE goes {range_text(METRIC, shown, means)}.{shown_note(table, cells)}"
    )
    said = [f"{name}: ECE {format_value(METRIC, mean)}" for name, mean in zip(shown, means, strict=True)]
    data = pd.concat([curve.assign(cell=table.cells[c]) for c, curve in curves.items()], ignore_index=True)
    data = data[["cell", "bin", "confidence", "right", "low", "high", "n"]]
    return draw_panels(panels, frame, legend, "reliability", (f"Reliability diagram. {'; '.join(said)}", caption), data)


def _curve(confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    """Return means over seeds and the middle 80% of the share right, one row per bin that half of the runs have."""
    n = np.isfinite(right).sum(axis=0)
    bins = np.flatnonzero(n >= max(1, n.max() / 2))
    confidence, right = confidence[:, bins], right[:, bins]
    ends = np.nanquantile(right, [0.1, 0.9], axis=0) if bins.size else np.zeros((2, 0))
    return pd.DataFrame(
        {"bin": bins, "confidence": np.nanmean(confidence, axis=0), "right": np.nanmean(right, axis=0), "low": ends[0],
         "high": ends[1], "n": n[bins]}
    )  # fmt: skip


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else np.nan
