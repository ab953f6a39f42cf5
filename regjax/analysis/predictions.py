"""Per-example predictions that a study keeps at its primary state, as a table and as one array."""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from regjax import store
from regjax.analysis.table import Table


class Predictions(NamedTuple):
    """What every run predicts for every test example.

    Attributes:
      rows: [R] rows of the data set, rising: all that are a test example of any run.
      labels: [R] or [R, targets], what is right.
      outputs: [cell, seed, R, K] float32 probabilities or values; NaN where the row is no test example of the run, or
        the run is not done or diverged.
    """

    rows: np.ndarray
    labels: np.ndarray
    outputs: np.ndarray


def has_predictions(out: Path) -> bool:
    """Return whether a run directory holds predictions of any run."""
    return any(part.predictions(Path(out)).exists() for part in set(store.done_runs(out).values()))


def read_predictions(out: Path) -> pd.DataFrame:
    """Return the predictions of the reported runs: run, cell, seed, row, label (or labels), one column per output.

    Raises:
      StoreError: the study does not keep them (`[measure] predictions = "test"`).
    """
    out = Path(out)
    owner, runs = store.done_runs(out), store.load_runs(out)
    runs = runs[runs["wave"] == "main"]
    parts = sorted({owner[run] for run in runs["run"] if run in owner})
    paths = [part.predictions(out) for part in parts]
    if not any(path.exists() for path in paths):
        raise store.StoreError(f'{out} holds no predictions; set [measure] predictions = "test" and run again')
    tables = [store.read_table(path).to_pandas() for path in paths]
    # A run that two parts hold counts once.
    kept = [table[table["run"].map(owner) == part] for part, table in zip(parts, tables, strict=True)]
    return runs[["run", "cell", "seed"]].merge(pd.concat(kept, ignore_index=True), on="run")


# Effects of several states, their export and the report ask for the same one.
@functools.lru_cache(maxsize=1)
def stack_predictions(table: Table) -> Predictions | None:
    """Return the predictions of a loaded run directory as one array; None where it keeps none."""
    if table.out is None or not has_predictions(table.out):
        return None
    frame = read_predictions(table.out)
    frame = frame[frame["seed"].isin(table.seeds) & (frame["cell"] < len(table.cells))]
    labels = [name for name in frame.columns if name.startswith("label")]
    names = [name for name in frame.columns if name not in ("run", "cell", "seed", "row", *labels)]
    rows, where = np.unique(frame["row"].to_numpy(), return_inverse=True)
    outputs = np.full((len(table.cells), len(table.seeds), len(rows), len(names)), np.nan, dtype=np.float32)
    seeds = pd.Index(table.seeds).get_indexer(pd.Index(frame["seed"]))
    outputs[frame["cell"].to_numpy(), seeds, where] = frame[names].to_numpy(np.float32)
    right = np.zeros((len(rows), len(labels)), dtype=frame[labels].to_numpy().dtype)
    right[where] = frame[labels].to_numpy()
    return Predictions(rows, right[:, 0] if labels == ["label"] else right, outputs)
