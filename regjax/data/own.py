"""What a user's own file seems to hold: for a first study file."""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from regjax.data.arrays import READ_ERRORS, load_arrays
from regjax.data.base import Dataset
from regjax.data.checks import DataError
from regjax.data.csv_table import load_csv, read_table

# Names that such files have often; the first that occurs is taken.
INPUTS = ("x", "X", "x_train", "X_train", "inputs", "images", "features", "data")
TARGETS = ("y", "Y", "y_train", "Y_train", "target", "targets", "label", "labels", "class")


class Own(NamedTuple):
    """A user's own file.

    dataset: what it holds.
    x: key of the inputs; None in a table, of which all other columns are inputs.
    y: key or column of the targets.
    """

    dataset: Dataset
    x: str | None
    y: str


def read_own(path: Path, target: str | None = None) -> Own:
    """Return what an .npz or .csv file holds, under the names that such files have often.

    Args:
      path: the file.
      target: key or column of the targets; None for the first usual name.

    Raises:
      DataError: no usual name is in it, or `load_dataset` refuses it.
    """
    try:
        return _read_table(path, target) if path.suffix.lower() == ".csv" else _read_arrays(path, target)
    except OSError as error:
        said = error.strerror or error
        raise DataError(f"{path} cannot be read: {said}; give the path of an .npz or .csv file") from error


def _read_table(path: Path, target: str | None) -> Own:
    columns = [str(name) for name in read_table(path).columns]
    y = target or _choose(path, TARGETS, columns, "column to predict")
    return Own(load_csv(path, y=y), None, y)


def _read_arrays(path: Path, target: str | None) -> Own:
    keys = _list_keys(path)
    x = _choose(path, INPUTS, keys, "key of the inputs")
    y = target or _choose(path, TARGETS, keys, "key of the targets")
    return Own(load_arrays(path, x=x, y=y), x, y)


def _list_keys(path: Path) -> list[str]:
    """Return the keys of an .npz file, the usual ones where it cannot be read: its loader then says why."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except READ_ERRORS:
        return ["x", "y"]


def _choose(path: Path, usual: Iterable[str], found: list[str], what: str) -> str:
    for name in usual:
        if name in found:
            return name
    how = "name it with --target" if "inputs" not in what else "save them as x"
    raise DataError(f"{path}: which is the {what}? It has {', '.join(map(repr, found)) or 'none'}; {how}")
