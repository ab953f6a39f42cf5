"""What a run directory holds, as arrays [cell, seed]: which runs are done, and the number each run stands for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from regjax.metrics import OF_WEIGHTS
from regjax.store import done_runs, load_planned, load_records

At = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Status:
    """Where every run of the plan stands, arrays [cell, seed].

    `done`: its records are complete. Steps, -1 for none: `diverged` its first bad step and `stopped` its early stop
    (only the one that came first counts), `end` the step it ended at, `best` its best evaluation up to there.
    `restores`: it ends in its best state instead of the one at `end`.
    """

    done: np.ndarray
    diverged: np.ndarray
    stopped: np.ndarray
    end: np.ndarray
    best: np.ndarray
    restores: np.ndarray


@dataclass(frozen=True, eq=False)
class Table:
    """A study's plan and the records of its finished runs.

    `records` has the columns of `store.load_records` plus cell (index) and seed; `cells` are names and `seeds` numbers,
    in the order of the axes of every array [cell, seed]. `out` is the run directory, None for numbers from elsewhere;
    `planned` are its runs, of every wave, as they were saved with `plan`: another study may have been run since.
    """

    plan: dict[str, Any]
    records: pd.DataFrame
    cells: tuple[str, ...]
    seeds: tuple[int, ...]
    status: Status
    out: Path | None = None
    planned: pd.DataFrame = field(default_factory=pd.DataFrame)

    def reported(self) -> pd.DataFrame:
        """Return the planned runs of cells and seeds, without those of tuning and of the sources of variance."""
        return self.planned[self.planned["wave"] == "main"]


def reference_cell(plan: Mapping[str, Any]) -> int | None:
    """Return the index of the cell that others are compared to, None where the design has none (see `describe_design`).

    >>> reference_cell({}), reference_cell({"design": {"kind": "random"}})
    (0, None)
    """
    return (plan.get("design") or {"reference": 0}).get("reference")


def load_table(out: Path, saved: tuple[dict[str, Any], pd.DataFrame] | None = None) -> Table:
    """Return the planned runs of a run directory and the records of those that are done; runs of tuning are left out.

    Args:
      out: run directory.
      saved: its plan and planned runs where they are loaded already.

    Raises:
      StoreError: there is no plan, or a file is damaged.
    """
    plan, runs = saved or load_planned(out)
    return replace(make_table(out, plan, runs[runs["wave"] == "main"]), planned=runs)


def make_table(out: Path, plan: dict[str, Any], runs: pd.DataFrame) -> Table:
    """Return the records of these runs of a run directory, as far as they are done.

    Args:
      out: run directory.
      plan: what `cells` and `seeds` are read from.
      runs: run, cell, seed and restores of every run.
    """
    cells = tuple(str(cell["name"]) for cell in plan["cells"])
    seeds = tuple(int(seed) for seed in plan["seeds"])
    planned = runs["cell"].between(0, len(cells) - 1) & runs["seed"].isin(seeds)
    runs = runs.loc[planned, ["run", "cell", "seed", "restores"]]
    done = runs[runs["run"].isin(list(done_runs(out)))]
    return arrange_table(plan, runs, load_records(out, done["run"]), out)


def arrange_table(plan: dict[str, Any], runs: pd.DataFrame, records: pd.DataFrame, out: Path | None = None) -> Table:
    """Return records as a table of cells and seeds.

    Args:
      plan: what `cells` and `seeds` are read from.
      runs: run, cell, seed and restores of every run of these cells and seeds.
      records: all records of the runs that are done, as `store.load_records` gives them.
      out: run directory they are from.
    """
    cells = tuple(str(cell["name"]) for cell in plan["cells"])
    seeds = tuple(int(seed) for seed in plan["seeds"])
    records = records.merge(runs[["run", "cell", "seed"]], on="run", how="inner")
    if len(records):
        records = records.sort_values(["cell", "seed", "step"], ignore_index=True)
    return Table(plan, records, cells, seeds, _make_status(runs, records, (len(cells), len(seeds)), seeds), out)


def _make_status(runs: pd.DataFrame, records: pd.DataFrame, shape: tuple[int, int], seeds: tuple[int, ...]) -> Status:
    done, restores = np.zeros(shape, bool), np.zeros(shape, bool)
    diverged, stopped, end, best = (np.full(shape, -1, dtype=np.int64) for _ in range(4))
    restores[_places(runs, seeds)] = runs["restores"].to_numpy(bool)
    if len(records):
        final = records.drop_duplicates(["cell", "seed"], keep="last")
        at = _places(final, seeds)
        stop, bad = final["stopped"].to_numpy(np.int64), final["diverged"].to_numpy(np.int64)
        done[at] = True
        # Whichever came first: a diverged run goes on to stop (NaN never improves), a stopped one may go on to diverge.
        stopped[at] = np.where((bad >= 0) & (bad <= stop), -1, stop)
        diverged[at] = np.where((stop >= 0) & (stop < bad), -1, bad)
        end[at] = np.where(stopped[at] >= 0, stopped[at], final["step"].to_numpy(np.int64))
        lived = records[records["step"].to_numpy(np.int64) <= end[_places(records, seeds)]]
        known = lived.drop_duplicates(["cell", "seed"], keep="last")
        best[_places(known, seeds)] = known["best_step"].to_numpy(np.int64)
    return Status(done, diverged, stopped, end, best, restores)


def _places(rows: pd.DataFrame, seeds: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return the index [cell, seed] of every row."""
    return rows["cell"].to_numpy(np.int64), pd.Index(seeds).get_indexer(pd.Index(rows["seed"]))


def curves(table: Table, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps of all evaluations and the metric there, NaN after divergence and after an early stop.

    An infinite number is none, as of a loss that overflows where the parameters are finite still: NaN.

    Args:
      table: loaded run directory.
      metric: "<split>.<name>", e.g. "validation.nll", or a measure of the weights.

    Returns:
      steps [T] int, rising; values [cell, seed, T] float64.

    Raises:
      ValueError: there is no such metric.
    """
    records, shape = table.records, (len(table.cells), len(table.seeds))
    if not len(records):
        return np.zeros(0, dtype=np.int64), np.full((*shape, 0), np.nan)
    primary = table.plan.get("primary", {}).get("metric")  # numbers from elsewhere may have any name
    known = [name for name in records.columns if "." in name or name in OF_WEIGHTS or name == primary]
    if metric not in known:
        raise ValueError(f"got metric {metric!r}, expected one of the recorded: {', '.join(known)}")
    steps, when = np.unique(records["step"].to_numpy(np.int64), return_inverse=True)
    values = np.full((*shape, len(steps)), np.nan)
    values[(*_places(records, table.seeds), when)] = records[metric].to_numpy(np.float64)
    diverged = table.status.diverged[..., None]
    over = (steps > table.status.end[..., None]) | ((diverged >= 0) & (steps >= diverged))
    return steps, np.where(over | ~np.isfinite(values), np.nan, values)


def state_steps(table: Table, at: At) -> np.ndarray:
    """Return the step whose state a run stands for, [cell, seed]; -1 where the run is not done or diverged before.

    A run ends at its early stop, else at its last record. "best" is the best evaluation up to the end, judged by the
    monitor; "last" is the end, or the best where the run restores it; step n is n before the end, else as "last".

    Args:
      table: loaded run directory.
      at: {"kind": "best"}, {"kind": "last"} or {"kind": "step", "step": n}.

    Raises:
      ValueError: `at` is of another kind.
    """
    status = table.status
    last = np.where(status.restores, status.best, status.end)
    if at["kind"] == "step":
        before = at["step"] < status.end
        chosen, reached = np.where(before, at["step"], last), np.where(before, at["step"], status.end)
    elif at["kind"] in ("best", "last"):
        chosen, reached = (status.best if at["kind"] == "best" else last), status.end
    else:
        raise ValueError(f"got a state of kind {at['kind']!r}, expected 'best', 'last' or 'step'")
    bad = (status.diverged >= 0) & (reached >= status.diverged)
    return np.where(status.done & ~bad, chosen, -1)


def state_values(table: Table, metric: str, at: At) -> np.ndarray:
    """Return the metric at the state each run stands for, [cell, seed] float64; NaN where it diverged or is not done.

    Args:
      table: loaded run directory.
      metric: "<split>.<name>", e.g. "test.accuracy" as a share in [0, 1].
      at: the state, see `state_steps`.

    Raises:
      ValueError: there is no such metric, or a run has no record at the step.
    """
    steps, values = curves(table, metric)
    chosen = state_steps(table, at)
    wanted = chosen >= 0
    absent = sorted(set(chosen[wanted].tolist()) - set(steps.tolist()))
    if absent:
        raise ValueError(f"got step {absent[0]}, expected a step with records: {', '.join(map(str, steps))}")
    if not len(steps):
        return np.full(chosen.shape, np.nan)
    where = np.searchsorted(steps, chosen)[..., None]
    return np.where(wanted, np.take_along_axis(values, where, axis=2)[..., 0], np.nan)


def same_at(left: At, right: At) -> bool:
    """Return whether two states are one; a step's label does not matter.

    >>> same_at({"kind": "step", "step": 5, "label": "epoch 1"}, {"kind": "step", "step": 5})
    True
    """
    return left["kind"] == right["kind"] and left.get("step") == right.get("step")


def at_label(at: At) -> str:
    """Return how a state is called in tables.

    >>> at_label({"kind": "step", "step": 3750, "label": "epoch 10"}), at_label({"kind": "best"})
    ('epoch 10', 'best')
    """
    return str(at.get("label") or f"step {at['step']}") if at["kind"] == "step" else str(at["kind"])
