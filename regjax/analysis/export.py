"""Derived files for other programs: the effects as CSV, all records as one tidy Parquet table."""

import csv
import json
import unicodedata
from pathlib import Path
from typing import Any

import pandas as pd

from regjax.analysis.effects import all_effects
from regjax.analysis.table import Table
from regjax.files import publish_text
from regjax.store import write_table

# A spreadsheet takes a cell that begins so for a formula; the wide ones are typed in East Asia.
FORMULA_STARTS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")


def save_effects(table: Table, out: Path) -> tuple[Path, Path]:
    """Write `effects.csv` (all effects) and `results.parquet` (all records of finished runs) and return their paths.

    Raises:
      StoreError: the folder cannot be written.
    """
    effects, results = Path(out) / "effects.csv", Path(out) / "results.parquet"
    publish_text(effects, csv_text(all_effects(table)))
    write_table(results, tidy(table))
    return effects, results


def csv_text(frame: pd.DataFrame, digits: int | None = None) -> str:
    """Return a table as CSV none of whose texts, names of columns included, is a formula to a spreadsheet.

    Texts are quoted, so that one with a semicolon or a tab stays one cell where these divide cells; a text that begins
    like a formula gets a leading apostrophe. Numbers are left alone.

    Args:
      frame: one row each.
      digits: significant digits of numbers; as many as they have where None.
    """
    form: dict[str, Any] = {"float_format": None if digits is None else f"%.{digits}g", "lineterminator": "\n"}
    return str(protect(frame).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, **form))


def protect(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table none of whose texts, names of columns included, is a formula to a spreadsheet."""
    safe = frame.copy()
    for index, name in enumerate(frame.columns):
        if not pd.api.types.is_numeric_dtype(frame.dtypes.iloc[index]):
            safe = safe.assign(**{str(name): frame.iloc[:, index].map(neutralise)})
    return safe.rename(columns=neutralise)


def neutralise(value: Any) -> Any:
    """Return `value`, as text that no spreadsheet takes for a formula; line breaks and tabs in it become spaces.

    >>> neutralise("=1+1"), neutralise(" =1+1"), neutralise("dropout"), neutralise(-0.5)
    ("'=1+1", "' =1+1", 'dropout', -0.5)
    """
    if not isinstance(value, str):
        return value
    # Some programs end a cell at a line break or a tab even within quotes, and skip white space before a formula.
    text = "".join(" " if c.isspace() or unicodedata.category(c) == "Cc" else c for c in value)
    return f"'{text}" if text.lstrip().startswith(FORMULA_STARTS) else text


def tidy(table: Table) -> pd.DataFrame:
    """Return all records of finished runs: cell (name), a column per factor (its level), seed, step, all other columns.

    A column holds levels as they are where all are numbers, all texts or all booleans, else as JSON texts.
    """
    records = table.records.reset_index(drop=True)
    if not len(records):
        return pd.DataFrame({name: pd.Series(dtype=object) for name in ("cell", "seed", "step")})
    index = records["cell"].to_numpy()
    columns = {"cell": [table.cells[cell] for cell in index]}
    for factor in table.plan["factors"]:
        levels = _plain([cell["levels"].get(factor["path"]) for cell in table.plan["cells"]])
        columns[factor["path"]] = [levels[cell] for cell in index]
    numbers = records.drop(columns=["run", "cell", "seed", "step"])
    clash = [name for name in columns if name in numbers.columns]
    heads = pd.DataFrame(columns).assign(seed=records["seed"], step=records["step"])
    return pd.concat([heads, numbers.drop(columns=clash)], axis=1)


def _plain(levels: list[Any]) -> list[Any]:
    """Return levels of one type for a column of a table."""
    present = [level for level in levels if level is not None]
    if all(isinstance(level, (int, float)) and not isinstance(level, bool) for level in present):
        return [None if level is None else float(level) for level in levels]
    if all(isinstance(level, str) for level in present) or all(isinstance(level, bool) for level in present):
        return levels
    return [json.dumps(level) for level in levels]
