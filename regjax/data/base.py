"""What a data set is: arrays in one canonical order, its official parts and a digest of what was decoded."""

import hashlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from regjax.files import RegjaxError


class DataError(RegjaxError, ValueError):
    """A data set is absent, damaged or not what the study asks of it; the message says what to do."""


class Dataset(NamedTuple):
    """Arrays of a data set.

    x: inputs [N, ...], uint8 where they came so, else float32.
    y: labels [N] int32 in 0..num_classes-1.
    parts: {"train": rows, "test": rows} of an official split, int32; {} where there is none.
    peak: what divides stored values of images into [0, 1]: 255.0 for uint8 images, 16.0 for digits, 1.0 for floats.
    digest: 16 hex digits of the decoded arrays x, y and parts with their types and shapes.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    num_classes: int
    parts: dict[str, np.ndarray]
    peak: float
    digest: str


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
    name: str, x: np.ndarray, y: np.ndarray, *, parts: dict[str, np.ndarray] | None = None, peak: float | None = None
) -> Dataset:
    """Return the data set of these arrays, with its digest.

    Args:
      name: name in studies and reports.
      x: inputs [N, ...], uint8 or float32.
      y: labels [N] int32, every class 0..K-1 occurring.
      parts: official parts; None for none.
      peak: largest possible stored value; None takes 255 for uint8 and 1 for float32.
    """
    parts = parts or {}
    if peak is None:
        peak = 255.0 if x.dtype == np.uint8 else 1.0
    return Dataset(name, x, y, int(y.max()) + 1, parts, peak, digest_arrays(x, y, parts))
