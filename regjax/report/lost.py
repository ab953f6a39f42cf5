"""The section on lost runs, those that ended without a result: what the effects would be, had they counted."""

from regjax.analysis.lost import lost_effects
from regjax.analysis.table import Table
from regjax.report.extra import Extra
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import clean, effect_unit, format_effect, format_effects

MEANING = (
    "Runs that ended without a result may lack it for a reason that has to do with the effect. Without: seeds with "
    "such a run are left out. With: it counts with its last finite record. Worst case: every lost run "
    "has the possible value that is most against the effect."
)
WAITING = " Seeds with runs that are still to come are in none of the three."
TWO_STAGE = " Intervals are two-stage (Stein) ones, with the SD of the pilot seeds that each way leaves."


def make_section(table: Table) -> Extra | None:
    """Return the three effects of every contrast with a lost run, None where no run is lost."""
    found = lost_effects(table)
    if found.empty:
        return None
    metric = str(found["metric"].iloc[0])
    unit = f" ({effect_unit(metric)})" if effect_unit(metric) else ""
    columns = (
        Column("Contrast"), Column("Lost runs", True), Column("They count"), Column("Seeds", True),
        Column(f"Effect{unit}", True), Column("95% interval", True), Column("Verdict"),
    )  # fmt: skip
    rows = [
        Row(
            (
                clean(row["contrast"]),
                str(row["lost"]),
                row["way"],
                str(row["n"]),
                format_effect(metric, row["effect"]),
                format_effects(metric, row["low"], row["high"]),
                row["verdict"],
            )
        )
        for row in found.to_dict("records")
    ]
    grid = Grid("Effects with and without lost runs", columns, tuple(rows))
    waiting = WAITING if table.out is not None and not table.status.done.all() else ""
    text = f"{MEANING}{waiting}{TWO_STAGE if table.plan.get('stein') else ''}"
    return Extra("lost", "Lost runs", (text,), grids=(grid,))
