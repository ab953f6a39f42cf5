"""What a design is, as the plan stores it and as `regjax plan` prints it."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from regjax.design.cells import Axis, Cell, make_axes, make_rows
from regjax.design.contrasts import name_alias, name_effect
from regjax.design.fractions import LETTERS, defining_words, find_aliases, fraction_generators, write_relation
from regjax.design.grid import FRACTIONS
from regjax.design.ranges import SPACE_FILLING
from regjax.design.slopes import drawn_cells, largest_correlation, slope_codes

if TYPE_CHECKING:
    from regjax.config import Study


def describe_design(study: "Study", cells: Sequence[Cell]) -> dict[str, Any]:
    """Return the design as plain JSON values.

    Returns:
      kind; reference, index of the cell that simple effects are taken against in the first stratum (all on for
      leave_one_out), absent from fractions and drawn points without the all-baseline cell; further and_also, strata;
      of fractions letters {letter: factor}, defining (relation), resolution and aliases {effect: [names]} up to two-way
      order; of drawn points their number, draw, ranges {path: {low, high, log, integer}} and the largest absolute
      correlation between codes of two factors.
    """
    design = study.design
    made: dict[str, Any] = {"kind": design.kind, "and_also": list(design.and_also), "strata": list(design.strata)}
    made = {key: value for key, value in made.items() if value}
    axes = make_axes(study.factors, design.zip)
    if has_reference(study, cells):
        made["reference"] = 0
    if design.kind in SPACE_FILLING:
        codes = slope_codes(axes, [cell.levels for cell in cells[drawn_cells(design)]])
        ranges = {axis.name: axis.span.facts() for axis in axes if axis.span}
        made |= {"points": design.points, "draw": design.draw, "ranges": ranges}
        made["correlation"] = largest_correlation(codes)
    if design.kind in FRACTIONS:
        made |= _describe_fraction(study, axes)
    return made


def has_reference(study: "Study", cells: Sequence[Cell]) -> bool:
    """Return whether the first cell is one that others are compared to, not just the first of a list."""
    if study.design.kind in SPACE_FILLING:
        return "all_off" in study.design.and_also
    first = all(level == study.factors[path][0] for path, level in cells[0].levels.items())
    return study.design.kind not in FRACTIONS or first


def _describe_fraction(study: "Study", axes: Sequence[Axis]) -> dict[str, Any]:
    rows = make_rows(study.design, axes)
    made: dict[str, Any] = {"letters": {LETTERS[index]: axis.name for index, axis in enumerate(axes)}}
    if study.design.kind == "fractional":
        words = defining_words(fraction_generators(len(axes), study.design.generators, study.design.resolution))
        made |= {"defining": write_relation(words), "resolution": min(map(len, words))}
    else:
        made["resolution"] = 3
    found = find_aliases(rows).items()
    shown = [(word, aliases) for word, aliases in found if len(word) == 1 or study.design.kind == "fractional"]
    made["aliases"] = {name_effect(axes, word): [name_alias(axes, c, other) for c, other in al] for word, al in shown}
    return made


def design_lines(design: Mapping[str, Any]) -> list[str]:
    """Return a design from `describe_design` as lines of text.

    >>> design_lines({"kind": "fractional", "letters": {"A": "a", "B": "b", "C": "c"}, "defining": "I = ABC",
    ...               "resolution": 3, "aliases": {"a": ["b x c"], "b x c": ["a"]}})[2:]
    ['  a is aliased with b x c', '  b x c is aliased with a']
    """
    lines = [f"design: {' and '.join([design['kind'], *design.get('and_also', ())])}"]
    if design.get("strata"):
        lines[0] += f", within each level of {', '.join(design['strata'])}"
    if "points" in design:
        lines[0] += f", {design['points']} cells from draw {design['draw']}"
        lines[0] += f", correlations between factors up to {design['correlation']:.2f}"
        for path, span in design["ranges"].items():
            how = " (logarithmic)" if span["log"] else ", whole numbers" if span["integer"] else ""
            lines.append(f"  {path} from {span['low']:g} to {span['high']:g}{how}")
    if "letters" in design:
        lines[0] += f", resolution {design['resolution']}"
        relation = textwrap.shorten(design.get("defining", ""), 200, placeholder=" ...")
        lines[0] += f", defining relation {relation}" if relation else ""
        lines.append("  " + ", ".join(f"{letter} = {name}" for letter, name in design["letters"].items()))
        named = ((name, ", ".join(others)) for name, others in design["aliases"].items() if others)
        lines += [f"  {name} is aliased with {others}" for name, others in named]
    return lines
