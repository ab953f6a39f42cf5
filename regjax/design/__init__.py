"""Designs: which combinations of levels are run, and which contrasts between them are asked for."""

from regjax.design.cells import (
    DESIGNS,
    PARTS,
    Cell,
    Factors,
    Levels,
    count_cells,
    full_factorial,
    make_axes,
    make_cells,
    make_levels,
    make_rows,
    match_cells,
    split_axes,
)
from regjax.design.contrasts import MOST_WEIGHTS, count_contrasts, find_missing, make_contrasts
from regjax.design.grid import FRACTIONS, make_strata
from regjax.design.levels import LEVEL_KINDS, fewest_seeds, find_factor, level_cells, make_level_contrasts
from regjax.design.names import name_level, name_levels
from regjax.design.ranges import SPACE_FILLING, Drawn, Range, draw_levels
from regjax.design.summary import describe_design, design_lines

__all__ = [
    "DESIGNS",
    "FRACTIONS",
    "LEVEL_KINDS",
    "MOST_WEIGHTS",
    "PARTS",
    "SPACE_FILLING",
    "Cell",
    "Drawn",
    "Factors",
    "Levels",
    "Range",
    "count_cells",
    "count_contrasts",
    "describe_design",
    "design_lines",
    "draw_levels",
    "fewest_seeds",
    "find_factor",
    "find_missing",
    "full_factorial",
    "level_cells",
    "make_axes",
    "make_cells",
    "make_contrasts",
    "make_level_contrasts",
    "make_levels",
    "make_rows",
    "make_strata",
    "match_cells",
    "name_level",
    "name_levels",
    "split_axes",
]
