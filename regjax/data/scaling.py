"""How stored values become inputs of a network: (x - shift) * factor."""

from collections.abc import Callable

import numpy as np

from regjax.data.base import DataError, Dataset

# Rows that are float64 at once: data may be larger than the memory.
ROWS_AT_ONCE = 4096


def fit_scale(dataset: Dataset, train: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Return (shift, factor), float32, for inputs (x - shift) * factor.

        unit: x / peak;   none: x;   standard: (x - mean) / SD per feature, a constant feature becomes 0

    Args:
      dataset: with its `peak`.
      train: rows that "standard" is fitted on; no other row is looked at.
      kind: "unit", "standard" or "none".

    Returns:
      Scalars, or for "standard" arrays [1, ...] shaped like a batch of one example.

    >>> import numpy as np
    >>> from regjax.data import load_dataset
    >>> [float(v) for v in fit_scale(load_dataset("digits"), np.arange(9), "unit")]
    [0.0, 0.0625]
    """
    if kind in ("unit", "none"):
        return np.float32(0.0), np.float32(1.0 / dataset.peak if kind == "unit" else 1.0)  # type: ignore[return-value]
    if kind != "standard":
        raise DataError(f'data.scale: got {kind!r}, expected "unit", "standard" or "none"')
    shift = _mean(dataset.x, train, lambda values: values)
    spread = np.sqrt(_mean(dataset.x, train, lambda values: np.square(values - shift)))
    factor = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
    return shift.astype(np.float32), factor.astype(np.float32)


def _mean(x: np.ndarray, rows: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the mean [1, ...] over rows of a function of `x` in float64."""
    total = np.zeros((1, *x.shape[1:]))
    for begin in range(0, len(rows), ROWS_AT_ONCE):
        values = x[rows[begin : begin + ROWS_AT_ONCE]].astype(np.float64)
        # The sum so far is the first row, so that rows are added in one order however they are cut.
        total = np.concatenate([total, function(values)]).sum(0, keepdims=True)
    return total / len(rows)
