"""A user's own arrays from an .npz file, checked before anything trains on them."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from regjax.data.base import DataError, Dataset, make_dataset, make_parts

READ_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def load_arrays(path: Path, *, x: str = "x", y: str = "y") -> Dataset:
    """Return the data set of an .npz file.

    Args:
      path: file written by `np.savez` or `np.savez_compressed`; pickled objects in it are refused.
      x: key of the inputs [N, ...]; uint8 stays, other numbers become float32.
      y: key of the labels [N], any integers; mapped to 0..K-1 in sorted order.

    Returns:
      The data set. Where the file has the keys `<x>_test` and `<y>_test` these rows come last and are its official
      test part.

    Raises:
      DataError: a key is missing, a value not finite, a label no integer, lengths differ, or there is one class only.
    """
    arrays = _read_keys(path, [x, y], [f"{x}_test", f"{y}_test"])
    inputs = {key: _as_inputs(path, key, arrays[key]) for key in (x, f"{x}_test") if key in arrays}
    labels = {key: _as_labels(path, key, arrays[key]) for key in (y, f"{y}_test") if key in arrays}
    for x_key, y_key in zip(inputs, labels, strict=True):
        if len(inputs[x_key]) != len(labels[y_key]):
            raise DataError(
                f"{path}: {x_key!r} has {len(inputs[x_key])} rows and {y_key!r} has {len(labels[y_key])}; "
                "expected one label per row"
            )
    classes, codes = np.unique(np.concatenate(list(labels.values())), return_inverse=True)
    if len(classes) < 2:
        raise DataError(f"{path}: {y!r} holds one class only ({classes[0]}), expected at least two")
    sizes = [len(rows) for rows in labels.values()]
    parts = make_parts(*sizes) if len(sizes) == 2 else {}
    return make_dataset("arrays", _join(path, inputs), codes.reshape(-1).astype(np.int32), parts=parts)


def _read_keys(path: Path, needed: list[str], optional: list[str]) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(f"data.path: {path} does not exist; give the path of an .npz file")
    try:
        # Opened here, not by NumPy, which leaves damaged files open.
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise DataError(f"{path} is a single array; write it with np.savez(path, x=..., y=...)")
            keys = _choose_keys(path, list(file.files), needed, optional)
            return {key: _read_key(path, file, key) for key in keys}
    except DataError:
        raise
    except READ_ERRORS as error:
        raise DataError(f"{path} is no readable .npz file: {error}") from error


def _choose_keys(path: Path, keys: list[str], needed: list[str], optional: list[str]) -> list[str]:
    available = ", ".join(repr(key) for key in sorted(keys)) or "none"
    missing = [key for key in needed if key not in keys]
    if missing:
        raise DataError(
            f"{path} has no key {missing[0]!r}; available: {available}; set data.x and data.y to two of them"
        )
    found = [key for key in optional if key in keys]
    if len(found) == 1:
        raise DataError(f"{path} has {found[0]!r} alone; an official test part needs both of {', '.join(optional)}")
    return needed + found


def _read_key(path: Path, file: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    try:
        return np.asarray(file[key])
    except READ_ERRORS as error:
        raise DataError(f"{path}: {key!r} cannot be read without executing what it holds: {error}") from error


def _as_inputs(path: Path, key: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "buif":
        raise DataError(f"{path}: {key!r} has type {values.dtype}, expected numbers")
    if values.ndim < 2 or 0 in values.shape:
        raise DataError(f"{path}: {key!r} has shape {values.shape}, expected [rows, features, ...], none of them 0")
    if values.dtype == np.uint8:
        return values
    with np.errstate(over="ignore"):
        inputs = values.astype(np.float32)
    finite = np.isfinite(inputs).reshape(len(inputs), -1).all(axis=1)
    if not finite.all():
        rows = np.flatnonzero(~finite)
        raise DataError(
            f"{path}: {key!r} is not finite as float32 in {len(rows)} of {len(inputs)} rows, first in row {rows[0]}; "
            "remove or fill in such values"
        )
    return inputs


def _as_labels(path: Path, key: str, values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "bui":
        raise DataError(f"{path}: {key!r} has type {values.dtype}, expected integers, one class number per row")
    if values.ndim != 1:
        raise DataError(f"{path}: {key!r} has shape {values.shape}, expected [rows], one class number per row")
    if values.dtype == np.uint64 and values.size and values.max() > np.iinfo(np.int64).max:
        raise DataError(f"{path}: {key!r} holds integers above {np.iinfo(np.int64).max}")
    return values.astype(np.int64)


def _join(path: Path, inputs: dict[str, np.ndarray]) -> np.ndarray:
    first, *others = inputs.values()
    for other in others:
        if (other.shape[1:], other.dtype) != (first.shape[1:], first.dtype):
            train, test = inputs
            raise DataError(
                f"{path}: rows of {train!r} are {first.dtype} {first.shape[1:]}, "
                f"those of {test!r} {other.dtype} {other.shape[1:]}; expected equal ones"
            )
    return np.concatenate([first, *others]) if others else first
