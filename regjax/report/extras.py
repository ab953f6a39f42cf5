"""Sections of the report beyond the table of effects: one function each, and left out where it has nothing to say."""

from collections.abc import Callable
from typing import NamedTuple

from regjax.analysis.table import Table
from regjax.report.drawing import Drawing
from regjax.report.tables import Column, Grid, Row
from regjax.report.words import MISSING, clean


class Extra(NamedTuple):
    """A section: its anchor and heading, sentences, figures and tables, in the order they are shown."""

    anchor: str
    title: str
    sentences: tuple[str, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    grids: tuple[Grid, ...] = ()


def make_aliases(table: Table) -> Extra | None:
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


MAKERS: tuple[Callable[[Table], Extra | None], ...] = (make_aliases,)


def make_extras(table: Table) -> list[Extra]:
    """Return the sections that a study has something for."""
    return [extra for make in MAKERS if (extra := make(table)) is not None]
