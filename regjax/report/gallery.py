"""Which figures a report has: the effect plot, every run of every cell, and learning curves that stay legible."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.effects import describe_cells, good_sign
from regjax.analysis.table import Table, at_label, curves, reference_cell, state_values
from regjax.metrics import SPLITS
from regjax.report.curves import MOST_TOGETHER, draw_multiples, draw_together
from regjax.report.drawing import Drawing, cell_look
from regjax.report.figures import draw_effects, draw_strips, make_strips
from regjax.report.tables import state_words
from regjax.report.words import clean, count, format_setting

# More contrasts than this, and the effect plot keeps to the primary state; more rows, and to the confirmatory ones.
MOST_CONTRASTS = 12
MOST_BARS = 32
MOST_CELLS = 32


class Group(NamedTuple):
    """Panels of learning curves that are read together: title, panels, caption."""

    title: str
    panels: Sequence[Drawing]
    caption: str


def make_effect_plot(effects: pd.DataFrame, plan: Mapping[str, Any]) -> Drawing | None:
    """Return the effect plot on the primary metric; what there is no room for is left to the table."""
    metric = plan["primary"]["metric"]
    shown = effects[effects["metric"] == metric]
    if len(plan["contrasts"]) > MOST_CONTRASTS:
        shown = shown[shown["at"] == at_label(plan["primary"]["at"])]
    if len(shown) > MOST_BARS and shown["confirmatory"].any():
        shown = shown[shown["confirmatory"]]
    if not len(shown):
        return None
    left = len(effects) - len(shown)
    note = f"{count(left, 'exploratory row')} more in the table of effects." if left else ""
    return draw_effects(shown, plan["primary"].get("margin"), note)


def shown_cells(table: Table) -> list[int]:
    """Return the cells that figures show: all up to 32, else a baseline, marked ones, and the best by the mean."""
    num_cells = len(table.cells)
    if num_cells <= MOST_CELLS:
        return list(range(num_cells))
    means = (good_sign(table.plan["primary"]["metric"]) or 1) * describe_cells(table)["mean"].to_numpy()
    best_first = np.argsort(np.where(np.isnan(means), np.inf, -means), kind="stable")
    marked = [marker["cell"] for marker in table.plan.get("markers") or []]
    base = reference_cell(table.plan)
    first = [] if base is None else [base]
    return sorted(list(dict.fromkeys([*first, *marked, *best_first.tolist()]))[:MOST_CELLS])


def make_strip_plot(table: Table) -> Drawing | None:
    """Return every run of the shown cells at the primary state; None before the first run is finished."""
    primary = table.plan["primary"]
    values = state_values(table, primary["metric"], primary["at"])
    shown = shown_cells(table)
    if not np.isfinite(values[shown]).any():
        return None
    names = table.cells if len(table.cells) <= MOST_TOGETHER else short_names(table.plan)
    strips = make_strips(names, values, table.plan.get("markers") or [], primary["metric"])
    state = state_words(at_label(primary["at"]))
    return draw_strips([strips[cell] for cell in shown], primary["metric"], state)


def make_legend(table: Table) -> list[tuple[str, str, str]]:
    """Return (name, colour, dash pattern) of every cell, for figures that hold all cells."""
    if len(table.cells) > MOST_TOGETHER:
        return []
    looks = [cell_look(cell) for cell in range(len(table.cells))]
    return [
        (clean(name), look.variable, " ".join(f"{1.6 * dash:g}" for dash in look.dashes))
        for name, look in zip(table.cells, looks, strict=True)
    ]


def _has(table: Table, metric: str) -> bool:
    return metric in table.records.columns and bool(table.records[metric].notna().any())


def _has_any(table: Table, names: Sequence[str]) -> bool:
    return any(_has(table, f"{split}.{name}") for split in SPLITS for name in names)


def make_curves(table: Table) -> list[Group]:
    """Return the learning curves: all cells in one panel per metric, or one small panel per cell and metric."""
    plan = table.plan
    loss, score = ("nll", "accuracy") if _has_any(table, ("nll", "accuracy")) else ("mse", "r2")
    held_out = "validation" if any(_has(table, f"validation.{name}") for name in (loss, score)) else "test"
    lengths = ("data.train_size", "training.batch_size")
    per_epoch = None if any(f["path"] in lengths for f in plan["factors"]) else plan.get("steps_per_epoch")
    x_label, scale = ("epoch", per_epoch) if per_epoch else ("step", 1)
    wanted = [f"{held_out}.{loss}", f"train.{loss}", f"{held_out}.{score}"]
    few = len(table.cells) <= MOST_TOGETHER
    metrics = [m for m in dict.fromkeys([*wanted, *([plan["primary"]["metric"]] if few else [])]) if _has(table, m)]
    if not metrics:
        return []
    if not few:
        return _small_groups(table, metrics, scale, x_label)
    at = plan["primary"]["at"]
    primary_x = at["step"] / scale if at["kind"] == "step" else None
    steps = curves(table, metrics[0])[0]
    panels = draw_together(steps / scale, {m: held_curves(table, m)[1] for m in metrics}, x_label, primary_x)
    line = " The dotted upright line is the primary state." if primary_x is not None else ""
    caption = f"Line: mean over seeds; band: their middle 80% (10% to 90%).{line} {_curve_note(table)}"
    return [Group("", panels, caption)]


def short_names(plan: Mapping[str, Any]) -> list[str]:
    """Return every cell by what differs from the baseline, which full names bury; without a baseline the full names."""
    reference = reference_cell(plan)
    if reference is None:
        return [clean(cell["name"]) for cell in plan["cells"]]
    base = plan["cells"][reference]["levels"]
    names = []
    for cell in plan["cells"]:
        differs = [f"{path}={format_setting(v)}" for path, v in cell["levels"].items() if v != base.get(path)]
        names.append(clean(", ".join(differs) or "baseline"))
    return names


def _small_groups(table: Table, metrics: Sequence[str], per_epoch: int, x_label: str) -> list[Group]:
    names = short_names(table.plan)
    shown = [(cell, names[cell]) for cell in shown_cells(table)]
    base = reference_cell(table.plan)
    part = ""
    if len(shown) < len(table.cells):
        first = "" if base is None else "the baseline and "
        part = f" Shown are {len(shown)} of {len(table.cells)} cells: {first}those with the best mean."
    named, dotted = (
        ("", "") if base is None else (", named by what differs from the baseline", "; dotted: mean of the baseline")
    )
    caption = (
        f"One panel per cell{named}, all on one scale, over {x_label}s. Line: mean over seeds; band: their middle"
        f" 80%{dotted}.{part} {_curve_note(table)}"
    )
    groups = []
    for i, metric in enumerate(metrics):
        steps, values = held_curves(table, metric)
        panels, title = draw_multiples(steps / per_epoch, values, metric, shown, f"small{i}c", base)
        groups.append(Group(title, panels, f"The same for {title}." if i else caption))
    return groups


def held_curves(table: Table, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return steps and values [cell, seed, T] as drawn: held after an early stop, infinite from a divergence on.

    The mean of those that go on would flatter or blame the others; a run that is not done is NaN and does not count.
    """
    steps, values = curves(table, metric)
    status = table.status
    last = np.take_along_axis(values, (steps <= status.end[..., None]).sum(-1, keepdims=True) - 1, axis=2)
    held = (status.stopped[..., None] >= 0) & (steps > status.end[..., None])
    lost = (status.diverged[..., None] >= 0) & (steps >= status.diverged[..., None])
    return steps, np.where(lost, np.inf, np.where(held, last, values))


def _curve_note(table: Table) -> str:
    """Return what a reader of the curves must know of runs that ended before the others."""
    early = (table.status.stopped >= 0).any() or (table.status.diverged >= 0).any()
    ended = (
        " A stopped run keeps the value of its stop, a diverged one drops out; a curve ends where fewer than half of"
        " its runs are left."
        if early
        else ""
    )
    return f"The range fits the curves after the first 15% of training.{ended}"
