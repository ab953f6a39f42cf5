"""What a design is, as the plan stores it and as `regjax plan` prints it."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from regjax.design.cells import Axis, Cell, make_axes, make_rows
from regjax.design.contrasts import name_alias, name_effect
from regjax.design.fractions import LETTERS, defining_words, find_aliases, fraction_generators, write_relation
from regjax.design.grid import FRACTIONS

if TYPE_CHECKING:
    from regjax.config import Study


def describe_design(study: "Study", cells: Sequence[Cell]) -> dict[str, Any]:
    """Return the design as plain JSON values.

    Returns:
      kind; reference, index of the cell that simple effects are taken against in the first stratum (all on for
      leave_one_out), absent from fractions without the all-baseline cell; further and_also, strata; of fractions
      letters {letter: factor}, defining (relation), resolution and aliases {effect: [names]} up to two-way order.
    """
    design = study.design
    made: dict[str, Any] = {"kind": design.kind, "and_also": list(design.and_also), "strata": list(design.strata)}
    made = {key: value for key, value in made.items() if value}
    axes = make_axes(study.factors, design.zip)
    first = all(level == study.factors[path][0] for path, level in cells[0].levels.items())
    if design.kind not in FRACTIONS or first:
        made["reference"] = 0
    if design.kind in FRACTIONS:
        made |= _describe_fraction(study, axes)
    return made


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
    if "letters" in design:
        lines[0] += f", resolution {design['resolution']}"
        relation = textwrap.shorten(design.get("defining", ""), 200, placeholder=" ...")
        lines[0] += f", defining relation {relation}" if relation else ""
        lines.append("  " + ", ".join(f"{letter} = {name}" for letter, name in design["letters"].items()))
        named = ((name, ", ".join(others)) for name, others in design["aliases"].items() if others)
        lines += [f"  {name} is aliased with {others}" for name, others in named]
    return lines
