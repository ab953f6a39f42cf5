"""Data sets as arrays in one canonical order, and the rows of their train, validation and test parts."""

import difflib
from pathlib import Path
from typing import Any

from regjax.data.arrays import load_arrays
from regjax.data.base import Dataset, Rows, make_dataset
from regjax.data.builder import prepare
from regjax.data.checks import DataError
from regjax.data.csv_table import load_csv
from regjax.data.embedded import EMBEDDED
from regjax.data.generic import PREFIX, load_generic
from regjax.data.memory import find_limit
from regjax.data.official import OFFICIAL, load_official
from regjax.data.own import Own, read_own
from regjax.data.splits import split_rows
from regjax.data.synthetic import SYNTHETIC, make_synthetic, ridge_optimum

DATASETS: dict[str, str] = {
    "digits": "1,797 handwritten digits 8 x 8, carried by scikit-learn",
    "breast_cancer": "569 tumours, 30 features, 2 classes, carried by scikit-learn",
    "wine": "178 wines, 13 features, 3 classes, carried by scikit-learn",
    "diabetes": "442 patients, 10 features, a regression, carried by scikit-learn",
    "mnist": "70,000 handwritten digits 28 x 28, prepared by TFDS",
    "fashion_mnist": "70,000 pictures of clothes 28 x 28, prepared by TFDS",
    "kmnist": "70,000 cursive Japanese characters 28 x 28, prepared by TFDS",
    "emnist/byclass": "814,255 handwritten characters 28 x 28, 62 classes, prepared by TFDS",
    "emnist/bymerge": "814,255 handwritten characters 28 x 28, 47 classes, prepared by TFDS",
    "emnist/balanced": "131,600 handwritten characters 28 x 28, 47 classes, prepared by TFDS",
    "emnist/letters": "103,600 handwritten letters 28 x 28, 26 classes, prepared by TFDS",
    "emnist/digits": "280,000 handwritten digits 28 x 28, prepared by TFDS",
    "emnist/mnist": "70,000 handwritten digits 28 x 28, prepared by TFDS",
    "cifar10": "60,000 colour images 32 x 32, 10 classes, prepared by TFDS",
    "cifar100": "60,000 colour images 32 x 32, 100 classes, prepared by TFDS",
    "svhn": "99,289 house numbers 32 x 32 in colour, prepared by TFDS (svhn_cropped)",
    "tfds:NAME": "any set of fixed shapes that TFDS prepared: tfds:<name>[/config][:version]",
    "sparse_linear": "synthetic regression: few of the features matter, known weights",
    "ridge_linear": "synthetic regression: correlated features, dense known weights",
    "teacher": "synthetic: classes or values of a random two-layer network, known least error",
    "logistic": "synthetic: two classes from a known logistic model, known least error",
    "parity": "synthetic: two classes that few features make together and none alone, as exclusive or",
    "contaminated": "synthetic: two classes from a known logistic model, and planted outliers",
    "arrays": "your own .npz or .csv file",
    "custom": "your own arrays from Python: regjax.make_dataset",
}

__all__ = [
    "DATASETS",
    "DataError",
    "Dataset",
    "Own",
    "Rows",
    "load_dataset",
    "make_dataset",
    "prepare",
    "read_own",
    "ridge_optimum",
    "split_rows",
]


def load_dataset(
    name: str,
    *,
    folder: Path | None = None,
    path: Path | None = None,
    x: str | None = None,
    y: str | None = None,
    **settings: Any,
) -> Dataset:
    """Return a data set by name. Never uses the network.

    Args:
      name: one of `DATASETS`, or "tfds:<name>[/config][:version]".
      folder: where TFDS keeps prepared data; None for $TFDS_DATA_DIR, else ~/tensorflow_datasets.
      path: the .npz or .csv file, for "arrays" only.
      x: key of the inputs in that file, or feature of a "tfds:" set.
      y: key of the targets, likewise; or the column of the targets in a .csv file.
      settings: of synthetic sets: the arguments of their functions in `regjax.data.synthetic`.

    Raises:
      DataError: the name is unknown, or the data is absent, damaged, larger than the memory or unusable; says what to
        do.

    >>> load_dataset("digits").x.shape
    (1797, 8, 8, 1)
    >>> load_dataset("sparse_linear", num_examples=50, seed=3).x.shape
    (50, 100)
    """
    generic = name.startswith(PREFIX)
    if name not in DATASETS and not generic:
        nearest = difflib.get_close_matches(name, DATASETS, 1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise DataError(f"data.name: got {name!r}, expected one of {', '.join(DATASETS)}{hint}")
    if (path is None) == (name == "arrays"):
        what = "needs the path of an .npz or .csv file" if path is None else f"is for 'arrays' only, not for {name!r}"
        raise DataError(f"data.path: {what}")
    if (x, y) != (None, None) and not generic and name != "arrays":
        raise DataError(f"data.{'y' if x is None else 'x'}: is for 'arrays' and 'tfds:' sets, not for {name!r}")
    if settings and name not in SYNTHETIC:
        raise DataError(f"data.{next(iter(settings))}: is no key of {name!r}")
    if name == "custom":
        raise DataError("data.name: 'custom' is a data set from Python: regjax.run(study, out, data=make_dataset(...))")
    try:
        return _load(name, folder, path, x, y, settings)
    except MemoryError as error:
        raise DataError(
            f"{name}: the data do not fit into the {find_limit()} bytes that this process may use"
        ) from error
    except OSError as error:
        raise DataError(f"{name}: the data cannot be read: {error}") from error


def _load(
    name: str, folder: Path | None, path: Path | None, x: str | None, y: str | None, settings: dict[str, Any]
) -> Dataset:
    if path is not None and path.suffix.lower() == ".csv":
        if x is not None:
            raise DataError(f"data.x: is a key of .npz files; of {path} every column but data.y is an input")
        return load_csv(path, y=y or "y")
    if path is not None:
        return load_arrays(path, x=x or "x", y=y or "y")
    if name.startswith(PREFIX):
        return load_generic(name, folder, x, y)
    if name in SYNTHETIC:
        return make_synthetic(name, settings)
    return EMBEDDED[name]() if name in EMBEDDED else load_official(OFFICIAL[name], folder)
