"""A measure, and the jackknife that turns statistics of a cell into numbers of its seeds."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Measure(NamedTuple):
    """A measure: `make(results, **options)` gives [cell, seed]; `about` says what the number is, with its unit."""

    make: Callable[..., np.ndarray]
    about: str


def pseudo_values(statistic: Callable[[np.ndarray], float], num_seeds: int) -> np.ndarray:
    """Return the jackknife pseudo-values of a statistic, [seed].

    Args:
      statistic: from the indices of the seeds that count to a number.
      num_seeds: n, at least 3.

    >>> x = np.array([1.0, 2.0, 4.0, 9.0])
    >>> pseudo_values(lambda kept: float(x[kept].mean()), 4).tolist()
    [1.0, 2.0, 4.0, 9.0]
    """
    every = np.arange(num_seeds)
    whole = statistic(every)
    return np.array([num_seeds * whole - (num_seeds - 1) * statistic(np.delete(every, s)) for s in every])
