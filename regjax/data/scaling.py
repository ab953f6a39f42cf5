"""How stored values become inputs, labels targets, and how much classes count: all from training rows alone."""

from collections.abc import Callable, Sequence

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


def fit_targets(y: np.ndarray, train: np.ndarray, scaled: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (shift, spread, centre), float32 [1, outputs], for targets (y - shift) / spread.

        shift = centre = mean of y over `train`,   spread = its SD (1 for a constant);   not scaled: 0 and 1

    Args:
      y: labels [N] or [N, outputs].
      train: rows that are fitted on; no other row is looked at.
      scaled: whether targets are scaled.

    >>> shift, spread, centre = fit_targets(np.array([1.0, 3.0, 99.0]), np.array([0, 1]), True)
    >>> shift.tolist(), spread.tolist(), fit_targets(np.array([1.0, 3.0]), np.array([0, 1]), False)[2].tolist()
    ([[2.0]], [[1.0]], [[2.0]])
    """
    values = y[train].reshape(len(train), -1).astype(np.float64)
    centre, spread = values.mean(0, keepdims=True), values.std(0, keepdims=True)
    if not scaled:
        return np.zeros_like(centre, np.float32), np.ones_like(centre, np.float32), centre.astype(np.float32)
    # Sums of equal float32 values are exact in float64: a constant has no spread at all.
    spread = np.where(spread > 0, spread, 1.0)
    return centre.astype(np.float32), spread.astype(np.float32), centre.astype(np.float32)


def fit_weights(y: np.ndarray, train: np.ndarray, kind: str | Sequence[float], num_classes: int) -> np.ndarray:
    """Return how much each class counts in the loss, float32 [1, classes].

        balanced: w_k = n / (K n_k) over the training rows, whose mean weight is then 1

    Args:
      y: labels [N] int.
      train: rows that are counted; no other row is looked at.
      kind: "balanced" or the weights themselves. A class without training rows counts 1 and not among the K.
      num_classes: how many there are.

    >>> fit_weights(np.array([0, 0, 0, 0, 1, 1]), np.arange(6), "balanced", 2).tolist()
    [[0.75, 1.5]]
    """
    if not isinstance(kind, str):
        return np.asarray([kind], np.float32)
    counts = np.bincount(y[train], minlength=num_classes)
    weights = np.where(counts > 0, len(train) / (np.maximum(counts, 1) * (counts > 0).sum()), 1.0)
    return weights[None].astype(np.float32)
