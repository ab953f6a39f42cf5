"""Checks of inputs, targets and parts before anything trains on them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from regjax.files import RegjaxError

# Rows that are looked at at once: data may be larger than the memory.
ROWS_AT_ONCE = 65_536
MOST_NOISE = 1e18


class DataError(RegjaxError, ValueError):
    """A data set is absent, damaged or not what the study asks of it; the message says what to do."""


def as_inputs(what: str, values: np.ndarray) -> np.ndarray:
    """Return inputs [N, ...] as uint8 where they came so, else as float32.

    Args:
      what: how messages name them.
      values: numbers of any type.

    Raises:
      DataError: they are no numbers, not finite as float32, or have fewer than two axes or an empty one.
    """
    if values.dtype.kind not in "buif":
        raise DataError(f"{what} has type {values.dtype}, expected numbers")
    if values.ndim < 2 or 0 in values.shape:
        raise DataError(f"{what} has shape {values.shape}, expected [rows, features, ...], none of them 0")
    return values if values.dtype == np.uint8 else _as_finite(what, values)


def as_targets(what: str, values: np.ndarray) -> np.ndarray:
    """Return labels [N] of integers as int64 (int32 and texts stay), or values [N] or [N, k] of floats as float32.

    Args:
      what: how messages name them.
      values: integers or texts (classes) or floats (values of a regression).

    Raises:
      DataError: neither, not finite as float32, or of another shape.
    """
    if values.dtype.kind not in "buifU":
        raise DataError(
            f"{what} has type {values.dtype}, expected integers or texts, one class per row, or floats; texts in an "
            "array of objects become such by .astype(str)"
        )
    if values.dtype.kind == "f":
        if values.ndim not in (1, 2) or 0 in values.shape:
            raise DataError(f"{what} has shape {values.shape}, expected [rows] or [rows, outputs], none of them 0")
        return _as_finite(what, values)
    if values.ndim != 1:
        raise DataError(
            f"{what} has shape {values.shape}, expected [rows], one class number per row; several values per row are "
            "targets of a regression: give floats"
        )
    if values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
        raise DataError(f"{what} holds integers above {np.iinfo(np.int64).max}")
    return values if values.dtype == np.int32 or values.dtype.kind == "U" else values.astype(np.int64)


def number_targets(what: str, values: np.ndarray) -> tuple[np.ndarray, int]:
    """Return targets and the number of classes: labels numbered 0..K-1 in sorted order, int32; floats as they are, 0.

    Args:
      what: how messages name them.
      values: from `as_targets`.

    Raises:
      DataError: there is one class only, or an output that never changes.

    >>> number_targets("y", np.array([7, 5, 7]))
    (array([1, 0, 1], dtype=int32), 2)
    """
    if values.dtype.kind == "f":
        constant = np.flatnonzero((values == values[:1]).reshape(len(values), -1).all(axis=0))
        if constant.size:
            where = f" in output {constant[0]}" if values.ndim == 2 else ""
            first = values.reshape(len(values), -1)[0, constant[0]]
            raise DataError(f"{what} holds one value only{where} ({first:g}), expected at least two")
        return values, 0
    classes, codes = np.unique(values, return_inverse=True)
    if len(classes) < 2:
        held = f"one class only ({classes[0]})" if len(classes) else "no rows"
        raise DataError(f"{what} holds {held}, expected at least two classes")
    if values.dtype == np.int32 and classes[0] == 0 and classes[-1] == len(classes) - 1:
        return values, len(classes)
    return codes.reshape(-1).astype(np.int32), len(classes)


def as_parts(what: str, parts: Mapping[str, Any], count: int) -> dict[str, np.ndarray]:
    """Return official parts {"train": rows, "test": rows} as int32, or {} where there are none.

    Args:
      what: how messages name them.
      parts: row numbers of each part.
      count: rows there are.

    Raises:
      DataError: other keys, an empty part, or rows that are no integers, do not exist or occur twice.
    """
    if not parts:
        return {}
    if set(parts) != {"train", "test"}:
        raise DataError(f"{what} has the keys {sorted(map(str, parts))}, expected train and test, or no parts at all")
    made = {}
    for name in ("train", "test"):
        rows = np.asarray(parts[name])
        if rows.ndim != 1 or rows.dtype.kind not in "ui" or not rows.size:
            raise DataError(f"{what}[{name!r}] is {rows.dtype} {rows.shape}, expected a list of row numbers, not empty")
        if rows.min() < 0 or rows.max() >= count:
            raise DataError(
                f"{what}[{name!r}] reaches from {rows.min()} to {rows.max()}, expected rows 0 to {count - 1}"
            )
        made[name] = rows.astype(np.int32)
    numbers, times = np.unique(np.concatenate(list(made.values())), return_counts=True)
    if times.max() > 1:
        raise DataError(f"{what} holds row {numbers[times.argmax()]} more than once, expected disjoint parts")
    return made


def check_sizes(**sizes: tuple[Any, int]) -> None:
    """Raise DataError for the first of {key of a synthetic set: (value, least)} that is no such integer."""
    for name, (value, least) in sizes.items():
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**32:
            raise DataError(f"data.{name}: got {value!r}, expected an integer from {least} to {2**32 - 1}")


def check_number(name: str, value: Any, sound: Callable[[float], bool], expected: str) -> None:
    """Raise DataError unless the value of a key of a synthetic set is a finite number that is sound."""
    finite = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf
    if not finite or not sound(value):
        raise DataError(f"data.{name}: got {value!r}, expected {expected}")


def check_noise(noise: Any) -> None:
    """Raise DataError unless `noise` is a standard deviation whose square float32 can hold."""
    check_number("noise", noise, lambda value: 0 <= value <= MOST_NOISE, f"a number in [0, {MOST_NOISE:g}]")


def _as_finite(what: str, values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32, copy=False)
    wrong = [
        begin + np.flatnonzero(~np.isfinite(block).reshape(len(block), -1).all(axis=1))
        for begin in range(0, len(numbers), ROWS_AT_ONCE)
        for block in (numbers[begin : begin + ROWS_AT_ONCE],)
    ]
    rows = np.concatenate(wrong)
    if rows.size:
        raise DataError(
            f"{what} is not finite as float32 in {len(rows)} of {len(numbers)} rows, first in row {rows[0]}; "
            "remove or fill in such values"
        )
    return numbers
