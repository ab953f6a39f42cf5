"""Histograms of weights that a study keeps, as a table."""

import pandas as pd

from regjax import store
from regjax.analysis.table import Table


def read_weights(table: Table) -> pd.DataFrame | None:
    """Return the histograms of the reported runs, one row per run and layer; None where there are none.

    Returns:
      Columns run, cell, seed, layer, moment ("best" or a step: of which state), num (weights), zeros (of them exactly
      zero) and counts (40 bins of a quarter decade of |w| from 1e-8 to 100; smaller and larger in the outermost).
    """
    if table.out is None:
        return None
    out, owner, runs = table.out, store.done_runs(table.out), table.reported()[["run", "cell", "seed"]]
    parts = sorted({owner[run] for run in runs["run"] if run in owner})
    frames = []
    for part in parts:
        if part.weights(out).exists():
            frame = store.read_table(part.weights(out)).to_pandas()
            # A run that two parts hold counts once.
            frames.append(frame[frame["run"].map(owner) == part])
    if not frames:
        return None
    return runs.merge(pd.concat(frames, ignore_index=True), on="run")
