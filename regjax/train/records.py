"""Records as rows: from arrays on the member axis to columns."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

COUNTERS = ("best_step", "stopped", "diverged")
SPLITS = ("train", "validation", "test")


def make_records(
    arrays: Mapping[str, np.ndarray],
    runs: Sequence[str],
    *,
    start: int,
    every: int,
    intervals: int,
    counts: Mapping[str, int],
    per_epoch: int,
    batch_size: int,
) -> pd.DataFrame:
    """Return one row per run and evaluation of a segment, run by run.

    Sums over a split become means in float64, so that an accuracy is exactly a ratio of counts. From the divergence on
    every number of a run is void (NaN).

    Args:
      arrays: {name: [slots, room]} from `population.advance`.
      runs: identities of the real members, in order; further slots are padding.
      start: updates made before the segment.
      every: updates of an interval.
      intervals: how many of the room were run.
      counts: {split: number of examples evaluated}.
      per_epoch: updates of an epoch.
      batch_size: examples of an update.
    """
    steps = start + every * np.arange(1, intervals + 1)
    columns: dict[str, np.ndarray] = {
        "run": np.repeat(np.array(runs, dtype=object), intervals),
        "step": np.tile(steps, len(runs)).astype(np.int64),
        "epoch": np.tile(steps / per_epoch, len(runs)),
        "examples": np.tile(steps * batch_size, len(runs)).astype(np.int64),
    }
    flat = {name: np.asarray(values)[: len(runs), :intervals].reshape(-1) for name, values in arrays.items()}
    void = flat["diverged"] >= 0
    for name in sorted(set(flat) - set(COUNTERS)):
        split = name.split(".")[0]
        values = flat[name].astype(np.float64) / (counts[split] if split in SPLITS else 1)
        columns[name] = np.where(void, np.nan, values)
    columns |= {name: flat[name].astype(np.int64) for name in COUNTERS}
    return pd.DataFrame(columns)
