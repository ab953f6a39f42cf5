"""A user's own arrays from an .npz file, checked before anything trains on them."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from regjax.data.base import Dataset, make_dataset, make_parts
from regjax.data.checks import DataError, as_inputs, as_targets, number_targets

READ_ERRORS = (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError)


def load_arrays(path: Path, *, x: str = "x", y: str = "y") -> Dataset:
    """Return the data set of an .npz file.

    Args:
      path: file written by `np.savez` or `np.savez_compressed`; pickled objects in it are refused.
      x: key of the inputs [N, ...]; uint8 stays, other numbers become float32.
      y: key of the targets: integers [N] are labels, any values, mapped to 0..K-1 in sorted order; floats [N] or
        [N, k] are the values of a regression.

    Returns:
      The data set. Where the file has the keys `<x>_test` and `<y>_test` these rows come last and are its official
      test part.

    Raises:
      DataError: a key is missing, a value not finite, a target no number, train and test rows or lengths differ, or
        there is one class or one value only.
    """
    arrays = _read_keys(path, [x, y], [f"{x}_test", f"{y}_test"])
    inputs = {key: as_inputs(f"{path}: {key!r}", arrays[key]) for key in (x, f"{x}_test") if key in arrays}
    targets = {key: as_targets(f"{path}: {key!r}", arrays[key]) for key in (y, f"{y}_test") if key in arrays}
    for x_key, y_key in zip(inputs, targets, strict=True):
        if len(inputs[x_key]) != len(targets[y_key]):
            raise DataError(
                f"{path}: {x_key!r} has {len(inputs[x_key])} rows and {y_key!r} has {len(targets[y_key])}; "
                "expected one target per row"
            )
    joined, _ = number_targets(f"{path}: {y!r}", _join(path, targets))
    sizes = [len(rows) for rows in targets.values()]
    parts = make_parts(*sizes) if len(sizes) == 2 else {}
    return make_dataset("arrays", _join(path, inputs), joined, parts=parts)


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


def _join(path: Path, arrays: dict[str, np.ndarray]) -> np.ndarray:
    first, *others = arrays.values()
    for other in others:
        if (other.shape[1:], other.dtype.kind) != (first.shape[1:], first.dtype.kind):
            train, test = arrays
            raise DataError(
                f"{path}: rows of {train!r} are {first.dtype} {first.shape[1:]}, "
                f"those of {test!r} {other.dtype} {other.shape[1:]}; expected equal ones"
            )
    return np.concatenate([first, *others]) if others else first
