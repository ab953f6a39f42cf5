"""A user's own arrays from an .npz file, checked before anything trains on them."""

import math
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from regjax.data.base import Dataset, make_dataset, make_parts
from regjax.data.checks import DataError, as_inputs, as_targets, number_targets
from regjax.data.memory import check_size

READ_ERRORS = (OSError, ValueError, EOFError, OverflowError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error)
# What np.savez and np.savez_compressed use; the others may ask for gigabytes before a byte is read.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1  # bit of a member's flags


def load_arrays(path: Path, *, x: str = "x", y: str = "y") -> Dataset:
    """Return the data set of an .npz file.

    Args:
      path: file written by `np.savez` or `np.savez_compressed`; pickled objects in it are refused.
      x: key of the inputs [N, ...]; uint8 stays, other numbers become float32.
      y: key of the targets: integers or texts [N] are labels, any values, mapped to 0..K-1 in sorted order; floats [N]
        or [N, k] are the values of a regression.

    Returns:
      The data set. Where the file has the keys `<x>_test` and `<y>_test` these rows come last and are its official
      test part (of "x_train" and "y_train" the keys are "x_test" and "y_test").

    Raises:
      DataError: a key is missing, a value not finite, a target no number, train and test rows or lengths differ, there
        is one class or one value only, or the heads declare more than `memory.check_size` admits (nothing is then
        decompressed).
    """
    x_test, y_test = (f"{key.removesuffix('_train')}_test" for key in (x, y))
    arrays = _read_keys(path, [x, y], [x_test, y_test])
    inputs = {key: as_inputs(f"{path}: {key!r}", arrays[key]) for key in (x, x_test) if key in arrays}
    targets = {key: as_targets(f"{path}: {key!r}", arrays[key]) for key in (y, y_test) if key in arrays}
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
        raise DataError(f"data.path: {path} does not exist; give the path of an .npz or .csv file")
    try:
        with path.open("rb") as opened:
            if opened.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
                raise DataError(f"{path} is a single array; write it with np.savez(path, x=..., y=...)")
            with zipfile.ZipFile(opened) as archive:
                found = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
                keys = _choose_keys(path, found, needed, optional)
                check_size(f"{path}: {', '.join(map(repr, keys))}", sum(_measure(path, archive, key) for key in keys))
                return {key: _read_key(path, archive, key) for key in keys}
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


def _measure(path: Path, archive: zipfile.ZipFile, key: str) -> int:
    """Return the bytes that an array will take, from its head alone; DataError where head and member disagree."""
    what, info = f"{path}: {key!r}", archive.getinfo(f"{key}.npy")
    if info.compress_type not in METHODS or info.flag_bits & ENCRYPTED:
        raise DataError(f"{what} is encrypted or packed in another way; write it with np.savez or np.savez_compressed")
    try:
        with archive.open(info) as member:
            version = np.lib.format.read_magic(member)
            if version != (1, 0):
                raise DataError(f"{what} has version {version} of the npy format, expected (1, 0), as of plain numbers")
            shape, _, dtype = np.lib.format.read_array_header_1_0(member)
            head = member.tell()
    # What NumPy raises at damaged heads is not documented and differs between versions.
    except Exception as error:
        raise error if isinstance(error, DataError) else DataError(f"{what} cannot be read: {error}") from error
    if dtype.hasobject:
        raise DataError(
            f"{what} cannot be read without executing what it holds: it has type {dtype}, expected numbers; "
            "labels that are texts can be saved as y.astype(str)"
        )
    count = math.prod(shape)
    if head + count * dtype.itemsize != info.file_size:
        raise DataError(
            f"{what} is damaged: its head says {dtype} {shape}, {head + count * dtype.itemsize} bytes with the head, "
            f"and the file holds {info.file_size}"
        )
    return count * (1 if dtype == np.uint8 else max(dtype.itemsize, np.dtype(np.float32).itemsize))


def _read_key(path: Path, archive: zipfile.ZipFile, key: str) -> np.ndarray:
    try:
        with archive.open(f"{key}.npy") as member:
            return np.lib.format.read_array(member, allow_pickle=False)
    except READ_ERRORS as error:
        raise DataError(f"{path}: {key!r} cannot be read: {error}") from error


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
