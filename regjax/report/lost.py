"""The section on lost runs: what the effects would be, had they counted. Only where there are such runs."""

from regjax.analysis.lost import lost_effects
from regjax.analysis.table import Table
from regjax.report.extra import Extra
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import clean, effect_unit, format_effect, format_effects

MEANING = (
    "Runs that diverged or are not finished may be lost for a reason that has to do with the effect. Without: seeds "
    "with such a run are left out. With: a diverged run counts with its last record before it diverged. Worst case: "
    "every lost run has the possible value that is most against the effect."
)


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
    return Extra("lost", "Lost runs", (MEANING,), grids=(grid,))
