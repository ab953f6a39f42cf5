"""Data sets as arrays in one canonical order, and the rows of their train, validation and test parts."""

import difflib
from pathlib import Path

from regjax.data.arrays import load_arrays
from regjax.data.base import DataError, Dataset, Rows
from regjax.data.builder import prepare
from regjax.data.digits import load_digits
from regjax.data.official import OFFICIAL, load_official
from regjax.data.splits import split_rows

DATASETS: dict[str, str] = {
    "digits": "1,797 handwritten digits 8 x 8, carried by scikit-learn",
    "mnist": "70,000 handwritten digits 28 x 28, prepared by TFDS",
    "fashion_mnist": "70,000 pictures of clothes 28 x 28, prepared by TFDS",
    "arrays": "your own .npz file",
}

__all__ = ["DATASETS", "DataError", "Dataset", "Rows", "load_dataset", "prepare", "split_rows"]


def load_dataset(
    name: str, *, folder: Path | None = None, path: Path | None = None, x: str = "x", y: str = "y"
) -> Dataset:
    """Return a data set by name. Never uses the network.

    Args:
      name: one of `DATASETS`.
      folder: where TFDS keeps prepared data; None for $TFDS_DATA_DIR, else ~/tensorflow_datasets.
      path: the .npz file, for "arrays" only.
      x: key of the inputs in that file.
      y: key of the labels in that file.

    Raises:
      DataError: the name is unknown, or the data is absent, damaged or unusable; says what to do.

    >>> load_dataset("digits").x.shape
    (1797, 8, 8, 1)
    """
    if name not in DATASETS:
        nearest = difflib.get_close_matches(name, DATASETS, 1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise DataError(f"data.name: got {name!r}, expected one of {', '.join(DATASETS)}{hint}")
    if (path is None) == (name == "arrays"):
        what = "needs the path of an .npz file" if path is None else f"is for 'arrays' only, not for {name!r}"
        raise DataError(f"data.path: {what}")
    if path is not None:
        return load_arrays(path, x=x, y=y)
    return load_digits() if name == "digits" else load_official(OFFICIAL[name], folder)
