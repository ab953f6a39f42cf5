"""Sections of the report beyond the table of effects: one function each, and left out where it has nothing to say."""

from collections.abc import Callable

from regjax.analysis.table import Table
from regjax.report import (
    aliases,
    appendix,
    bias_variance,
    calibration,
    cost,
    dose,
    gap,
    levels,
    lost,
    matrix,
    ranges,
    repeated,
    seeds,
    sources,
    stopping,
    weights,
)
from regjax.report.extra import Extra

__all__ = ["MAKERS", "Extra", "make_extras"]

MAKERS: tuple[Callable[[Table], Extra | None], ...] = (
    repeated.make_section,
    matrix.make_section,
    levels.make_section,
    lost.make_section,
    dose.make_dose,
    ranges.make_section,
    gap.make_section,
    calibration.make_section,
    weights.make_section,
    stopping.make_section,
    seeds.make_section,
    bias_variance.make_section,
    sources.make_section,
    cost.make_section,
    aliases.make_section,
    appendix.make_section,
    dose.make_shapley,
)


def make_extras(table: Table) -> list[Extra]:
    """Return the sections that a study has something for."""
    return [extra for make in MAKERS if (extra := make(table)) is not None]
