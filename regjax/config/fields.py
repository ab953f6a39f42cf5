"""Fields of parts as a study writes them: what each admits follows from the part's dataclass."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from regjax.config.problems import Problem, UnfitError, dotted, nearest, show, unknown
from regjax.parts import Hyper, Interval, hypers
from regjax.regularizers import Regularizer, Scheduled

EVERYTHING = Interval.parse("(-inf, inf)")
LARGEST_INT = 2**31 - 1  # counters on the device are int32
SMALLEST_FLOAT = float(np.finfo(np.float32).tiny)  # smaller ones are flushed to zero
REQUIRED = object()


@dataclasses.dataclass(frozen=True)
class Field:
    """What may stand at one place of a study.

    Attributes:
      expected: in words.
      check: value as written -> value as used; raises UnfitError.
      default: where the study says nothing; REQUIRED where it must be given.
      hyper: set for a traced scalar.
      inner: part class of a nested table.
    """

    expected: str
    check: Callable[[Any], Any]
    default: Any = REQUIRED
    hyper: Hyper | None = None
    inner: type | None = None


def describe(interval: Interval, kind: str) -> str:
    """Return an interval in words.

    >>> describe(Interval.parse("[1, inf)"), "an integer"), describe(Interval.parse("[0, 1)"), "a number")
    ('an integer >= 1', 'a number in [0, 1)')
    """
    if interval == EVERYTHING:
        return kind
    if math.isinf(interval.high) and not interval.high_closed:
        return f"{kind} {'>=' if interval.low_closed else '>'} {interval.low:g}"
    return f"{kind} in {interval}"


def check_integer(value: Any, interval: Interval, expected: str) -> int:
    """Return `value` if it is an integer in the interval that fits int32; true and 1.0 are none."""
    if isinstance(value, bool) or not isinstance(value, int) or not interval.contains(value):
        raise UnfitError(expected, _number_hint(value))
    if abs(value) > LARGEST_INT:
        raise UnfitError(f"{expected}, at most {LARGEST_INT}")
    return value


def check_number(value: Any, interval: Interval, expected: str) -> float:
    """Return `value` as a float if it is a number in the interval; true and "1e-3" are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not interval.contains(value):
        raise UnfitError(expected, _number_hint(value))
    return float(value) + 0.0  # -0.0 becomes 0.0


def check_hyper(value: Any, hyper: Hyper, expected: str) -> Any:
    """Return the level of a traced scalar: a float, a bool for a flag, a tuple with one float per hidden layer.

    A value that float32 would turn into another kind of value (zero, infinite, an end that is excluded) is refused:
    two levels of a study would silently be one.
    """
    if value == "off" and isinstance(value, str):
        if hyper.off is None:
            raise UnfitError(expected, "it has no off value")
        return hyper.off
    if hyper.flag:
        if not isinstance(value, bool):
            raise UnfitError(expected)
        return value
    if hyper.per_layer and isinstance(value, (list, tuple)) and value:
        return tuple(check_float32(v, hyper.range, expected) for v in value)
    number = check_float32(value, hyper.range, expected)
    if hyper.integer and math.isfinite(number) and number != round(number):
        raise UnfitError(expected)
    return number


def check_float32(value: Any, interval: Interval, expected: str) -> float:
    """Return `value` as a float if it lies in the interval in float32 too."""
    number = check_number(value, interval, expected)
    with np.errstate(over="ignore", under="ignore"):
        single = float(np.float32(number))
    if math.isinf(single) != math.isinf(number) or not interval.contains(single):
        raise UnfitError(expected, f"in float32 it becomes {single:g}")
    if 0 < abs(number) < SMALLEST_FLOAT:
        raise UnfitError(expected, f"too small for float32: 0 or at least {SMALLEST_FLOAT:.3g}")
    return number


def check_choice(value: Any, names: tuple[str, ...], expected: str) -> str:
    """Return `value` if it is one of the names."""
    if not isinstance(value, str) or value not in names:
        raise UnfitError(expected, nearest(value, names) if isinstance(value, str) else "")
    return value


def check_flag(value: Any) -> bool:
    """Return `value` if it is true or false; 0 and 1 are not."""
    if not isinstance(value, bool):
        raise UnfitError("true or false")
    return value


def check_list(value: Any, item: Callable[[Any], Any], expected: str) -> tuple:
    """Return a list with at least one item as a tuple of checked items."""
    if not isinstance(value, (list, tuple)) or not value:
        raise UnfitError(expected)
    try:
        return tuple(item(v) for v in value)
    except UnfitError as error:
        raise UnfitError(expected, error.hint) from None


def words(names: tuple[str, ...]) -> str:
    """Return names in quotes with "or" before the last.

    >>> words(("a", "b", "c"))
    '"a", "b" or "c"'
    """
    quoted = [f'"{name}"' for name in names]
    return " or ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def _number_hint(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    try:
        float(value)
    except ValueError:
        return ""
    return "write numbers without quotes"


@functools.cache
def part_fields(part_class: type) -> dict[str, Field]:
    """Return {name: Field} of the fields of a part class that a study may set, in order."""
    kinds = get_type_hints(part_class)
    traced = hypers(part_class)
    made = {}
    for field in dataclasses.fields(part_class):
        default = REQUIRED if field.default is dataclasses.MISSING else field.default
        if field.name in traced:
            made[field.name] = _hyper_field(traced[field.name], default)
        elif not {"child", "derived"} & set(field.metadata):
            interval = field.metadata.get("range", EVERYTHING)
            made[field.name] = _setting_field(kinds[field.name], interval, default)
    return made


def switched_fields(part_class: type) -> dict[str, Field]:
    """Return {name: Field} of what a study may set of a regularizer or observer; of a regularizer its times too."""
    times = part_fields(Scheduled) if issubclass(part_class, Regularizer) else {}
    return {**part_fields(part_class), **times}


def _hyper_field(hyper: Hyper, default: Any) -> Field:
    kind = "an integer" if hyper.integer else "a number"
    expected = "true or false" if hyper.flag else describe(hyper.range, kind)
    if hyper.per_layer:
        expected += " or a list of them, one per hidden layer"
    if hyper.off is not None:
        expected += ' or "off"'
    return Field(expected, lambda value: check_hyper(value, hyper, expected), default, hyper)


def _setting_field(kind: Any, interval: Interval, default: Any) -> Field:
    """Return the field of a static setting of one of the types that settings have."""
    if dataclasses.is_dataclass(kind):
        return Field("a table", lambda value: value, default, inner=kind)  # type: ignore[arg-type]
    if get_origin(kind) is Literal:
        names = get_args(kind)
        return Field(words(names), lambda value: check_choice(value, names, words(names)), default)
    if kind is bool:
        return Field("true or false", check_flag, default)
    if kind in (int, float):
        name, check = ("an integer", check_integer) if kind is int else ("a number", check_number)
        expected = describe(interval, name)
        return Field(expected, lambda value: check(value, interval, expected), default)
    if get_origin(kind) is tuple:
        item = _setting_field(get_args(kind)[0], interval, REQUIRED)
        expected = f"a list, each item {item.expected}"
        empty = default == ()
        return Field(
            expected, lambda v: () if empty and v in ([], ()) else check_list(v, item.check, expected), default
        )
    raise TypeError(f"a setting of type {kind} cannot stand in a study file; use int, float, bool, Literal or tuple")


def check_fields(
    fields: Mapping[str, Field], table: Mapping[str, Any], *place: str
) -> tuple[dict[str, Any], list[Problem]]:
    """Return {name: checked value or default} of a table with these fields, and what is wrong with it.

    Args:
      fields: what the table may hold.
      table: as written.
      place: keys that lead to the table.
    """
    values: dict[str, Any] = {}
    problems = [
        unknown(dotted(*place, key), f"key {show(key)}", key, list(fields), f"{dotted(*place)} has")
        for key in table
        if key not in fields
    ]
    for name, field in fields.items():
        if field.inner is not None:
            found, more = _check_inner(field.inner, table.get(name, {}), *place, name)
            values[name] = found
            problems += more
        elif name in table:
            try:
                values[name] = field.check(table[name])
            except UnfitError as error:
                problems.append(Problem(dotted(*place, name), show(table[name]), error.expected, error.hint))
        elif field.default is REQUIRED:
            problems.append(Problem(dotted(*place, name), "nothing", field.expected))
        else:
            values[name] = field.default
    return values, problems


def _check_inner(part_class: type, table: Any, *place: str) -> tuple[dict[str, Any], list[Problem]]:
    if not isinstance(table, Mapping):
        return {}, [Problem(dotted(*place), show(table), f"a table with {', '.join(part_fields(part_class))}")]
    return check_fields(part_fields(part_class), table, *place)


def make_part(part_class: type, values: Mapping[str, Any]) -> Any:
    """Return the part with these checked values; nested tables become parts."""
    fields = part_fields(part_class)
    return part_class(
        **{name: make_part(inner, v) if (inner := fields[name].inner) else v for name, v in values.items()}
    )
