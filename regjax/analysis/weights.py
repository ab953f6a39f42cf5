"""Histograms of weights that a study keeps, as a table."""

from pathlib import Path

import pandas as pd

from regjax import store


def read_weights(out: Path) -> pd.DataFrame | None:
    """Return the histograms of the reported runs, one row per run and layer; None where there are none.

    Returns:
      Columns run, cell, seed, layer, moment ("best" or a step: of which state), num (weights), zeros (of them exactly
      zero) and counts (40 bins of a quarter decade of |w| from 1e-8 to 100; smaller and larger in the outermost).
    """
    out = Path(out)
    owner, runs = store.done_runs(out), store.load_runs(out)
    runs = runs.loc[runs["wave"] == "main", ["run", "cell", "seed"]]
    parts = sorted({owner[run] for run in runs["run"] if run in owner})
    tables = []
    for part in parts:
        if part.weights(out).exists():
            table = store.read_table(part.weights(out)).to_pandas()
            # A run that two parts hold counts once.
            tables.append(table[table["run"].map(owner) == part])
    if not tables:
        return None
    return runs.merge(pd.concat(tables, ignore_index=True), on="run")
