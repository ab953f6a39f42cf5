"""A user's own table from a .csv file, checked before anything trains on it."""

import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regjax.data.base import Dataset, make_dataset
from regjax.data.checks import DataError
from regjax.data.memory import check_size

if TYPE_CHECKING:
    import pandas as pd

# What pandas takes for a field while it reads, one that is not in the file among them.
FIELD_BYTES = 24
BLOCK = 2**20
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
      DataError: the file cannot be read, the column of the targets is absent, a column has no name or that of
        another, a value is missing, or a column has more than 64 texts.
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
    names = [name for name in frame.columns if name != y]
    if not names:
        raise DataError(f"{path} has the column {y!r} alone, expected columns of inputs beside it")
    return make_dataset("arrays", _as_inputs(path, frame, names), _as_targets(path, y, frame[y]))


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
            head = read_head(path)
            check_names(path, head)
            _check_fields(path, len(head))
            frame = pd.read_csv(path, compression=None, index_col=False, low_memory=False, skipinitialspace=True)
    except pd.errors.ParserWarning as error:
        raise DataError(f"{path} has more fields in its rows than names in its head; name every column") from error
    except DataError:
        raise
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path} is no readable .csv file: {' '.join(str(error).split())}") from error
    if len(frame.columns) == 1 and any(mark in str(frame.columns[0]) for mark in ";\t|"):
        raise DataError(f"{path} has one column, {str(frame.columns[0])[:60]!r}; expected columns separated by commas")
    return frame


def read_head(source: str | Path) -> list[str]:
    """Return the names in the head of a .csv file as they stand: of "y,y" pandas makes the columns "y" and "y.1".

    Raises:
      OSError, ValueError: it cannot be read.
    """
    import pandas as pd

    head = pd.read_csv(source, header=None, nrows=1, dtype=str, keep_default_na=False, skipinitialspace=True)
    return [str(name) for name in head.iloc[0]]


def check_names(source: str | Path, names: Iterable[str]) -> None:
    """Raise DataError where a column of a table has the name of another, which then might be taken for an input."""
    doubled = [name for name, count in Counter(name.strip() for name in names).items() if name and count > 1]
    if doubled:
        raise DataError(
            f"{source}: column {doubled[0][:60]!r} stands twice in the head, expected a name of its own for each; "
            "rename it or leave it out"
        )


def _check_fields(path: Path, num_columns: int) -> None:
    """Refuse rows so much shorter than the head that the fields they lack, which pandas fills in, outgrow memory."""
    rows = fields = 0
    with path.open("rb") as file:
        for block in iter(lambda: file.read(BLOCK), b""):
            lines = max(block.count(b"\n"), block.count(b"\r"))
            rows, fields = rows + lines, fields + lines + block.count(b",")
    check_size(f"{path}: {rows} rows of {num_columns} columns", (rows * num_columns - fields) * FIELD_BYTES)


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


def _number_texts(column: "pd.Series") -> tuple[np.ndarray, np.ndarray]:
    """Return the texts of a column in sorted order, and the number of each row's text [N].

    They stay objects: an array of texts gives every row the room of the longest.
    """
    import pandas as pd

    codes, texts = pd.factorize(column.to_numpy(object), sort=True)
    return texts, codes


def _as_inputs(path: Path, frame: "pd.DataFrame", names: list[str]) -> np.ndarray:
    """Return the features [N, F] that these columns make, float32; their size is compared before they are made."""
    numbered = {name: _number_texts(frame[name]) for name in names if _is_text(frame[name])}
    for name, (texts, _) in numbered.items():
        if len(texts) > MOST_TEXTS:
            raise DataError(
                f"{path}: column {name!r} has {len(texts)} different texts, such as {texts[0][:40]!r}; expected "
                f"numbers, or at most {MOST_TEXTS} texts, each of which becomes a feature; leave the column out or "
                "code it"
            )
    widths = [len(numbered[name][0]) if name in numbered else 1 for name in names]
    check_size(f"{path}: the inputs", len(frame) * sum(widths) * 4)
    inputs = np.empty((len(frame), sum(widths)), np.float32)
    for name, width, end in zip(names, widths, np.cumsum(widths), strict=True):
        values = numbered[name][1][:, None] == np.arange(width) if name in numbered else frame[[name]].to_numpy()
        inputs[:, end - width : end] = values
    return inputs


def _as_targets(path: Path, name: str, column: "pd.Series") -> np.ndarray:
    """Return the targets [N]: numbers as they are, texts numbered."""
    if not _is_text(column):
        return column.to_numpy()
    texts, codes = _number_texts(column)
    if len(texts) == 1:
        raise DataError(
            f"{path}: column {name!r} holds one class only ({texts[0][:40]!r}), expected at least two classes"
        )
    return codes
