"""Adjusted p-values of several tests: Holm's for any wrong rejection, Benjamini and Hochberg's for their share."""

import numpy as np
import numpy.typing as npt


def holm(p: npt.ArrayLike) -> np.ndarray:
    """Return p-values adjusted so that the chance of any wrong rejection stays below the level under any dependence.

        p~_(i) = max over j <= i of min(1, (m - j + 1) p_(j))

    Args:
      p: [test] in [0, 1]; NaN stays NaN and does not count.

    Raises:
      ValueError: a p-value is outside [0, 1].

    >>> holm([0.01, 0.04, float("nan"), 0.03]).round(3).tolist()
    [0.03, 0.06, nan, 0.06]

    Reference: Holm, "A simple sequentially rejective multiple test procedure" (1979).
    """
    values, known, order = _sort(p)
    ranked = values[known][order]
    adjusted = np.maximum.accumulate(ranked * np.arange(len(ranked), 0, -1))
    return _restore(values, known, order, adjusted)


def benjamini_hochberg(p: npt.ArrayLike) -> np.ndarray:
    """Return p-values adjusted for the expected share of wrong rejections among all rejections.

        p~_(i) = min over j >= i of min(1, m p_(j) / j)

    It holds for independent tests and for positively dependent ones.

    Args:
      p: [test] in [0, 1]; NaN stays NaN and does not count.

    Raises:
      ValueError: a p-value is outside [0, 1].

    >>> benjamini_hochberg([0.01, 0.04, float("nan"), 0.03]).round(3).tolist()
    [0.03, 0.04, nan, 0.04]

    Reference: Benjamini, Hochberg, "Controlling the false discovery rate" (1995).
    """
    values, known, order = _sort(p)
    ranked = values[known][order]
    shares = ranked * len(ranked) / np.arange(1, len(ranked) + 1)
    return _restore(values, known, order, np.minimum.accumulate(shares[::-1])[::-1])


def _sort(p: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = np.asarray(p, dtype=float)
    known = ~np.isnan(values)
    if values.ndim != 1 or ((values[known] < 0) | (values[known] > 1)).any():
        raise ValueError(f"got p-values {values}, expected a list of numbers in [0, 1] or NaN")
    return values, known, np.argsort(values[known], kind="stable")


def _restore(values: np.ndarray, known: np.ndarray, order: np.ndarray, adjusted: np.ndarray) -> np.ndarray:
    found = np.empty(len(order))
    found[order] = np.minimum(adjusted, 1.0)
    result = np.full(values.shape, np.nan)
    result[known] = found
    return result
