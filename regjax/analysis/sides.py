"""What the two sides of a contrast share and where they differ, read from the levels of the cells that it weighs."""

from collections.abc import Mapping, Sequence
from typing import Any

from regjax.design import name_level

SHOWN = 6  # factors that a sentence names
WHOLE = 1e-9  # how near to 1 the weights of a side add up


def held_text(plan: Mapping[str, Any], contrast: Mapping[str, Any]) -> str:
    """Return at which levels a contrast of single cells holds the factors that it does not compare, "" for none.

    Levels of its stratum are left out, which the sentence names anyway.

    >>> cells = [{"levels": {"a": 0, "b": 0}}, {"levels": {"a": 1, "b": 0}}]
    >>> held_text({"cells": cells}, {"weights": [-1.0, 1.0]})
    'with b = 0'
    """
    above, below = _sides(plan, contrast)
    stratum = contrast.get("stratum") or {}
    same = {path: level for path, level in above.items() if path in below and below[path] == level}
    named = _named({path: level for path, level in same.items() if path not in stratum})
    return f"with {named}" if named else ""


def sides_text(plan: Mapping[str, Any], contrast: Mapping[str, Any]) -> str:
    """Return which cells a declared contrast compares; "" where its sides have cells in common, which cancel.

    >>> cells = [{"levels": {"a": a, "b": b}} for a in (0, 1) for b in (0, 2)]
    >>> sides_text({"cells": cells}, {"weights": [-0.5, -0.5, 0.5, 0.5]})
    'a = 1 with a = 0, averaged over b'
    """
    if abs(sum(weight for weight in contrast["weights"] if weight > 0) - 1.0) > WHOLE:
        return ""
    above, below = _sides(plan, contrast)
    paths = list(plan["cells"][0]["levels"])
    shared = {path for path in above if path in below and above[path] == below[path]}
    sides = [_named({path: side[path] for path in side if path not in shared}) for side in (above, below)]
    if not all(sides):
        return ""
    first, second = sides
    free = [path for path in paths if path not in above and path not in below]
    averaged = f", averaged over {', '.join(free)}" if free else ""
    held = held_text(plan, contrast)
    return f"{first} with {second}{averaged}{f', all {held}' if held else ''}"


def _sides(plan: Mapping[str, Any], contrast: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the levels that all cells of each side have, {path: level}: those of positive weight first."""
    levels = [cell["levels"] for cell in plan["cells"]]
    pairs = list(zip(contrast["weights"], levels, strict=True))
    return _common([own for weight, own in pairs if weight > 0]), _common([own for weight, own in pairs if weight < 0])


def _common(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = cells[0] if cells else {}
    return {path: level for path, level in first.items() if all(cell[path] == level for cell in cells)}


def _named(levels: Mapping[str, Any]) -> str:
    texts = [f"{path} = {name_level(level)}" for path, level in levels.items()]
    more = f" and {len(texts) - SHOWN} more factors alike" if len(texts) > SHOWN else ""
    return ", ".join(texts[:SHOWN]) + more
