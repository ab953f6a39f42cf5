"""What a data set is: arrays in one canonical order, its official parts and a digest of what was decoded."""

import hashlib
import math
import numbers
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from regjax.data.checks import DataError, as_inputs, as_parts, as_targets, number_targets


class Dataset(NamedTuple):
    """Arrays of a data set; made by `make_dataset`.

    x: inputs [N, ...], uint8 where they came so, else float32.
    y: labels [N] int32 in 0..num_classes-1; for a regression values [N] or [N, k] float32.
    num_classes: number of classes; 0 for a regression.
    parts: {"train": rows, "test": rows} of an official split, int32; {} where there is none.
    peak: what divides stored values of images into [0, 1]: 255.0 for uint8 images, 16.0 for digits, 1.0 for floats.
    digest: 16 hex digits of the decoded arrays x, y and parts with their types and shapes.
    truth: what is known of a synthetic set, by name: weights, support, the least error there can be.
    note: what a reader of results should be told about the data, one sentence; may be empty.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    num_classes: int
    parts: dict[str, np.ndarray]
    peak: float
    digest: str
    truth: Mapping[str, np.ndarray] = MappingProxyType({})
    note: str = ""

    @property
    def num_outputs(self) -> int:
        """Outputs that a network for it has: classes, or values per example of a regression."""
        return self.num_classes or (1 if self.y.ndim == 1 else self.y.shape[1])


class Rows(NamedTuple):
    """Row numbers of the three parts of a study, int32; disjoint, none empty."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def digest_arrays(x: np.ndarray, y: np.ndarray, parts: Mapping[str, np.ndarray]) -> str:
    """Return 16 hex digits of the SHA-256 of the arrays; equal arrays of another type or shape differ.

    >>> a = np.arange(4, dtype=np.int32)
    >>> digest_arrays(a, a, {}) == digest_arrays(a.reshape(2, 2), a, {})
    False
    """
    hasher = hashlib.sha256()
    named = {"x": x, "y": y, **{f"part {name}": parts[name] for name in sorted(parts)}}
    for name, values in named.items():
        values = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        hasher.update(f"{name}:{values.dtype.str}:{values.shape};".encode())
        hasher.update(values.data.cast("B"))
    return hasher.hexdigest()[:16]


def make_parts(num_train: int, num_test: int) -> dict[str, np.ndarray]:
    """Return the official parts of arrays that hold the train rows first, then the test rows."""
    rows = np.arange(num_train + num_test, dtype=np.int32)
    return {"train": rows[:num_train], "test": rows[num_train:]}


def make_dataset(
    name: str,
    x: Any,
    y: Any,
    *,
    parts: Mapping[str, Any] | None = None,
    peak: float | None = None,
    truth: Mapping[str, np.ndarray] | None = None,
    note: str = "",
) -> Dataset:
    """Return the data set of these arrays, checked, with its digest. Do not change the arrays afterwards.

    Args:
      name: name in studies and reports, one line.
      x: inputs [N, ...] of at least one feature, finite; uint8 stays, other numbers become float32.
      y: integer labels [N], any values, mapped to 0..K-1 in sorted order; or floats [N] or [N, k], finite: the values
        of a regression, which become float32.
      parts: official parts {"train": rows, "test": rows}, disjoint row numbers; None for none.
      peak: largest possible stored value, by which `data.scale = "unit"` divides; None takes 255 for uint8 and 1 for
        other numbers.
      truth: what is known of a synthetic set, by name.
      note: what a reader of results should be told about the data, one sentence.

    Raises:
      DataError: an argument is unfit; says which, what was got and what was expected.

    >>> own = make_dataset("own", [[0.5], [1.5], [2.5]], [3, 8, 3], parts={"train": [0, 1], "test": [2]})
    >>> own.y.tolist(), own.num_classes, own.x.dtype.name
    ([0, 1, 0], 2, 'float32')
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise DataError(f"the name of a data set is {name!r}, expected one line of text")
    inputs = as_inputs(f"{name}: x", _as_array(name, "x", x))
    targets, num_classes = number_targets(f"{name}: y", as_targets(f"{name}: y", _as_array(name, "y", y)))
    if len(inputs) != len(targets):
        raise DataError(f"{name}: x has {len(inputs)} rows and y has {len(targets)}; expected one target per row")
    if peak is None:
        peak = 255.0 if inputs.dtype == np.uint8 else 1.0
    if isinstance(peak, bool) or not isinstance(peak, numbers.Real) or not 0 < peak < math.inf:
        raise DataError(f"{name}: peak is {peak!r}, expected a number > 0, the largest possible stored value")
    rows = as_parts(f"{name}: parts", parts or {}, len(targets))
    digest = digest_arrays(inputs, targets, rows)
    known = MappingProxyType(dict(truth or {}))
    return Dataset(name, inputs, targets, num_classes, rows, float(peak), digest, known, note)


def _as_array(name: str, key: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:
        raise DataError(f"{name}: {key} is no array: {error}") from error
