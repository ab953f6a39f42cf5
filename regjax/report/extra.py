"""What a further section of the report is made of."""

from typing import NamedTuple

from regjax.report.drawing import Drawing
from regjax.report.tables import Grid


class Extra(NamedTuple):
    """A section: its anchor and heading, sentences, figures and tables, in the order they are shown."""

    anchor: str
    title: str
    sentences: tuple[str, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    grids: tuple[Grid, ...] = ()
