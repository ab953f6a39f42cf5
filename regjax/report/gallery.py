"""Which figures a report has: the effect plot, every run of every cell, and learning curves that stay legible."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.effects import describe_cells, good_sign
from regjax.analysis.table import Table, at_label, curves, reference_cell, state_values
from regjax.metrics import SPLITS
from regjax.report.curves import MOST_PAIRED, MOST_TOGETHER, draw_multiples, draw_together
from regjax.report.drawing import Drawing, cell_look, slug
from regjax.report.figures import draw_effects, draw_strips, make_strips
from regjax.report.tables import state_words
from regjax.report.words import clean, count, format_setting, format_value, metric_words

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
    effects = effects[effects["kind"] != "trend"]  # a slope has another unit
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


def shown_cells(table: Table, most: int = MOST_CELLS) -> list[int]:
    """Return the cells that figures show: all up to `most`, else the baseline, marked ones and the best by the mean."""
    num_cells = len(table.cells)
    if num_cells <= most:
        return list(range(num_cells))
    means = (good_sign(table.plan["primary"]["metric"]) or 1) * describe_cells(table)["mean"].to_numpy()
    best_first = np.argsort(np.where(np.isnan(means), np.inf, -means), kind="stable")
    marked = [marker["cell"] for marker in table.plan.get("markers") or []]
    base = reference_cell(table.plan)
    first = [] if base is None else [base]
    return sorted(list(dict.fromkeys([*first, *marked, *best_first.tolist()]))[:most])


def shown_note(table: Table, shown: Sequence[int]) -> str:
    """Return which cells a figure shows, "" where it shows all, with a space before it."""
    if len(shown) == len(table.cells):
        return ""
    first = "" if reference_cell(table.plan) is None else "the baseline and "
    return f" Shown are {len(shown)} of {len(table.cells)} cells: {first}those with the best mean."


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
    return draw_strips([strips[cell] for cell in shown], primary["metric"], state, reference_cell(table.plan))


def make_legend(table: Table) -> list[tuple[str, str, str]]:
    """Return (name, colour, dash pattern) of every cell, for figures that hold all cells."""
    if len(table.cells) > MOST_TOGETHER:
        return []
    looks = [cell_look(cell) for cell in range(len(table.cells))]
    # Where training is drawn beside held-out, dashes tell these two apart.
    solid = any(len(panel) > 1 for panel in _panels(table))
    return [
        (clean(name), look.variable, "" if solid else " ".join(f"{1.6 * dash:g}" for dash in look.dashes))
        for name, look in zip(table.cells, looks, strict=True)
    ]


def _has(table: Table, metric: str) -> bool:
    return metric in table.records.columns and bool(table.records[metric].notna().any())


def _has_any(table: Table, names: Sequence[str]) -> bool:
    return any(_has(table, f"{split}.{name}") for split in SPLITS for name in names)


def _metrics(table: Table) -> list[list[str]]:
    """Return loss and score, each held-out and then on training examples, as far as there are records."""
    names = ("nll", "accuracy") if _has_any(table, ("nll", "accuracy")) else ("mse", "r2")
    held_out = "validation" if any(_has(table, f"validation.{name}") for name in names) else "test"
    pairs = [[m for m in (f"{held_out}.{name}", f"train.{name}") if _has(table, m)] for name in names]
    return [pair for pair in pairs if pair]


def _panels(table: Table) -> list[list[str]]:
    """Return the metrics of every panel that holds all cells; training beside held-out where there are few cells."""
    num_cells, primary = len(table.cells), table.plan["primary"]["metric"]
    if num_cells > MOST_TOGETHER:
        return []
    panels = [pair if num_cells <= MOST_PAIRED else pair[:1] for pair in _metrics(table)]
    known = {metric for panel in panels for metric in panel}
    return [*panels, *([[primary]] if primary not in known and _has(table, primary) else [])]


def epoch_axis(table: Table) -> tuple[str, int]:
    """Return what training is counted in, and how many steps that is: epochs where they are as long in all cells."""
    lengths = ("data.train_size", "training.batch_size")
    per_epoch = table.plan.get("steps_per_epoch")
    if not per_epoch or any(factor["path"] in lengths for factor in table.plan["factors"]):
        return "step", 1
    return "epoch", int(per_epoch)


def make_curves(table: Table) -> list[Group]:
    """Return the learning curves: all cells in one panel per metric, one small panel per cell and metric, or both."""
    pairs, panels = _metrics(table), _panels(table)
    if not has_course(table) or (not pairs and not panels):
        return []
    x_label, scale = epoch_axis(table)
    groups = [_together(table, panels, scale, x_label)] if panels else []
    if len(table.cells) > MOST_PAIRED:
        # Where all cells are in one panel already, the loss alone shows overfitting.
        small = pairs[:1] if panels else pairs
        groups += _small_groups(table, small, scale, x_label)
    return groups


def has_course(table: Table) -> bool:
    """Return whether runs were evaluated more than once: of one evaluation there is nothing to draw over time."""
    return len(table.records) > 0 and table.records["step"].nunique() > 1


def _together(table: Table, panels: Sequence[Sequence[str]], per_epoch: int, x_label: str) -> Group:
    at, num_seeds = table.plan["primary"]["at"], len(table.seeds)
    primary_x = at["step"] / per_epoch if at["kind"] == "step" else None
    values = [{metric: held_curves(table, metric)[1] for metric in panel} for panel in panels]
    x = curves(table, panels[0][0])[0] / per_epoch
    drawings = draw_together(x, values, table.cells, x_label, primary_x)
    line = " The dotted upright line is the primary state." if primary_x is not None else ""
    dashes = ", dashed on training examples" if any(len(panel) > 1 for panel in panels) else ""
    band = f"Line: mean over {count(num_seeds, 'seed')}{dashes}; band: their middle 80% (10% to 90%)."
    return Group("", drawings, f"{band}{line}{_overfitting(table)} {_curve_note(table)}")


def _overfitting(table: Table) -> str:
    """Return by how much the held-out loss rose again after its lowest mean, as a sentence; "" where it did not."""
    pair = next(iter(_metrics(table)), [])
    if not pair or good_sign(pair[0]) >= 0:
        return ""
    _, values = held_curves(table, pair[0])
    risen = []
    for cell, runs in enumerate(np.where(np.isfinite(values), values, np.nan)):
        enough = np.isfinite(runs).sum(axis=0) >= max(1, np.isfinite(runs).any(axis=1).sum() / 2)
        mean = np.nanmean(runs[:, enough], axis=0) if enough.any() else np.zeros(1)
        if mean[-1] > 1.05 * mean.min():
            risen.append((float(mean[-1] - mean.min()), float(mean.min()), cell))
    words = metric_words(pair[0])
    if not risen:
        return f" In no cell does the mean {words} end more than 5% above its lowest."
    most, lowest, cell = max(risen)
    name = short_names(table.plan)[cell]
    numbers = f"from {format_value(pair[0], lowest)} to {format_value(pair[0], lowest + most)}"
    return (
        f" In {len(risen)} of {count(len(table.cells), 'cell')} the mean {words} ends more than 5% above its lowest,"
        f" most in {name}: {numbers}."
    )


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


def _small_groups(table: Table, pairs: Sequence[Sequence[str]], per_epoch: int, x_label: str) -> list[Group]:
    names, cells = short_names(table.plan), shown_cells(table)
    shown = [(cell, names[cell]) for cell in cells]
    base = reference_cell(table.plan)
    train = ", orange and dashed on training examples" if any(len(pair) > 1 for pair in pairs) else ""
    named = "" if base is None else ", named by what differs from the baseline"
    dotted = "" if base is None else "; dotted: held-out mean of the baseline"
    caption = (
        f"One panel per cell{named}, all on one scale, over {x_label}s. Line: mean over"
        f" {count(len(table.seeds), 'seed')}{train}; band: their middle 80%{dotted}.{shown_note(table, cells)}"
        f"{_overfitting(table)} {_curve_note(table)}"
    )
    groups = []
    for i, pair in enumerate(pairs):
        x = curves(table, pair[0])[0] / per_epoch
        values = {metric: held_curves(table, metric)[1] for metric in pair}
        panels, title = draw_multiples(x, values, shown, f"curve-{slug(pair[0])}-cell", base)
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
