"""Records as rows: from arrays on the grid of slots to columns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from regjax.metrics import GAP, METRICS, SPLITS
from regjax.tasks import Task

COUNTERS = ("best_step", "stopped", "diverged")


class Place(NamedTuple):
    """Where a run is in the record arrays: row, column and observer; its updates before and its seconds by the end."""

    run: str
    row: int
    column: int
    observer: int
    step: int
    seconds: tuple[float, float]


def make_records(
    arrays: Mapping[str, np.ndarray],
    places: Sequence[Place],
    *,
    every: int,
    intervals: int,
    counts: Mapping[str, int],
    per_epoch: int,
    batch_size: int,
    task: Task,
) -> pd.DataFrame:
    """Return one row per run and evaluation, run by run, up to the evaluation at which a run ended.

    Sums over a split become metrics in float64, so that an accuracy is exactly a ratio of counts. `gap.<name>` is by
    how much a metric is worse on test than on training examples. From the divergence on every number of a run is void
    (NaN).

    Args:
      arrays: {name: [rows, columns, room, observers]} from `population.advance`, with a last axis over classes or the
        like for what the task sums up so.
      places: the runs that were not over before, in order.
      every: updates of an interval.
      intervals: how many of the room were run.
      counts: {split: number of examples evaluated}.
      per_epoch: updates of an epoch.
      batch_size: examples of an update.
      task: makes metrics of sums.
    """
    row, column, observer, step = (np.array([p[i] for p in places], dtype=np.int64) for i in (1, 2, 3, 4))
    seconds = np.array([p.seconds for p in places]).reshape(-1, 2)

    def take(values: np.ndarray) -> np.ndarray:
        return values[row, column, :intervals][np.arange(len(row)), :, observer]

    found = {name: take(np.asarray(values)) for name, values in arrays.items()}
    over = (found["stopped"] >= 0) | (found["diverged"] >= 0)
    # The evaluation at which a run ends is its last.
    counted = np.concatenate([np.ones((len(places), 1), bool), ~over[:, :-1]], axis=1)
    share = (np.arange(intervals) + 1) / intervals
    steps = step[:, None] + every * np.arange(1, intervals + 1)
    columns: dict[str, np.ndarray] = {
        "run": np.repeat(np.array([p.run for p in places], dtype=object), intervals).reshape(steps.shape),
        "step": steps,
        "epoch": steps / per_epoch,
        "examples": steps * batch_size,
        "seconds": seconds[:, :1] + share * (seconds[:, 1:] - seconds[:, :1]),
    }
    void = found["diverged"] >= 0
    for name, values in sorted(measure(found, counts, task).items()):
        columns[name] = np.where(void, np.nan, values)
    columns |= {name: found[name].astype(np.int64) for name in COUNTERS}
    return pd.DataFrame({name: values[counted] for name, values in columns.items()})


def measure(found: Mapping[str, np.ndarray], counts: Mapping[str, int], task: Task) -> dict[str, np.ndarray]:
    """Return {name: float64 [runs, intervals]}: all that is recorded but counters, sums made metrics by the task."""
    split_of = {name: name.partition(".")[0] for name in found}
    columns = {
        name: values.astype(np.float64)
        for name, values in found.items()
        if split_of[name] not in SPLITS and name not in COUNTERS
    }
    metrics = {}
    for split in SPLITS:
        mine = {name.partition(".")[2]: found[name].astype(np.float64) for name in found if split_of[name] == split}
        with np.errstate(all="ignore"):  # of runs that diverged
            metrics[split] = task.summarise(mine, counts[split])
        columns |= {f"{split}.{name}": value for name, value in metrics[split].items()}
    for name, test in metrics["test"].items():
        sign = 1.0 if METRICS[name] else -1.0
        with np.errstate(all="ignore"):
            columns[f"{GAP}.{name}"] = sign * (metrics["train"][name] - test)
    return columns
