"""Numbers from elsewhere: a table of factors, seed and metric, made into what the analysis and the report read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from regjax.analysis.lost import is_share
from regjax.analysis.table import Status, Table
from regjax.data.csv_table import check_names, read_head
from regjax.design import Cell, make_cells, make_contrasts, name_levels
from regjax.files import RegjaxError
from regjax.metrics import GAP, METRICS, OF_WEIGHTS, SPLITS
from regjax.store import read_table

# What a record of a run has beside levels and metrics.
BOOKKEEPING = ("cell", "cell_name", "run", "seed", "step", "best_step", "stopped", "diverged")
NO_NUMBER = ("", "nan", "na", "n/a", "null")
LABEL = "the measured state"
# Beyond these the sign flips or the contrasts outgrow memory.
MOST_CELLS, MOST_SEEDS = 2_000, 2_000


@dataclass(frozen=True)
class Design:
    """The design of numbers from elsewhere, under the names that a study's has."""

    kind: str
    family: tuple[str, ...]
    and_also: tuple[str, ...] = ()
    strata: tuple[str, ...] = ()
    exclude: tuple[Any, ...] = ()
    zip: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Asked:
    """What `regjax.design` reads of a study: factors (the baseline level first), design, no declared contrasts."""

    factors: dict[str, tuple[Any, ...]]
    design: Design
    contrasts: tuple[Any, ...] = ()


def make_foreign_table(
    source: pd.DataFrame | str | Path,
    metric: str,
    *,
    factors: Sequence[str] | None = None,
    seed: str = "seed",
    baseline: Mapping[str, Any] | None = None,
    margin: float | None = None,
) -> Table:
    """Return a Table of numbers that other programs made, one row per cell and seed.

    A full factorial of several factors gets main effects, two-way interactions (both confirmatory, as in a study) and
    simple contrasts; any other grid simple contrasts against the baseline (confirmatory).

    Args:
      source: table, or a .csv or .parquet file. A row without a number is a missing run: its pairs stay missing.
      metric: column with the numbers, e.g. "accuracy" as a share in [0, 1].
      factors: columns whose levels make the cells; None takes all that are no seed, no metric that regjax knows, no
        bookkeeping of its records, and have several levels.
      seed: column of whole numbers; runs of one seed are paired.
      baseline: {factor: level} to compare with. Elsewhere the smallest number, else the level that comes first.
      margin: smallest effect that matters, in the unit of the metric.

    Raises:
      RegjaxError: the file or a column is missing, a value is text, infinite, double or in percent where a share is
        expected, or nothing can be compared.
    """
    frame = _read(source)
    _need(frame, metric, "metric")
    _need(frame, seed, "seed")
    if margin is not None and not 0 < margin < np.inf:
        raise RegjaxError(f"got margin {margin}, expected a positive number in the unit of {metric}")
    chosen = _choose(frame, factors, metric, seed)
    levels = {path: _levels(frame[path], path) for path in chosen}
    values = _numbers(frame[metric], metric, missing=True)
    _check_shares(metric, values, margin)
    numbers = _numbers(frame[seed], seed, missing=False)
    if (numbers != np.floor(numbers)).any():
        raise RegjaxError(f"got {numbers[numbers != np.floor(numbers)][0]} in column {seed!r}, expected whole numbers")
    asked, cells, index = _make_grid(levels, baseline or {})
    return _make_table(asked, cells, index, numbers.astype(np.int64), values, metric, margin)


def _read(source: pd.DataFrame | str | Path) -> pd.DataFrame:
    if isinstance(source, pd.DataFrame):
        frame = source
    elif Path(source).suffix == ".parquet":
        frame = read_table(Path(source)).to_pandas()
    else:
        frame = _read_csv(source)
    if not len(frame):
        raise RegjaxError("got a table without rows, expected one row per cell and seed")
    check_names("the table", map(str, frame.columns))
    return frame.reset_index(drop=True)


def _read_csv(source: str | Path) -> pd.DataFrame:
    try:
        # Texts, so that neither "none" nor the last digit of a number is lost.
        frame = pd.read_csv(source, dtype=str, keep_default_na=False, skipinitialspace=True)
        # Read again only where pandas may have renamed a column: what is no file cannot be.
        head = read_head(source) if any(f"{name}.1" in frame.columns for name in frame.columns) else []
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RegjaxError(f"cannot read {source} as CSV: {reason}") from error
    check_names(str(source), head)
    return frame


def _need(frame: pd.DataFrame, name: str, what: str) -> None:
    if name not in frame.columns:
        known = ", ".join(map(str, frame.columns))
        raise RegjaxError(f"got no column {name!r} for the {what}, expected one of: {known}")


def _choose(frame: pd.DataFrame, factors: Sequence[str] | None, metric: str, seed: str) -> list[str]:
    """Return the columns that make the cells."""
    if factors is None:
        others = [str(name) for name in frame.columns if str(name) not in (metric, seed) and not _is_known(str(name))]
        factors = [name for name in others if frame[name].astype(str).nunique() > 1]
        if not factors:
            raise RegjaxError("no column has several levels; name the factors, e.g. --factors dropout,l2")
    for name in factors:
        _need(frame, name, "factor")
        if name in (metric, seed):
            raise RegjaxError(f"got {name!r} as a factor, which is the metric or the seed already")
        if frame[name].astype(str).nunique() < 2:
            raise RegjaxError(f"column {name!r} has one level only, {frame[name].iloc[0]}; a factor needs two or more")
    if len(set(factors)) < len(factors) or not factors:
        raise RegjaxError(f"got the factors {', '.join(factors) or 'none'}, expected each column once and one at least")
    return list(factors)


def _is_known(name: str) -> bool:
    split, _, last = name.rpartition(".")
    measured = last in METRICS and split in ("", "batch", GAP, *SPLITS)
    return measured or name in BOOKKEEPING or name in OF_WEIGHTS or name == "batch.loss"


def _numbers(column: pd.Series, name: str, *, missing: bool) -> np.ndarray:
    """Return a column as finite float64; NaN where there is no number, if that may be."""
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        texts = column
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        texts = column.astype(object).where(column.notna(), "nan").astype(str).str.strip()
        texts = texts.where(~texts.str.lower().isin(NO_NUMBER), "nan")
        try:
            numbers = np.array(texts.to_list(), dtype=object).astype(np.float64)
        except ValueError:
            row = next(i for i, text in enumerate(texts) if not _is_number(text))
            raise RegjaxError(f"got {texts.iat[row]!r} in column {name!r}, row {row + 1}, expected a number") from None
    if np.isinf(numbers).any():
        row = int(np.isinf(numbers).argmax())
        raise RegjaxError(
            f"got {texts.iat[row]} in column {name!r}, row {row + 1}, expected a finite number; leave it empty instead"
        )
    if np.isnan(numbers).any() and not missing:
        raise RegjaxError(f"row {int(np.isnan(numbers).argmax()) + 1} has no value in column {name!r}")
    return numbers


def _check_shares(metric: str, values: np.ndarray, margin: float | None) -> None:
    """Refuse percent where shares are meant: effects are shown times 100, and lost runs count as 0 or 1."""
    if not is_share(metric):
        return
    beyond = np.abs(values) > 1
    if beyond.any():
        row = int(beyond.argmax())
        got = f"got {values[row]:g} in column {metric!r}, row {row + 1}"
        raise RegjaxError(f"{got}, expected a share in [0, 1]; divide percent by 100, or name the column otherwise")
    if margin is not None and margin >= 0.5:
        raise RegjaxError(f"got margin {margin:g} for {metric}, a share: half a percentage point is 0.005")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _levels(column: pd.Series, name: str) -> pd.Series:
    """Return a column of levels: floats where all are numbers, bools where all are true or false, else as they are."""
    texts = column.astype(str).str.strip().str.lower()
    _need_levels(column.isna() | (texts == ""), name)
    if texts.isin(("true", "false")).all():
        return (texts == "true").astype(object)
    try:
        numbers = column.map(float)
    except (ValueError, TypeError):
        return column.map(str).astype(object)
    # Among numbers NaN equals no level, itself included.
    _need_levels(numbers.isna(), name)
    return numbers.astype(object)


def _need_levels(empty: pd.Series, name: str) -> None:
    if empty.any():
        row = int(empty.to_numpy().argmax()) + 1
        raise RegjaxError(f"row {row} has no level in column {name!r}; give it one, or leave the row out")


def _make_grid(
    levels: Mapping[str, pd.Series], baseline: Mapping[str, Any]
) -> tuple[Asked, tuple[Cell, ...], np.ndarray]:
    """Return the design, its cells (the baseline first), and the cell of every row."""
    for path in baseline:
        if path not in levels:
            raise RegjaxError(f"got a baseline for {path!r}, expected one of the factors: {', '.join(levels)}")
    factors = {path: _order(path, column, baseline.get(path)) for path, column in levels.items()}
    places = np.array([pd.Index(factors[path]).get_indexer(pd.Index(column)) for path, column in levels.items()]).T
    present, index = np.unique(places, axis=0, return_inverse=True)
    index = index.reshape(-1)
    several = len(factors) > 1
    if several and len(present) == np.prod([len(all_) for all_ in factors.values()]):
        asked = Asked(factors, Design("full_factorial", ("main", "two_way")))
        return asked, make_cells(cast(Any, asked)), index
    if present[0].any():
        wanted = ", ".join(f"{path}={all_[0]}" for path, all_ in factors.items())
        raise RegjaxError(f"no row has the baseline {wanted}; name another with --baseline")
    names = name_levels(factors)
    cells = []
    for i, place in enumerate(present):
        own = {path: all_[p] for (path, all_), p in zip(factors.items(), place, strict=True)}
        cells.append(Cell(i, ", ".join(f"{path}={names[path][level]}" for path, level in own.items()), own))
    return Asked(factors, Design("incomplete" if several else "full_factorial", ("simple",))), tuple(cells), index


def _order(path: str, column: pd.Series, first: Any) -> tuple[Any, ...]:
    """Return the levels of a factor, the baseline first: numbers rising, others as they come."""
    found = list(dict.fromkeys(column))
    if all(isinstance(level, (bool, float)) for level in found):
        found.sort()
    if first is None:
        return tuple(found)
    same = [level for level in found if level == first or str(level) == str(first)]
    if not same:
        same = [level for level in found if str(level).lower() == str(first).lower()]
    if not same:
        try:
            same = [level for level in found if isinstance(level, float) and level == float(first)]
        except (TypeError, ValueError):
            same = []
    if not same:
        raise RegjaxError(f"got the baseline {path}={first}, expected one of: {', '.join(map(str, found))}")
    return (same[0], *(level for level in found if level != same[0]))


def _make_table(
    asked: Asked,
    cells: tuple[Cell, ...],
    index: np.ndarray,
    numbers: np.ndarray,
    values: np.ndarray,
    metric: str,
    margin: float | None,
) -> Table:
    double = pd.DataFrame({"cell": index, "seed": numbers}).duplicated()
    if double.any():
        row = int(double.to_numpy().argmax())
        raise RegjaxError(
            f"row {row + 1} is a second one of cell {cells[index[row]].name}, seed {numbers[row]}; "
            "keep one row per cell and seed (e.g. one step), or name all factors"
        )
    seeds = np.unique(numbers)
    for count, most, what in ((len(cells), MOST_CELLS, "cells"), (len(seeds), MOST_SEEDS, "seeds")):
        if count > most:
            raise RegjaxError(f"got {count} {what}, expected {most} at most; are factors and seed named right?")
    shape = (len(cells), len(seeds))
    done = np.zeros(shape, dtype=bool)
    known = ~np.isnan(values)
    done[index[known], np.searchsorted(seeds, numbers[known])] = True
    contrasts = make_contrasts(cast(Any, asked), cells)
    weighed = [np.asarray(contrast["weights"]) != 0 for contrast in contrasts]
    if not any(done[mask].all(axis=0).any() for mask in weighed):
        raise RegjaxError("no seed has a number in the cells that are compared; pairs need seeds in common")
    records = pd.DataFrame({"cell": index, "seed": numbers, "step": 0, metric: values})[known]
    records.insert(0, "run", [f"{cell}-{s}" for cell, s in zip(index[known], numbers[known], strict=True)])
    never, start = np.full(shape, -1), np.where(done, 0, -1)
    status = Status(done, never, never, start, start, np.zeros(shape, dtype=bool))
    plan = _make_plan(asked, cells, contrasts, seeds.tolist(), metric, margin)
    order = records.sort_values(["cell", "seed"], ignore_index=True)
    return Table(plan, order, tuple(cell.name for cell in cells), tuple(map(int, seeds)), status)


def _make_plan(
    asked: Asked, cells: tuple[Cell, ...], contrasts: list[Any], seeds: list[int], metric: str, margin: float | None
) -> dict[str, Any]:
    at = {"kind": "step", "step": 0, "label": LABEL}
    return {
        "question": f"{metric} by {', '.join(asked.factors)}: numbers from elsewhere, compared with {cells[0].name}",
        "study": {},
        "primary": {"metric": metric, "at": at, **({} if margin is None else {"margin": margin})},
        "factors": [{"path": path, "levels": list(levels)} for path, levels in asked.factors.items()],
        "fixed": {},
        "cells": [{"index": c.index, "name": c.name, "levels": c.levels} for c in cells],
        "seeds": seeds,
        "vary": [],
        "contrasts": contrasts,
        "headline": asked.design.family[0],
        "markers": [],
        "tuned": {},
        "versions": {},
    }
