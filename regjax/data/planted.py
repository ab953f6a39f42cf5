"""Synthetic data with planted outliers, and which rows they are."""

import math
from typing import Any

import numpy as np

from regjax.data.base import Dataset, make_dataset
from regjax.data.checks import DataError
from regjax.keys import stream_generator


def make_contaminated(
    num_examples: int = 1000,
    num_features: int = 20,
    signal: float = 4.0,
    outliers: float = 0.1,
    distance: float = 3.0,
    seed: int = 0,
) -> Dataset:
    """Return two classes whose log odds are linear, and among them outliers: far away, their labels drawn by a coin.

        x ~ N(0, I_F);   w = signal v / |v|,  v ~ N(0, I_F);   P(y = 1 | x) = 1 / (1 + exp(-x w))
        of outliers   x ~ N(0, distance^2 I_F),   P(y = 1 | x) = 1 / 2

    Args:
      num_examples: rows, at least 2.
      num_features: features F.
      signal: standard deviation of the log odds, more than 0.
      outliers: share of the rows that are outliers, in [0, 1); every row is one with this probability.
      distance: how many times farther from the centre they lie, at least 1.
      seed: fixes the draw, in [0, 2**32).

    Returns:
      x [N, F] float32, y [N] int32; truth: weights [F], outliers [N] bool. Training and test parts hold equally many
      in expectation.

    Raises:
      DataError: an argument is out of its range, or a class does not occur.

    Reference: Tukey, "A survey of sampling from contaminated distributions" (1960), for the inputs.
    """
    _check_counts(num_examples=(num_examples, 2), num_features=(num_features, 1), seed=(seed, 0))
    _check_number("signal", signal, 0 < signal < math.inf, "a number > 0")
    _check_number("outliers", outliers, 0 <= outliers < 1, "a number in [0, 1)")
    _check_number("distance", distance, 1 <= distance < math.inf, "a number >= 1")
    rng = stream_generator(seed, "data")
    weights = rng.standard_normal(num_features)
    weights *= signal / np.linalg.norm(weights)
    x = rng.standard_normal((num_examples, num_features), np.float32)
    far = rng.random(num_examples) < outliers
    odds = np.where(far, 0.0, x @ weights)
    # A logistic draw below the log odds has just that probability.
    labels = (rng.logistic(size=num_examples) < odds).astype(np.int32)
    if len(set(labels.tolist())) < 2:
        raise DataError("contaminated: a class does not occur; take more examples or another seed")
    x = np.where(far[:, None], np.float32(distance) * x, x)
    return make_dataset("contaminated", x, labels, truth={"weights": weights, "outliers": far})


def _check_counts(**counts: tuple[Any, int]) -> None:
    for name, (value, least) in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**32:
            raise DataError(f"data.{name}: got {value!r}, expected an integer from {least} to {2**32 - 1}")


def _check_number(name: str, value: Any, sound: bool, expected: str) -> None:
    if isinstance(value, bool) or not sound:
        raise DataError(f"data.{name}: got {value!r}, expected {expected}")
