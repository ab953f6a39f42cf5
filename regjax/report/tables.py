"""Tables of a report as text, the same for the page and the terminal: results, runs that need a word, and the study."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from regjax.analysis.effects import all_effects
from regjax.analysis.levels import KINDS as LEVEL_TESTS
from regjax.analysis.sentences import INTERACTIONS
from regjax.analysis.table import At, Table, at_label, reference_cell
from regjax.report.words import (
    MISSING,
    STREAM_WORDS,
    clean,
    count_labels,
    effect_digits,
    effect_unit,
    format_effect,
    format_effects,
    format_p,
    format_seconds,
    format_setting,
    format_spread,
    format_value,
    format_values,
    metric_words,
)


class Column(NamedTuple):
    """A column: its heading and whether it holds numbers (then set to the right)."""

    label: str
    numeric: bool = False


class Row(NamedTuple):
    """A row: its cells as text and its kind, which styles it ("confirmatory", "exploratory", "baseline" or "")."""

    cells: tuple[str, ...]
    kind: str = ""


class Grid(NamedTuple):
    """A table ready to be shown."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def ranked_effects(table: Table) -> pd.DataFrame:
    """Return all effects: the kind that the study wants first (`design.headline`), then what was declared before the
    runs, then the rest; otherwise in the plan's order.
    """
    effects = all_effects(table)
    headline = (effects["kind"] == table.plan.get("headline")) & (effects["at"] == _primary_label(table))
    rank = np.where(headline, 0, np.where(effects["confirmatory"], 1, 2))
    return effects.iloc[np.argsort(rank, kind="stable")].reset_index(drop=True)


def _primary_label(table: Table) -> str:
    return at_label(table.plan["primary"]["at"])


def effects_grid(effects: pd.DataFrame) -> Grid:
    """Return the table of effects; exploratory rows are marked and have no p-value.

    Slopes of best levels have another unit and a table of their own.
    """
    effects = effects[effects["kind"] != "trend"]
    units = {effect_unit(metric) for metric in effects["metric"]} - {""}
    unit = f" ({units.pop()})" if len(units) == 1 else ""
    columns = (
        Column("Contrast"), Column("Kind"), Column("State"), Column("Status"), Column(f"Effect{unit}", True),
        Column("95% interval", True), Column("For new examples", True), Column("Adjusted p", True),
        Column("Seeds > 0", True), Column("SD over seeds", True), Column("Diverged", True), Column("Verdict"),
    )  # fmt: skip
    return Grid("Effects", columns, tuple(_effect_row(row) for row in effect_rows(effects)))


def _effect_row(row: Mapping[str, Any]) -> Row:
    metric = row["metric"]
    status = "confirmatory" if row["confirmatory"] else "exploratory"
    digits = effect_digits(metric, row["low"], row["high"])
    cells = (
        clean(row["contrast"]),
        clean(row["kind"]).replace("_", "-"),
        clean(row["at"]),
        status,
        format_effect(metric, row["effect"], digits),
        format_effects(metric, row["low"], row["high"], digits),
        format_effects(metric, row.get("low_new", math.nan), row.get("high_new", math.nan)),
        format_p(row["p"]),
        MISSING if row["kind"] in LEVEL_TESTS else f"{row['seeds_positive']} of {row['n']}",
        format_spread(metric, row["sd"]),
        str(row["diverged"]),
        f"{row['verdict']}{_goodness(row)}",
    )
    return Row(cells, status)


def _goodness(row: Mapping[str, Any]) -> str:
    if row["verdict"] not in ("raises", "lowers") or row["better"] is None or row["kind"] in INTERACTIONS:
        return ""
    return " (better)" if row["better"] else " (worse)"


def effect_rows(effects: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table of effects as {column: value}."""
    return [{str(name): value for name, value in row.items()} for row in effects.to_dict("records")]


def cells_grid(cells: pd.DataFrame, reference: int | None = 0) -> Grid:
    """Return the table of the cells at one state, as `describe_cells` gives them; the reference cell is marked."""
    metric, at = str(cells["metric"].iloc[0]), str(cells["at"].iloc[0])
    unit = effect_unit(metric)
    columns = (
        Column("Cell"), Column("Seeds", True), Column("Mean", True), Column(f"SD{f' ({unit})' if unit else ''}", True),
        Column("95% interval", True), Column("Median", True), Column("Min", True), Column("Max", True),
        Column("Diverged", True), Column("Stopped early", True),
    )  # fmt: skip
    rows = []
    for i, row in enumerate(cells.to_dict("records")):
        numbers = [format_value(metric, row[name]) for name in ("median", "min", "max")]
        interval = format_values(metric, row["low"], row["high"])
        head = (clean(row["cell"]), str(row["n"]), format_value(metric, row["mean"]), format_spread(metric, row["sd"]))
        counts = (str(row["diverged"]), str(row["stopped"]))
        rows.append(Row((*head, interval, *numbers, *counts), "baseline" if i == reference else ""))
    title = f"{metric_words(metric)} {state_words(at)}"
    return Grid(title[:1].upper() + title[1:], columns, tuple(rows))


def state_words(at: str) -> str:
    """Return the label of a state as prose.

    >>> state_words("epoch 10"), state_words("last")
    ('at epoch 10', 'at the end')
    """
    return {"best": "at the best evaluation", "last": "at the end"}.get(at, f"at {clean(at)}")


def diverged_grid(table: Table) -> Grid:
    """Return one row per diverged run."""
    rows = [
        Row((clean(table.cells[cell]), str(table.seeds[seed]), str(table.status.diverged[cell, seed])))
        for cell, seed in np.argwhere(table.status.diverged >= 0)
    ]
    return Grid("Diverged runs", (Column("Cell"), Column("Seed", True), Column("First bad step", True)), tuple(rows))


def missing_grid(table: Table) -> Grid:
    """Return one row per cell that has runs which are not finished."""
    rows = []
    for cell, name in enumerate(table.cells):
        absent = [table.seeds[s] for s in np.flatnonzero(~table.status.done[cell])]
        if absent:
            rows.append(Row((clean(name), str(len(absent)), seed_ranges(absent))))
    title = "Runs not finished" if table.out is not None else "Pairs without a number"
    return Grid(title, (Column("Cell"), Column("Runs", True), Column("Seeds")), tuple(rows))


def seed_ranges(seeds: Iterable[int]) -> str:
    """Return seeds in short.

    >>> seed_ranges([0, 1, 2, 5, 7, 8])
    '0-2, 5, 7-8'
    """
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def tuned_grid(plan: Mapping[str, Any]) -> Grid:
    """Return the nuisance hypers chosen per cell on validation."""
    tuned = {int(cell): values for cell, values in (plan.get("tuned") or {}).items()}
    paths = sorted({path for values in tuned.values() for path in values})
    names = {cell["index"]: cell["name"] for cell in plan["cells"]}
    rows = [
        Row((clean(names.get(cell, cell)), *(format_setting(tuned[cell].get(path)) for path in paths)))
        for cell in sorted(tuned)
    ]
    return Grid("Tuned hypers", (Column("Cell"), *(Column(clean(path), True) for path in paths)), tuple(rows))


def design_grid(plan: Mapping[str, Any]) -> Grid:
    """Return the cells by the level of every factor; the baseline is the first, where the design holds it."""
    reference = reference_cell(plan)
    paths = [factor["path"] for factor in plan["factors"]]
    rows = [
        Row(
            (clean(cell["name"]), *(format_setting(cell["levels"].get(path)) for path in paths)),
            "baseline" if cell["index"] == reference else "",
        )
        for cell in plan["cells"]
    ]
    return Grid("Design", (Column("Cell"), *(Column(clean(path), True) for path in paths)), tuple(rows))


def seeds_grid(plan: Mapping[str, Any]) -> Grid:
    """Return which source of randomness a seed draws anew and which are the same for all seeds."""
    idle = {"noise", "augment", "labels"} - set(plan.get("drawn", ())) - set(plan["vary"])
    streams = [s for s in dict.fromkeys([*STREAM_WORDS, *plan["vary"]]) if s not in idle]
    rows = [
        Row(
            (
                clean(STREAM_WORDS.get(s, s)),
                "drawn anew by every seed" if s in plan["vary"] else "the same for all seeds",
            )
        )
        for s in streams
    ]
    return Grid("What a seed draws", (Column("Source of randomness"), Column("Over seeds")), tuple(rows))


def settings_grid(plan: Mapping[str, Any]) -> Grid:
    """Return the resolved study, one row per setting with its dotted path."""
    fixed = plan.get("fixed") or {}
    rows = [
        Row((path, value, "held fixed" if path in fixed else ""))
        for path, value in _flatten(plan["study"])
        if path != "question"
    ]
    marks = any(row.cells[2] for row in rows)
    columns = (Column("Setting"), Column("Value"), *((Column("Note"),) if marks else ()))
    return Grid("Settings", columns, tuple(rows if marks else [Row(row.cells[:2]) for row in rows]))


def _flatten(value: Any, path: str = "") -> Iterable[tuple[str, str]]:
    """Yield (dotted path, value as text); lists of tables are numbered, other lists stay whole."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flatten(inner, f"{path}.{clean(name)}" if path else clean(name))
    elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
        for i, inner in enumerate(value):
            yield from _flatten(inner, f"{path}[{i}]")
    else:
        yield path, MISSING if value in ({}, []) else format_setting(value)


def provenance_grid(plan: Mapping[str, Any], done: Iterable[Mapping[str, Any]]) -> Grid:
    """Return where the numbers come from: data, versions, devices, commit, command, compiled programs, shares of time.

    Args:
      plan: of the run directory.
      done: what `store.iter_done` yields.
    """
    chunks = list(done)
    kinds = ("compile", "train", "evaluate", "store")
    seconds = {kind: sum(chunk["seconds"].get(kind, 0.0) for chunk in chunks) for kind in kinds}
    total = sum(seconds.values())
    programs = {kind: sum(chunk["programs"].get(kind, 0) for chunk in chunks) for kind in ("compiled", "cached")}
    data = plan["data"]
    labels = count_labels(data["num_classes"], data.get("num_targets", 1))
    per_epoch = f" ({plan['steps_per_epoch']:,} per epoch)" if plan.get("steps_per_epoch") else ""
    sizes = f"{data['num_train']} training, {data['num_validation']} validation, {data['num_test']} test examples"
    used = sorted({str(chunk["devices"]) for chunk in chunks} | {str(device) for device in plan["devices"]})
    facts = {
        "Data": f"{data['name']}: {sizes}, {labels}",
        "Data digest": data["digest"],
        "Parameters of the model": f"{plan['num_params']:,}",
        "Updates per run": f"{plan['steps']:,}{per_epoch}",
        "Versions": ", ".join(f"{name} {version}" for name, version in plan["versions"].items()),
        "Devices": ", ".join(used),
        "Commit": plan.get("commit") or "not known",
        "Command": plan.get("command") or "not known",
        "Compiled programs": f"{programs['compiled']} compiled, {programs['cached']} taken from the cache",
        "Precision": plan["study"].get("training", {}).get("precision", "float32"),
        **{
            f"Time to {kind}": f"{format_seconds(value)}, {value / total:.0%}" if total else format_seconds(value)
            for kind, value in seconds.items()
        },
    }
    rows = tuple(Row((name, clean(value))) for name, value in facts.items())
    return Grid("Where the numbers come from", (Column("What"), Column("Value")), rows)


def state_of(plan: Mapping[str, Any]) -> list[At]:
    """Return the primary state and then the others that the study asks for."""
    return [plan["primary"]["at"], *(plan["primary"].get("also_at") or [])]
