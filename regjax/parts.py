"""Parts of a recipe: frozen dataclasses whose fields say what is traced and what is static.

A field made by `hyper` or `child` is traced (a pytree leaf or subtree), any other field is static (part of the tree
structure). Which runs share a compiled program follows from that structure, never from a list of names.
"""

import dataclasses
import math
import re
from typing import Any, NamedTuple, TypeVar, dataclass_transform

import jax

T = TypeVar("T")


class Interval(NamedTuple):
    """A range of numbers with open or closed ends, as written in mathematics.

    >>> Interval.parse("[0, 1)").contains(1.0)
    False
    >>> str(Interval.parse("(0, inf]"))
    '(0, inf]'
    """

    low: float
    high: float
    low_closed: bool
    high_closed: bool

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Return the interval that `text` writes, e.g. "[0, 1)"."""
        found = re.fullmatch(r"([\[(])\s*(\S+)\s*,\s*(\S+?)\s*([\])])", text)
        if found is None:
            raise ValueError(f"got {text!r}, expected an interval such as '[0, 1)'")
        return cls(float(found[2]), float(found[3]), found[1] == "[", found[4] == "]")

    def contains(self, value: float) -> bool:
        """Return whether `value` lies inside; NaN lies in no interval."""
        above = value >= self.low if self.low_closed else value > self.low
        below = value <= self.high if self.high_closed else value < self.high
        return above and below

    def __str__(self) -> str:
        return f"{'[' if self.low_closed else '('}{self.low:g}, {self.high:g}{']' if self.high_closed else ')'}"


class Hyper(NamedTuple):
    """What is known of a traced field: its off value, its range, and what kind of value a study writes."""

    off: float | None
    range: Interval
    per_layer: bool
    flag: bool
    integer: bool
    help: str


def hyper(
    off: float | None = None,
    *,
    range: str,
    default: Any = dataclasses.MISSING,
    per_layer: bool = False,
    flag: bool = False,
    integer: bool = False,
    help: str,
) -> Any:
    """Return a dataclass field for a traced float32 scalar.

    Args:
      off: value at which the part is exactly absent; also the default. None where the field has no such value.
      range: admitted values as an interval, e.g. "[0, 1)".
      default: value where the study says nothing, for a field without off value.
      per_layer: whether a list with one value per hidden layer is admitted as well.
      flag: whether the study writes true or false (traced as 1 and 0).
      integer: whether it is a count, so that only whole numbers (and infinity, where the range has it) are admitted.
      help: one line for tables and error messages.
    """
    metadata = {"hyper": Hyper(off, Interval.parse(range), per_layer, flag, integer, help)}
    return dataclasses.field(default=default if off is None else off, metadata=metadata)


def setting(*, range: str, default: Any = dataclasses.MISSING) -> Any:
    """Return a dataclass field for a static number, or a tuple of numbers, whose range the study file is held to.

    Args:
      range: admitted values, of each number of a tuple, as an interval, e.g. "[1, inf)".
      default: value where the study says nothing; a field without default must be given.
    """
    return dataclasses.field(default=default, metadata={"range": Interval.parse(range)})


def derived(default: Any) -> Any:
    """Return a dataclass field for a static value that no study writes: it follows from the runs that are grouped."""
    return dataclasses.field(default=default, metadata={"derived": True})


def child(default: Any = dataclasses.MISSING) -> Any:
    """Return a dataclass field that holds another part, a tuple of parts or None, with traced fields of its own."""
    return dataclasses.field(default=default, metadata={"child": True})


@dataclass_transform(frozen_default=True, field_specifiers=(hyper, setting, derived, child, dataclasses.field))
def part(cls: type[T]) -> type[T]:
    """Make `cls` a frozen dataclass and a jax pytree: `hyper` and `child` fields traced, all others static.

    >>> @part
    ... class Scale:
    ...     strength: float = hyper(off=0.0, range="[0, inf)", help="size")
    ...     axis: int = 0
    >>> jax.tree.leaves(Scale(0.5, axis=1))
    [0.5]
    >>> jax.tree.structure(Scale(0.5)) == jax.tree.structure(Scale(2.0))
    True
    >>> jax.tree.structure(Scale(0.5)) == jax.tree.structure(Scale(0.5, axis=1))
    False
    """
    made: type = dataclasses.dataclass(frozen=True)(cls)
    traced = {f.name for f in dataclasses.fields(made) if {"hyper", "child"} & set(f.metadata)}
    names = [f.name for f in dataclasses.fields(made)]
    data, meta = [n for n in names if n in traced], [n for n in names if n not in traced]

    def flatten(value: Any) -> tuple[Any, Any]:
        # The class is static data: jax compares two tree structures by it, not by the kind of their nodes, and would
        # take the program of one part for another of the same shape.
        keyed = [(jax.tree_util.GetAttrKey(n), getattr(value, n)) for n in data]
        return keyed, (made, tuple(getattr(value, n) for n in meta))

    def unflatten(static: Any, leaves: Any) -> Any:
        value: Any = object.__new__(made)
        for name, field in (*zip(meta, static[1], strict=True), *zip(data, leaves, strict=True)):
            object.__setattr__(value, name, field)
        return value

    jax.tree_util.register_pytree_with_keys(made, flatten, unflatten)
    return made


def hypers(part_class: type) -> dict[str, Hyper]:
    """Return {field name: Hyper} of the traced scalars of a part class, in order."""
    return {f.name: f.metadata["hyper"] for f in dataclasses.fields(part_class) if "hyper" in f.metadata}


def is_off(part_class: type, values: dict[str, Any]) -> bool:
    """Return whether these hyper values switch the part off: every hyper that has an off value is at it.

    Args:
      part_class: class made by `part`.
      values: {field: number or list of numbers}; a missing field counts as off.
    """
    switches = {name: h.off for name, h in hypers(part_class).items() if h.off is not None}
    levels = {name: values.get(name, off) for name, off in switches.items()}
    return bool(switches) and all(
        all(_same(v, switches[name]) for v in (level if isinstance(level, (list, tuple)) else [level]))
        for name, level in levels.items()
    )


def _same(value: float, off: float) -> bool:
    return value == off or (math.isinf(value) and math.isinf(off) and value * off > 0)
