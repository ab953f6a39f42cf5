"""Paths such as `dropout.hidden`: what a study may hold fixed, vary or tune, and the levels it gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from regjax.config.fields import Field, check_integer, check_list, check_number, part_fields, switched_fields
from regjax.config.problems import Problem, UnfitError, dotted, nearest, show, unknown
from regjax.design import Drawn, Range
from regjax.design.ranges import MOST_POINTS
from regjax.observers import OBSERVERS
from regjax.parts import Interval
from regjax.regularizers import REGULARIZERS

Groups = dict[str, dict[str, Field] | None]  # None: nothing is known of the group because its table is wrong

COUNT = Interval.parse("[1, inf)")
RANGE_KEYS = ("off", "log_range", "range", "points")
DECAY_ON = ("matrices", "all")


def check_decay_on(value: Any) -> str | tuple[str, ...]:
    """Return which leaves penalties touch: "matrices", "all" or patterns of parameter paths."""
    expected = 'a list of patterns such as "**/kernel", "matrices" or "all"'
    if isinstance(value, str):
        if value not in DECAY_ON:
            raise UnfitError(expected, nearest(value, DECAY_ON))
        return value

    def check_pattern(pattern: Any) -> str:
        if not isinstance(pattern, str) or not pattern or not pattern.isprintable():
            raise UnfitError(expected)
        return pattern

    return check_list(value, check_pattern, expected)


def _count_field(what: str) -> Field:
    expected = f"an integer >= 1, {what}"
    return Field(expected, lambda value: check_integer(value, COUNT, expected))


MODEL_FIELDS = {"decay_on": Field('"matrices", "all" or a list of patterns', check_decay_on, "matrices")}
OTHER_FIELDS = {
    "data": {"train_size": _count_field("the number of training examples")},
    "training": {"batch_size": _count_field("the number of examples per update")},
}


def make_groups(model: type | None, optimizer: type | None, regularizers: Mapping[str, type] = REGULARIZERS) -> Groups:
    """Return {first key of a path: {rest of the path: field}} for these part classes, None for a class not known."""
    return {
        **{name: switched_fields(part_class) for name, part_class in {**regularizers, **OBSERVERS}.items()},
        "model": {**_leaf_fields(model), **MODEL_FIELDS} if model else None,
        "optimizer": _leaf_fields(optimizer) if optimizer else None,
        **OTHER_FIELDS,
    }


def _leaf_fields(part_class: type) -> dict[str, Field]:
    leaves = {}
    for name, field in part_fields(part_class).items():
        if field.inner is None:
            leaves[name] = field
        else:
            leaves |= {f"{name}.{inner}": leaf for inner, leaf in _leaf_fields(field.inner).items()}
    return leaves


def find_field(path: str, groups: Groups, table: str) -> Field | Problem | None:
    """Return the field a path names, what is wrong with the path, or None where nothing can be known of it.

    Args:
      path: as in the study, e.g. "dropout.hidden".
      groups: from `make_groups`.
      table: where the path stands, e.g. "factors".
    """
    group, _, rest = path.partition(".")
    place = dotted(path, under=table)
    if group not in groups:
        owner = "a path begins with one of"
        return unknown(place, f"regularizer {show(group)}", group, list(groups), owner, "regjax explain")
    fields = groups[group]
    if fields is None or rest in fields:
        return fields[rest] if fields else None
    if rest == "":
        paths = [f"{group}.{name}" for name in fields]
        return Problem(place, f"only {show(group)}", f"a path to one of its values: {', '.join(paths)}")
    for name in fields:
        if rest.startswith(f"{name}."):
            return Problem(
                place, f"a table at {group}.{name}", "a value, a list of levels, or off, log_range or range, and points"
            )
    kind = f"path {show(path)}" if group in ("model", "optimizer", *OTHER_FIELDS) else f"hyper {show(rest)} of {group}"
    return unknown(place, kind, rest, list(fields), f"{group} has" if group not in OTHER_FIELDS else f"of {group} only")


def flatten(table: Mapping[str, Any], place: str) -> tuple[dict[str, Any], list[Problem]]:
    """Return {path: value as written} of a table whose paths are quoted keys or nested tables.

    >>> flatten({"dropout": {"hidden": [0.0, 0.5]}, "l2.strength": [0.0, 0.1]}, "factors")[0]
    {'dropout.hidden': [0.0, 0.5], 'l2.strength': [0.0, 0.1]}
    """
    flat: dict[str, Any] = {}
    problems: list[Problem] = []

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, Mapping) and not set(value) & set(RANGE_KEYS):
            if not value:
                problems.append(Problem(dotted(prefix, under=place), "an empty table", "a path and its value"))
            for key, inner in value.items():
                walk(f"{prefix}.{key}", inner)
        elif prefix in flat:
            problems.append(Problem(dotted(prefix, under=place), "the path twice", "each path once"))
        else:
            flat[prefix] = value

    for key, value in table.items():
        walk(key, value)
    return flat, problems


def check_value(place: str, value: Any, field: Field) -> tuple[Any, list[Problem]]:
    """Return one checked value, or None and what is wrong with it."""
    try:
        return field.check(value), []
    except UnfitError as error:
        return None, [Problem(place, show(value), error.expected, error.hint)]


def check_levels(place: str, levels: Any, field: Field) -> tuple[tuple, list[Problem]]:
    """Return the levels of a factor in order, the baseline first, and what is wrong with them.

    Args:
      place: dotted place for messages.
      levels: a list, or {off, log_range = [low, high], points = n}: the off level first, then n levels at equal
        distances on the logarithmic scale, rounded to six significant digits; of `range` on the linear scale. Without
        points it is a range that a design draws from, and the levels are `Drawn`.
      field: what one level must be.
    """
    if isinstance(levels, Mapping):
        read = _range_levels if "points" in levels or place.startswith("tune") else _drawn_range
        levels, problems = read(place, levels, field)
        if problems or isinstance(levels, Drawn):
            return levels, problems
    if not isinstance(levels, (list, tuple)) or len(levels) < 2:
        return (), [Problem(place, show(levels), "a list of at least two levels, the baseline first")]
    checked = [check_value(f"{place}[{index}]", level, field) for index, level in enumerate(levels)]
    problems = [problem for _, found in checked for problem in found]
    values = tuple(value for value, _ in checked)
    if not problems:
        problems = _find_double(place, levels, values)
    return (() if problems else values), problems


def _find_double(place: str, levels: Sequence[Any], values: Sequence[Any]) -> list[Problem]:
    """Return the first level that is there twice, of levels as written and as checked."""
    known = set()
    for index, value in enumerate(map(_on_device, values)):
        if value in known:
            expected, hint = "levels that differ", "in float32 it is there twice"
            return [Problem(f"{place}[{index}]", show(levels[index]), expected, hint)]
        known.add(value)
    return []


def _on_device(value: Any) -> Any:
    """Return what is equal for two levels that are one on the device, where hypers are float32."""
    if isinstance(value, float):
        return np.float32(value)
    return tuple(map(_on_device, value)) if isinstance(value, tuple) else (type(value), value)


def _check_ends(place: str, table: Mapping[str, Any]) -> tuple[str, tuple[float, ...], list[Problem]]:
    """Return the key of the ends of a range, "log_range" or "range", the ends, and what is wrong with the table."""
    problems = [
        unknown(dotted(key, under=place), f"key {show(key)}", key, RANGE_KEYS, "a range has")
        for key in table
        if key not in RANGE_KEYS
    ]
    if {"log_range", "range"} <= set(table):
        problems.append(Problem(place, "log_range and range", "one of them"))
    key = "range" if "range" in table else "log_range"
    low, expected = ("(-inf, inf)", "low < high") if key == "range" else ("(0, inf)", "0 < low < high")
    interval, expected = Interval.parse(low), f"[low, high] with {expected}"
    field = Field(expected, lambda pair: check_list(pair, lambda v: check_number(v, interval, ""), expected))
    ends, found = check_value(f"{place}.{key}", table.get(key), field)
    problems += found
    if ends and (len(ends) != 2 or not ends[0] < ends[1]):
        problems.append(Problem(f"{place}.{key}", show(list(ends)), expected))
    return key, ends or (), problems


def _range_levels(place: str, table: Mapping[str, Any], _: Field) -> tuple[list, list[Problem]]:
    """Return the levels as if they had been written out, and what is wrong with the table."""
    key, ends, problems = _check_ends(place, table)
    expected = f"an integer in [2, {MOST_POINTS}]"
    field = Field(expected, lambda n: check_integer(n, Interval.parse(f"[2, {MOST_POINTS}]"), expected))
    points, found = check_value(f"{place}.points", table.get("points"), field)
    if problems or found:
        return [], problems + found
    low, high = ends
    with np.errstate(all="ignore"):
        levels = np.linspace(low, high, points) if key == "range" else np.geomspace(low, high, points)
    return [*([table["off"]] if "off" in table else []), *(float(f"{level:.6g}") for level in levels)], []


def _drawn_range(place: str, table: Mapping[str, Any], field: Field) -> tuple[tuple, list[Problem]]:
    """Return the ends of a range from which a design draws, and what is wrong with the table."""
    key, _, problems = _check_ends(place, table)
    if problems:
        return (), problems
    written = {f"{key}[{index}]": end for index, end in enumerate(table[key])}
    written |= {"off": table["off"]} if "off" in table else {}
    checked = [check_value(f"{place}.{name}", value, field) for name, value in written.items()]
    problems = [problem for _, found in checked for problem in found]
    low, high, off = (*(value for value, _ in checked), None)[:3]
    numbers = isinstance(low, (int, float)) and not isinstance(low, bool)
    if not problems and not (numbers and _on_device(low) != _on_device(high)):
        problems = [Problem(f"{place}.{key}", show(table[key]), "two numbers that differ in float32")]
    if problems:
        return (), problems
    integer = isinstance(low, int) or (field.hyper is not None and field.hyper.integer)
    return Drawn((low, high), Range(low, high, key == "log_range", integer, off)), []


def check_paths(table: Any, place: str, groups: Groups, *, levels: bool) -> tuple[dict[str, Any], list[Problem]]:
    """Return {path: checked value or levels} of `fixed`, `factors` or `tune`, and what is wrong with it.

    Args:
      table: as written.
      place: name of the table.
      groups: from `make_groups`.
      levels: whether each path has a list of levels, else one value.
    """
    if not isinstance(table, Mapping):
        return {}, [Problem(place, show(table), f'a table [{place}] of paths such as "dropout.hidden"')]
    flat, problems = flatten(table, place)
    values: dict[str, Any] = {}
    for path, written in flat.items():
        field = find_field(path, groups, place)
        if isinstance(field, Problem):
            problems.append(field)
        elif field is not None:
            values[path], found = (check_levels if levels else check_value)(dotted(path, under=place), written, field)
            problems += found
    return values, problems
