"""The section on early stopping: at which step every run stopped, which of its steps was best, and what that saved."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from regjax.analysis.table import Table
from regjax.report.drawing import INK, PAPER, SOFT, Drawing, cell_look, padded
from regjax.report.extra import Extra
from regjax.report.gallery import epoch_axis, short_names, shown_cells, shown_note
from regjax.report.rows import draw_rows
from regjax.report.words import count, format_share

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BAND = 30.0
# Settings that give cells another number of updates.
LENGTHS = ("data.train_size", "training.batch_size", "training.epochs", "training.steps")


def make_section(table: Table) -> Extra | None:
    """Return the section; None where no run stopped early."""
    status = table.status
    if table.out is None or not (status.stopped >= 0).any():
        return None
    frame = stop_table(table)
    stopped, done = int((frame["stopped"] >= 0).sum()), len(frame)
    sentence = f"{stopped} of {done} runs that did not diverge stopped early."
    if frame["saved"].notna().any():
        sentence += (
            f" All together took {format_share(round(1 - float(frame['saved'].mean()), 3))} of the updates of full"
            " runs: trained one by one, that is the share of the time; here runs that differ in stopping only share one"
            " training."
        )
    return Extra("stopping", "Early stopping", (sentence,), (draw_stops(table, frame),))


def stop_table(table: Table) -> pd.DataFrame:
    """Return one row per finished run that did not diverge.

    Returns:
      Columns cell (index), seed, stopped (step, -1 where it went on to the end), best (its best step), end (its last)
      and saved (share of the updates of a full run that it did not make; NaN where no run shows what a full one is).
    """
    status = table.status
    here = status.done & (status.diverged < 0)
    cells, seeds = np.nonzero(here)
    full = np.full(len(table.cells), float(table.plan["steps"]))
    if any(factor["path"] in LENGTHS for factor in table.plan["factors"]):
        whole = np.where(here & (status.stopped < 0), status.end, -1).max(axis=1)
        full = np.where(whole > 0, whole, np.nan)
    frame = pd.DataFrame({"cell": cells, "seed": np.array(table.seeds)[seeds]})
    for name in ("stopped", "best", "end"):
        frame[name] = getattr(status, name)[here]
    return frame.assign(saved=1 - frame["end"] / full[cells])


def draw_stops(table: Table, frame: pd.DataFrame) -> Drawing:
    """Return the figure: of every run its stop (filled) and its best evaluation (hollow), a row per cell.

    Args:
      table: loaded run directory.
      frame: from `stop_table`.
    """
    stops = set(frame.loc[frame["stopped"] >= 0, "cell"])
    cells = [cell for cell in shown_cells(table) if cell in stops]
    cells = cells or sorted(stops)[:1]
    names = short_names(table.plan)
    label, scale = epoch_axis(table)
    labels, said = [], []
    for cell in cells:
        rows = frame[frame["cell"] == cell]
        saved = rows["saved"].mean()
        text = "" if np.isnan(saved) else f"{format_share(round(float(saved), 3))} saved"
        labels.append((names[cell], text))
        early = rows.loc[rows["stopped"] >= 0, "stopped"] / scale
        said.append(
            f"{names[cell]}: {len(early)} of {len(rows)} runs stopped, median {early.median():g}, best"
            f" {(rows['best'] / scale).median():g}{f', {text}' if text else ''}"
        )
    numbers = frame[["end", "best"]].to_numpy(float).ravel() / scale

    def paint_row(axes: "Axes", i: int, y: float) -> None:
        rows, look = frame[frame["cell"] == cells[i]], cell_look(cells[i])
        heights = y - (np.arange(len(rows)) * 0.618034 % 1 - 0.5) * 0.6 * BAND
        best, end = rows["best"].to_numpy(float) / scale, rows["end"].to_numpy(float) / scale
        early = rows["stopped"].to_numpy() >= 0
        axes.hlines(heights, best, end, color=SOFT, linewidth=0.6, alpha=0.5)
        axes.plot(end[early], heights[early], color=look.color, marker="o", markersize=4.2, linestyle="none")
        axes.plot(end[~early], heights[~early], color=SOFT, marker="|", markersize=6, linestyle="none")
        (hollow,) = axes.plot(best, heights, marker="o", markersize=3.4, linestyle="none", color=INK)
        hollow.set(markerfacecolor=PAPER, markeredgewidth=0.8)

    many = len(cells) < len(stops)
    part = shown_note(table, shown_cells(table)) if many else ""
    left = len(table.cells) - len(stops)
    numbers_said = f"{said[0]}." if len(said) == 1 else _spread(frame, scale, label)
    others = f" In {count(left, 'other cell')} no run stopped." if left else ""
    caption = (
        f"Every line is a run: from its best evaluation (hollow) to its early stop (filled; a bar where it went on to"
        f" the end), over {label}s. {numbers_said}{others}{part}"
    )
    names_of = dict(enumerate(table.cells))
    data = frame.assign(cell=frame["cell"].map(names_of))
    ends = padded([0.0, *numbers])
    return draw_rows(
        labels, paint_row, ends, label, "stops", (f"Early stopping. {'; '.join(said)}", caption), data, BAND
    )


def _spread(frame: pd.DataFrame, scale: int, label: str) -> str:
    """Return between which cells the median stop lies."""
    early = frame[frame["stopped"] >= 0]
    medians = early.groupby("cell")["stopped"].median() / scale
    gaps = (early["end"] - early["best"]) / scale
    return (
        f"The median stop of a cell lies between {label} {medians.min():g} and {medians.max():g}, a run's best"
        f" evaluation {gaps.median():g} {label}s before its stop (median)."
    )
