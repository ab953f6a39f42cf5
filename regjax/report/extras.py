"""Sections of the report beyond the table of effects: one function each, and left out where it has nothing to say."""

from collections.abc import Callable
from typing import NamedTuple

from regjax.analysis.table import Table
from regjax.report.drawing import Drawing
from regjax.report.tables import Grid


class Extra(NamedTuple):
    """A section: its anchor and heading, sentences, figures and tables, in the order they are shown."""

    anchor: str
    title: str
    sentences: tuple[str, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    grids: tuple[Grid, ...] = ()


MAKERS: tuple[Callable[[Table], Extra | None], ...] = ()


def make_extras(table: Table) -> list[Extra]:
    """Return the sections that a study has something for."""
    return [extra for make in MAKERS if (extra := make(table)) is not None]
