"""A user's own table from a .csv file, checked before anything trains on it."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regjax.data.base import Dataset, make_dataset
from regjax.data.checks import DataError
from regjax.data.memory import check_size

if TYPE_CHECKING:
    import pandas as pd

# Texts of a column that become a feature each: beyond, it is a name or a date rather than a category.
MOST_TEXTS = 64


def load_csv(path: Path, *, y: str = "y") -> Dataset:
    """Return the data set of a .csv file: a head with the names of the columns, then a row per example.

    Args:
      path: comma-separated text in UTF-8.
      y: column of the targets: texts or whole numbers are labels, mapped to 0..K-1 in sorted order; numbers with a
        decimal point are the values of a regression. All other columns are inputs.

    Returns:
      The data set; inputs [N, features] are float32: a number as it stands, true and false as 1 and 0, a column of
      texts as one 0/1 feature for each of its texts in sorted order.

    Raises:
      DataError: the file cannot be read, the column of the targets is absent, a column has no name, a value is missing,
        or a column has more than 64 texts.
    """
    frame = read_table(path)
    if y not in frame.columns:
        raise DataError(
            f"{path} has no column {y!r}; available: {', '.join(map(repr, frame.columns))}; set data.y to the one to "
            "predict"
        )
    unnamed = [str(name) for name in frame.columns if str(name).startswith("Unnamed: ")]
    if unnamed:
        raise DataError(
            f"{path}: column {list(frame.columns).index(unnamed[0]) + 1} has no name; if it numbers the rows, leave it "
            "out (pandas: to_csv(..., index=False))"
        )
    for name in frame.columns:
        _check_whole(path, name, frame[name])
    features = [_as_features(path, name, frame[name]) for name in frame.columns if name != y]
    if not features:
        raise DataError(f"{path} has the column {y!r} alone, expected columns of inputs beside it")
    check_size(f"{path}: the inputs", len(frame) * sum(one.shape[1] for one in features) * 4)
    return make_dataset("arrays", np.concatenate(features, axis=1, dtype=np.float32), _as_labels(frame[y]))


def read_table(path: Path) -> "pd.DataFrame":
    """Return the columns of a .csv file as they stand; texts such as an empty field or NA are missing values.

    Raises:
      DataError: there is no such file, it cannot be read, or it is not separated by commas.
    """
    import pandas as pd

    if not path.is_file():
        raise DataError(f"data.path: {path} does not exist; give the path of a .csv file")
    check_size(str(path), path.stat().st_size)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(path, compression=None, index_col=False, low_memory=False, skipinitialspace=True)
    except pd.errors.ParserWarning as error:
        raise DataError(f"{path} has more fields in its rows than names in its head; name every column") from error
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path} is no readable .csv file: {' '.join(str(error).split())}") from error
    if len(frame.columns) == 1 and any(mark in str(frame.columns[0]) for mark in ";\t|"):
        raise DataError(f"{path} has one column, {str(frame.columns[0])[:60]!r}; expected columns separated by commas")
    return frame


def _check_whole(path: Path, name: str, column: "pd.Series") -> None:
    missing = np.flatnonzero(column.isna())
    if missing.size:
        # The head is line 1, and people look the place up in an editor.
        raise DataError(
            f"{path}: column {name!r} has no value in {missing.size} of {len(column)} rows, first in row "
            f"{missing[0] + 1} after the head; fill in such values, or leave these rows out"
        )


def _is_text(column: "pd.Series") -> bool:
    return column.dtype.kind not in "biuf"


def _as_features(path: Path, name: str, column: "pd.Series") -> np.ndarray:
    """Return the features [N, k] that a column makes."""
    if not _is_text(column):
        return column.to_numpy()[:, None]
    texts, codes = np.unique(column.to_numpy(str), return_inverse=True)
    if len(texts) > MOST_TEXTS:
        raise DataError(
            f"{path}: column {name!r} has {len(texts)} different texts, such as {str(texts[0])[:40]!r}; expected "
            f"numbers, or at most {MOST_TEXTS} texts, each of which becomes a feature; leave the column out or code it"
        )
    return codes.reshape(-1, 1) == np.arange(len(texts))


def _as_labels(column: "pd.Series") -> np.ndarray:
    return column.to_numpy(str) if _is_text(column) else column.to_numpy()
