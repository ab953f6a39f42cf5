"""Histograms of weights: how large those of every layer are, and how many are exactly zero, counted on the host."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pandas as pd

# Bins of log10 |w|, a quarter of a decade each; smaller and larger weights count in the outermost ones.
LOWEST, HIGHEST, NUM_BINS = -8.0, 2.0, 40


def count_weights(weights: np.ndarray) -> tuple[int, int, np.ndarray]:
    """Return how many weights there are, how many are exactly zero, and a histogram [40] of log10 |w| of the others.

    Weights that are not finite are in no bin.

    >>> num, zeros, counts = count_weights(np.array([0.0, -0.5, 0.5, 1e-12]))
    >>> num, zeros, counts.nonzero()[0].tolist(), counts.sum()
    (4, 1, [0, 30], np.int64(3))
    """
    size = np.abs(weights.ravel())
    known = size[np.isfinite(size) & (size > 0)]
    place = np.floor((np.log10(known) - LOWEST) * (NUM_BINS / (HIGHEST - LOWEST))).astype(np.int64)
    return size.size, int((size == 0).sum()), np.bincount(np.clip(place, 0, NUM_BINS - 1), minlength=NUM_BINS)


def weights_table(runs: Sequence[str], lost: np.ndarray, params: Any, live: Any, moment: str | int) -> pd.DataFrame:
    """Return one row per run and matrix (a leaf of two axes or more): run, layer, moment, num, zeros, counts.

    Args:
      runs: identities.
      lost: [run] which have no sound state and get no rows.
      params: kept parameters, leaves [run, ...], of a snapshot ensemble [run, network, ...]: the last network counts.
      live: parameters of the population, leaves [row, column, ...].
      moment: of which state they are: "best" or a step.
    """
    rows = []
    kept = jax.tree_util.tree_flatten_with_path(params)[0]
    for (path, leaf), single in zip(kept, jax.tree.leaves(live), strict=True):
        axes = single.ndim - 2
        if axes < 2:
            continue
        name = jax.tree_util.keystr(path, simple=True, separator="/").removesuffix("/kernel")
        for run, weights, bad in zip(runs, leaf, lost, strict=True):
            if not bad:
                num, zeros, counts = count_weights(weights if weights.ndim == axes else weights[-1])
                rows.append((run, name, str(moment), num, zeros, counts.tolist()))
    return pd.DataFrame(rows, columns=["run", "layer", "moment", "num", "zeros", "counts"])
