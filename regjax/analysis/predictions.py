"""Per-example predictions that a study keeps at its primary state, as a table and as one array."""

import functools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from regjax import store
from regjax.analysis.table import Table, same_at


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


def has_predictions(table: Table) -> bool:
    """Return whether a loaded run directory holds predictions of any run at the primary state."""
    return table.out is not None and bool(_find_parts(table, table.out, set(store.done_runs(table.out).values())))


def _find_parts(table: Table, out: Path, parts: set[store.Part]) -> list[store.Part]:
    """Return those parts, in order, whose predictions are kept and of the primary state.

    Runs that keep them of themselves are the same runs without them, and with another primary state. Where the study
    demands them (or where parts of old do not say of which state they are) they are of the primary one.
    """
    at = table.plan["primary"]["at"]
    states = {store.Part(done["chunk"], done["segment"]): done.get("predictions", at) for done in store.iter_done(out)}
    return sorted(part for part in parts if part.predictions(out).exists() and same_at(states[part], at))


def read_predictions(table: Table) -> pd.DataFrame:
    """Return the predictions of the reported runs: run, cell, seed, row, label (or labels), one column per output.

    Args:
      table: of a loaded run directory.

    Raises:
      StoreError: there are none (`[measure] predictions = "test"` keeps them), or some of a study that demands them
        are missing.
    """
    assert table.out is not None
    out, owner, runs = table.out, store.done_runs(table.out), table.reported()
    wanted = {owner[run] for run in runs["run"] if run in owner}
    parts = _find_parts(table, out, wanted)
    if not parts:
        raise store.StoreError(f'{out} holds no predictions; set [measure] predictions = "test" and run again')
    if table.plan["study"].get("measure", {}).get("predictions") == "test":
        parts = sorted(wanted)
    frames = [store.read_table(part.predictions(out)).to_pandas() for part in parts]
    # A run that two parts hold counts once.
    kept = [frame[frame["run"].map(owner) == part] for part, frame in zip(parts, frames, strict=True)]
    return runs[["run", "cell", "seed"]].merge(pd.concat(kept, ignore_index=True), on="run")


# Effects of several states, their export and the report ask for the same one.
@functools.lru_cache(maxsize=1)
def stack_predictions(table: Table) -> Predictions | None:
    """Return the predictions of a loaded run directory as one array; None where it keeps none."""
    if not has_predictions(table):
        return None
    frame = read_predictions(table)
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
