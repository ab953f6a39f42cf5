"""Derived files for other programs: the effects as CSV, all records as one tidy Parquet table."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from regjax.analysis.effects import all_effects
from regjax.analysis.table import Table
from regjax.store import publish, write_table

# A spreadsheet takes a cell that begins so for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def save_effects(table: Table, out: Path) -> tuple[Path, Path]:
    """Write `effects.csv` (all effects) and `results.parquet` (all records of finished runs) and return their paths.

    Text in the CSV that a spreadsheet would run as a formula gets a leading apostrophe; numbers are left alone.

    Raises:
      StoreError: the folder cannot be written.
    """
    effects, results = Path(out) / "effects.csv", Path(out) / "results.parquet"
    frame = all_effects(table).map(neutralise)
    publish(effects, lambda temporary: frame.to_csv(temporary, index=False, lineterminator="\n"))
    write_table(results, tidy(table))
    return effects, results


def neutralise(value: Any) -> Any:
    """Return `value`, as text that no spreadsheet takes for a formula.

    >>> neutralise("=1+1"), neutralise("dropout"), neutralise(-0.5)
    ("'=1+1", 'dropout', -0.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value


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
