"""The section of a fractional design: which effects it cannot tell apart."""

from regjax.analysis.table import Table
from regjax.report.extra import Extra
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import MISSING, clean


def make_section(table: Table) -> Extra | None:
    """Return what the effects of a fractional design cannot be told apart from."""
    design = table.plan.get("design") or {}
    if "aliases" not in design:
        return None
    rows = [Row((clean(name), clean(", ".join(others) or MISSING))) for name, others in design["aliases"].items()]
    letters = ", ".join(f"{letter} = {name}" for letter, name in design["letters"].items())
    relation = f", defining relation {design['defining']}" if "defining" in design else ""
    sentence = clean(f"{design['kind']} design of resolution {design['resolution']}{relation}; {letters}.")
    grid = Grid("Aliases up to two-way order", (Column("Effect"), Column("Aliased with")), tuple(rows))
    return Extra("aliases", "What the design cannot tell apart", (sentence,), (), (grid,))
